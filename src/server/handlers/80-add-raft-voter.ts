import { ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { ADD_RAFT_VOTER } from "../metadata/quorum-commands.ts";
import { voterProblem, voterRefusal } from "./raft-voters.ts";

// AddRaftVoter, versions 0-1 (KIP-853): a controller that follows the metadata log gets a vote. 1 added
// that the client may do without the commit (KIP-1186): it is always waited for.

export function addRaftVoterHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "execute">;
  readonly clusterId: string;
}): TypedApiHandler<typeof APIS.addRaftVoter.request, typeof APIS.addRaftVoter.response> {
  return handlerFor(APIS.addRaftVoter, (request) => {
    const { voterDirectoryId, listeners, timeoutMs } = request;
    const problem = voterProblem(request, dependencies.clusterId);
    if (problem !== null) return problem;
    if (listeners.length === 0 || voterDirectoryId === ZERO_UUID) {
      return voterRefusal("INVALID_REQUEST", "A voter has a directory id and an endpoint");
    }
    return dependencies.metadata.execute(ADD_RAFT_VOTER, request, timeoutMs);
  });
}
