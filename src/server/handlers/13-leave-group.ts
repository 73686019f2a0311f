import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * LeaveGroup 0-5: members leave, and the group rebalances without waiting for their sessions. 3 takes many
 * members, each with its own error, static ones also by instance id alone; 5 adds reasons.
 */
export function leaveGroupHandler(deps: {
  readonly coordinator: GroupCoordinator;
}): TypedApiHandler<typeof APIS.leaveGroup.request, typeof APIS.leaveGroup.response> {
  return handlerFor(APIS.leaveGroup, async (request, { apiVersion }) => {
    const isSingle = apiVersion < 3;
    const members = isSingle
      ? [{ memberId: request.memberId, groupInstanceId: null, reason: null }]
      : request.members;
    const answer = await deps.coordinator.leaveGroup(request.groupId, members);
    if (answer.error !== null) {
      return { throttleTimeMs: 0, errorCode: errorCode(answer.error), members: [] };
    }
    if (isSingle) {
      return { throttleTimeMs: 0, errorCode: answer.value[0]?.errorCode ?? 0, members: [] };
    }
    return { throttleTimeMs: 0, errorCode: 0, members: answer.value };
  });
}
