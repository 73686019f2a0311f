import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { itemError } from "../metadata/controller.ts";
import { type ElectionType, refusedElections } from "../metadata/elect-leaders.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";

// ElectLeaders, versions 0-2 (KIP-183, KIP-460): 1 added the kind of election, 0 knows preferred ones
// only. No list means all partitions, of which only those are answered that were elected or could not be.

/** Kafka's ElectionType by its number. */
const ELECTION_TYPES: readonly ElectionType[] = ["preferred", "unclean"];

export function electLeadersHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "electLeaders">;
}): TypedApiHandler<typeof APIS.electLeaders.request, typeof APIS.electLeaders.response> {
  return handlerFor(APIS.electLeaders, async (request) => {
    const { topicPartitions, timeoutMs } = request;
    const electionType = ELECTION_TYPES[request.electionType];
    if (electionType === undefined) {
      const error = itemError("INVALID_REQUEST", `Unknown election type ${request.electionType}`);
      return {
        throttleTimeMs: 0,
        errorCode: errorCode(error.name),
        replicaElectionResults: refusedElections(topicPartitions, error),
      };
    }
    const command = { electionType, topicPartitions };
    return {
      throttleTimeMs: 0,
      errorCode: errorCode("NONE"),
      replicaElectionResults: await dependencies.metadata.electLeaders(command, { timeoutMs }),
    };
  });
}
