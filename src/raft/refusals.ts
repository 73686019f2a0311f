import { KafkaError, type ErrorName } from "../protocol/errors.ts";
import type { VoterChangeRefusal } from "./core/voters.ts";
import { logFailed } from "./delivery.ts";

/** More than any broker has in work at a time; beyond it clients are told to come back. */
const MAX_UNCOMMITTED = 10_000;

/** Why nothing can be appended now; null: it can. */
export function appendRefusal(state: {
  readonly failure: Error | null;
  readonly isLeading: boolean;
  readonly uncommittedCount: number;
}): KafkaError | null {
  if (state.failure !== null) return logFailed(state.failure);
  if (!state.isLeading) return new KafkaError("NOT_CONTROLLER");
  if (state.uncommittedCount < MAX_UNCOMMITTED) return null;
  return new KafkaError(
    "THROTTLING_QUOTA_EXCEEDED",
    "too many changes of metadata wait for the disk",
  );
}

/** As Kafka's controllers answer AddRaftVoter and RemoveRaftVoter. */
const VOTER_CHANGE_ERRORS: { readonly [kind in VoterChangeRefusal]: [ErrorName, string] } = {
  notLeader: ["NOT_CONTROLLER", "this node does not lead the metadata log"],
  epochNotCommitted: [
    "REQUEST_TIMED_OUT",
    "the leader has not committed anything in its epoch yet",
  ],
  changeNotCommitted: ["REQUEST_TIMED_OUT", "another change of the voters is not committed yet"],
  notCaughtUp: ["REQUEST_TIMED_OUT", "the new voter is not caught up with the metadata log"],
  duplicateVoter: ["DUPLICATE_VOTER", "the node votes already, perhaps with another directory"],
  voterNotFound: ["VOTER_NOT_FOUND", "no voter has that id and directory"],
  lastVoter: ["INVALID_REQUEST", "the last voter cannot be removed"],
};

export function voterChangeError(refusal: VoterChangeRefusal): KafkaError {
  const [name, message] = VOTER_CHANGE_ERRORS[refusal];
  return new KafkaError(name, message);
}
