import { APIS } from "../../protocol/apis.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * JoinGroup 0-9: becomes a member of a group and waits for its next generation. 1 adds the rebalance
 * timeout, 4 MEMBER_ID_REQUIRED (KIP-394), 5 static members (KIP-345), 7 a nullable protocol name and the
 * protocol type, 8 the reason, 9 skipAssignment for a static leader that came back.
 */
export function joinGroupHandler(deps: {
  readonly coordinator: GroupCoordinator;
}): TypedApiHandler<typeof APIS.joinGroup.request, typeof APIS.joinGroup.response> {
  return handlerFor(APIS.joinGroup, async (request, { apiVersion, clientId, clientHost }) => {
    const response = await deps.coordinator.joinGroup(request, {
      apiVersion,
      clientId: clientId ?? "",
      // As Java prints an address: what kafka-consumer-groups shows, and finds in the records.
      clientHost: `/${clientHost}`,
    });
    const isNullable = apiVersion >= 7;
    return isNullable ? response : { ...response, protocolName: response.protocolName ?? "" };
  });
}
