import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { ALTER_PARTITION_REASSIGNMENTS } from "../metadata/partition-commands.ts";

// AlterPartitionReassignments, versions 0-1 (KIP-455): where replicas are to lie, or (null) to stay. 1 added
// that the client may forbid another number of them (KIP-860).

export function alterPartitionReassignmentsHandler({
  metadata,
}: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<
  typeof APIS.alterPartitionReassignments.request,
  typeof APIS.alterPartitionReassignments.response
> {
  return handlerFor(APIS.alterPartitionReassignments, (request) =>
    metadata.execute(ALTER_PARTITION_REASSIGNMENTS, request, request.timeoutMs),
  );
}
