import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { REMOVE_RAFT_VOTER } from "../metadata/quorum-commands.ts";
import { QUORUM_TIMEOUT_MS, voterProblem } from "./raft-voters.ts";

// RemoveRaftVoter, version 0 (KIP-853): a controller loses its vote; it goes on following the log.

export function removeRaftVoterHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "execute">;
  readonly clusterId: string;
}): TypedApiHandler<typeof APIS.removeRaftVoter.request, typeof APIS.removeRaftVoter.response> {
  return handlerFor(APIS.removeRaftVoter, (request) => {
    const problem = voterProblem(request, dependencies.clusterId);
    if (problem !== null) return problem;
    return dependencies.metadata.execute(REMOVE_RAFT_VOTER, request, QUORUM_TIMEOUT_MS);
  });
}
