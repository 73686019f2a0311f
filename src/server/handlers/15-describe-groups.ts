import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { DescribeGroupsResponse } from "../../protocol/messages/15-describe-groups.ts";
import type { GroupAnswer, GroupCoordinator } from "../coordinator/group-coordinator.ts";
import type { GroupDescription } from "../coordinator/group-listing.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { ALL_GROUP_OPERATIONS, NOT_ASKED } from "../authorized-operations.ts";

type Described = DescribeGroupsResponse["groups"][number];

/** Kafka's word for a group that is not there. */
const DEAD = "Dead";

/**
 * DescribeGroups 0-6: state and members of groups. 3 adds the operations that the caller may do, 4 the
 * instance ids, 6 GROUP_ID_NOT_FOUND with a message; below, a group that is not there is "Dead" and no error.
 * A group that is asked for twice is answered once: that bounds the answer by what there is.
 */
export function describeGroupsHandler(deps: {
  readonly coordinator: GroupCoordinator;
}): TypedApiHandler<typeof APIS.describeGroups.request, typeof APIS.describeGroups.response> {
  return handlerFor(APIS.describeGroups, async (request, { apiVersion }) => {
    const groupIds = [...new Set(request.groups)];
    const answers = await deps.coordinator.describeGroups(groupIds);
    const operations = request.includeAuthorizedOperations ? ALL_GROUP_OPERATIONS : NOT_ASKED;
    const groups = answers.map((answer, index) => {
      const group = describe(groupIds[index] ?? "", answer, apiVersion);
      return { ...group, authorizedOperations: group.errorCode === 0 ? operations : NOT_ASKED };
    });
    return { throttleTimeMs: 0, groups };
  });
}

function describe(
  groupId: string,
  answer: GroupAnswer<GroupDescription | null>,
  apiVersion: number,
): Described {
  const nothing: Described = {
    errorCode: 0,
    errorMessage: null,
    groupId,
    groupState: "",
    protocolType: "",
    protocolData: "",
    members: [],
    authorizedOperations: NOT_ASKED,
  };
  if (answer.error !== null) return { ...nothing, errorCode: errorCode(answer.error) };
  if (answer.value !== null) {
    return { ...nothing, ...answer.value, members: [...answer.value.members] };
  }
  if (apiVersion < 6) return { ...nothing, groupState: DEAD };
  return {
    ...nothing,
    groupState: DEAD,
    errorCode: errorCode("GROUP_ID_NOT_FOUND"),
    errorMessage: `Group ${groupId} not found.`,
  };
}
