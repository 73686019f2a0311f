import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * ListGroups 0-5: the groups that this broker coordinates. 4 adds their states and a filter by state, 5
 * the same by type; all of ours are "classic". No group is listed while one coordinator still loads.
 */
export function listGroupsHandler(deps: {
  readonly coordinator: GroupCoordinator;
}): TypedApiHandler<typeof APIS.listGroups.request, typeof APIS.listGroups.response> {
  return handlerFor(APIS.listGroups, async ({ statesFilter, typesFilter }) => {
    const answer = await deps.coordinator.listGroups({ states: statesFilter, types: typesFilter });
    return answer.error === null
      ? { throttleTimeMs: 0, errorCode: 0, groups: answer.value }
      : { throttleTimeMs: 0, errorCode: errorCode(answer.error), groups: [] };
  });
}
