import { APIS } from "../../protocol/apis.ts";
import { errorCode, errorMessage, type ErrorName, KafkaError } from "../../protocol/errors.ts";
import type { FindCoordinatorResponse } from "../../protocol/messages/10-find-coordinator.ts";
import { GROUP_METADATA_TOPIC, type GroupCoordinator } from "../coordinator/group-coordinator.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

type Coordinator = FindCoordinatorResponse["coordinators"][number];

/** Where a client reaches a broker, on the listener that it came by. */
export interface CoordinatorEndpoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface FindCoordinatorDeps {
  readonly coordinator: GroupCoordinator;
  /** Creates the internal topic unless it exists; resolves when its partitions are led. Throws KafkaError. */
  readonly ensureInternalTopic: (name: string) => Promise<void>;
  /** The partition's leader; null while there is none. */
  readonly leaderEndpoint: (
    topic: string,
    partitionIndex: number,
    listenerName: string,
  ) => CoordinatorEndpoint | null;
}

const GROUP_KEY_TYPE = 0;
const TRANSACTION_KEY_TYPE = 1;
/** What versions from 4 on do not carry. */
const NO_SINGLE = { errorCode: 0, errorMessage: null, nodeId: 0, host: "", port: 0 };
/** Keys of one request; each costs a look-up. */
const MAX_KEYS = 10_000;

const NO_TRANSACTIONS =
  "Transactions are not supported by this broker yet: leave transactional.id unset. Idempotent producers work.";

/**
 * FindCoordinator 0-6: which broker coordinates a group. 1 adds key types and a message, 4 many keys,
 * 5 a new error for transactions, 6 share groups. The first group creates __consumer_offsets.
 * Until transactions are served, transactional ids (key type 1) are refused with
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED: the one error that librdkafka, too, takes as final here (and shows
 * with its message); any other it would ask again for ever. Share groups (2), unknown types: INVALID_REQUEST.
 */
export function findCoordinatorHandler(
  deps: FindCoordinatorDeps,
): TypedApiHandler<typeof APIS.findCoordinator.request, typeof APIS.findCoordinator.response> {
  return handlerFor(APIS.findCoordinator, async (request, { apiVersion, listenerName }) => {
    const keys = apiVersion >= 4 ? request.coordinatorKeys : [request.key];
    const refusal = await prepare(deps, request.keyType, keys);
    const found = keys.map((key) =>
      refusal === null
        ? locate(deps, key, listenerName)
        : refused(key, refusal.name, refusal.message),
    );
    const [single] = found;
    return apiVersion >= 4 || single === undefined
      ? { throttleTimeMs: 0, ...NO_SINGLE, coordinators: found }
      : { throttleTimeMs: 0, ...single, coordinators: [] };
  });
}

interface Refusal {
  readonly name: ErrorName;
  readonly message: string;
}

/** What stands against all keys; null when they can be looked up. */
async function prepare(
  deps: FindCoordinatorDeps,
  keyType: number,
  keys: readonly string[],
): Promise<Refusal | null> {
  if (keyType === TRANSACTION_KEY_TYPE) {
    return { name: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", message: NO_TRANSACTIONS };
  }
  if (keyType !== GROUP_KEY_TYPE) {
    return { name: "INVALID_REQUEST", message: `There is no coordinator for key type ${keyType}.` };
  }
  if (keys.length > MAX_KEYS) {
    return { name: "INVALID_REQUEST", message: `More than ${MAX_KEYS} keys in one request.` };
  }
  if (keys.length === 0) return null;
  try {
    await deps.ensureInternalTopic(GROUP_METADATA_TOPIC);
    return null;
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    // Clients ask again, and the message says why it takes so long.
    return { name: "COORDINATOR_NOT_AVAILABLE", message: error.message };
  }
}

function locate(deps: FindCoordinatorDeps, key: string, listenerName: string): Coordinator {
  const partitionIndex = deps.coordinator.partitionFor(key);
  const leader =
    partitionIndex === null
      ? null
      : deps.leaderEndpoint(GROUP_METADATA_TOPIC, partitionIndex, listenerName);
  if (leader === null) return refused(key, "COORDINATOR_NOT_AVAILABLE");
  const { nodeId, host, port } = leader;
  return { key, nodeId, host, port, errorCode: 0, errorMessage: null };
}

function refused(key: string, name: ErrorName, message = errorMessage(name)): Coordinator {
  return { key, nodeId: -1, host: "", port: -1, errorCode: errorCode(name), errorMessage: message };
}
