import { errorCode, errorMessage, type ErrorName } from "../../protocol/errors.ts";

/** For what names no time of its own: less than clients wait. */
export const QUORUM_TIMEOUT_MS = 20_000;

interface VoterRefusal {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly errorMessage: string;
}

/** What stands against a change of the voters, whatever the quorum is; null: nothing. */
export function voterProblem(
  request: { readonly clusterId: string | null; readonly voterId: number },
  clusterId: string,
): VoterRefusal | null {
  if (request.clusterId !== null && request.clusterId !== clusterId) {
    return voterRefusal("INCONSISTENT_CLUSTER_ID");
  }
  return request.voterId < 0
    ? voterRefusal("INVALID_REQUEST", "A voter's id is not negative")
    : null;
}

export function voterRefusal(name: ErrorName, message = errorMessage(name)): VoterRefusal {
  return { throttleTimeMs: 0, errorCode: errorCode(name), errorMessage: message };
}
