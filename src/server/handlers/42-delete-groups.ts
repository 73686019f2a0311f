import { APIS } from "../../protocol/apis.ts";
import { errorCode, errorMessage } from "../../protocol/errors.ts";
import type { DeleteGroupsResponse } from "../../protocol/messages/42-delete-groups.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * DeleteGroups 0-3: removes groups without members, with all that they have committed, each with its own
 * error. 3 adds a message. Answered when it is committed.
 */
export function deleteGroupsHandler(deps: {
  readonly coordinator: GroupCoordinator;
}): TypedApiHandler<typeof APIS.deleteGroups.request, typeof APIS.deleteGroups.response> {
  return handlerFor(APIS.deleteGroups, async ({ groupsNames }) => {
    // Named twice it would be unknown the second time.
    const results = [...new Set(groupsNames)].map((groupId) =>
      deleteGroup(deps.coordinator, groupId),
    );
    return { throttleTimeMs: 0, results: await Promise.all(results) };
  });
}

async function deleteGroup(
  coordinator: GroupCoordinator,
  groupId: string,
): Promise<DeleteGroupsResponse["results"][number]> {
  const { error } = await coordinator.deleteGroup(groupId);
  return error === null
    ? { groupId, errorCode: 0, errorMessage: null }
    : { groupId, errorCode: errorCode(error), errorMessage: errorMessage(error) };
}
