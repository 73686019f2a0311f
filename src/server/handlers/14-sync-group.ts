import { APIS } from "../../protocol/apis.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import { syncError } from "../coordinator/group-turn.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * SyncGroup 0-5: a member of the generation waits for its assignment; the leader brings all of them.
 * 3 adds the instance id, 5 protocol type and name, which must be given and the group's.
 */
export function syncGroupHandler(deps: {
  readonly coordinator: GroupCoordinator;
}): TypedApiHandler<typeof APIS.syncGroup.request, typeof APIS.syncGroup.response> {
  return handlerFor(APIS.syncGroup, (request, { apiVersion }) => {
    const isNamed = request.protocolType !== null && request.protocolName !== null;
    if (apiVersion >= 5 && !isNamed) return syncError("INCONSISTENT_GROUP_PROTOCOL");
    return deps.coordinator.syncGroup(request);
  });
}
