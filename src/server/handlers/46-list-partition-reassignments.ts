import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { LIST_PARTITION_REASSIGNMENTS } from "../metadata/partition-commands.ts";

// ListPartitionReassignments, version 0 (KIP-455): those that are under way, as the active controller has them.

export function listPartitionReassignmentsHandler({
  metadata,
}: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<
  typeof APIS.listPartitionReassignments.request,
  typeof APIS.listPartitionReassignments.response
> {
  return handlerFor(APIS.listPartitionReassignments, (request) =>
    metadata.execute(LIST_PARTITION_REASSIGNMENTS, request, request.timeoutMs),
  );
}
