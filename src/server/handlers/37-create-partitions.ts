import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { CREATE_PARTITIONS } from "../metadata/controller-commands.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";

// CreatePartitions, versions 0-3 (KIP-195): 2 is flexible, 3 may be throttled, which it is not here.
// Answered when the new partitions are led here, so that the client's next request finds them.

export function createPartitionsHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<typeof APIS.createPartitions.request, typeof APIS.createPartitions.response> {
  const { metadata } = dependencies;
  return handlerFor(APIS.createPartitions, (request) =>
    metadata.execute(CREATE_PARTITIONS, request, request.timeoutMs),
  );
}
