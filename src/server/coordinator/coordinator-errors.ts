import { type ErrorName, KafkaError } from "../../protocol/errors.ts";

/** As Kafka's CoordinatorOperationExceptionHelper. */
const ERROR_FOR_CLIENTS: Partial<Record<ErrorName, ErrorName>> = {
  UNKNOWN_TOPIC_OR_PARTITION: "COORDINATOR_NOT_AVAILABLE",
  NOT_ENOUGH_REPLICAS: "COORDINATOR_NOT_AVAILABLE",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "COORDINATOR_NOT_AVAILABLE",
  REQUEST_TIMED_OUT: "COORDINATOR_NOT_AVAILABLE",
  NOT_LEADER_OR_FOLLOWER: "NOT_COORDINATOR",
  KAFKA_STORAGE_ERROR: "NOT_COORDINATOR",
  FENCED_LEADER_EPOCH: "NOT_COORDINATOR",
  MESSAGE_TOO_LARGE: "UNKNOWN_SERVER_ERROR",
  RECORD_LIST_TOO_LARGE: "UNKNOWN_SERVER_ERROR",
  INVALID_RECORD: "UNKNOWN_SERVER_ERROR",
  CORRUPT_MESSAGE: "UNKNOWN_SERVER_ERROR",
};

/**
 * What a client of a coordinator is told for an error of the coordinator's log, which it knows nothing
 * about: look for the coordinator again, or try again here.
 */
export function coordinatorErrorName(error: ErrorName): ErrorName {
  return ERROR_FOR_CLIENTS[error] ?? error;
}

/** The name for the client; what is not a refusal is a bug and is thrown on. */
export function refusalName(error: unknown): ErrorName {
  if (!(error instanceof KafkaError)) throw error;
  return coordinatorErrorName(error.errorName);
}
