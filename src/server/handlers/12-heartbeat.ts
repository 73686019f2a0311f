import { APIS } from "../../protocol/apis.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * Heartbeat 0-4: keeps a member's session alive, and tells it of a rebalance by REBALANCE_IN_PROGRESS.
 * 3 adds the instance id.
 */
export function heartbeatHandler(deps: {
  readonly coordinator: GroupCoordinator;
}): TypedApiHandler<typeof APIS.heartbeat.request, typeof APIS.heartbeat.response> {
  return handlerFor(APIS.heartbeat, (request) => deps.coordinator.heartbeat(request));
}
