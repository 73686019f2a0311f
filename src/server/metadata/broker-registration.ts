import { assert } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import { KafkaError } from "../../protocol/errors.ts";
import { isSafeMember, registeredBroker, withoutMember } from "./broker-fencing.ts";
import {
  type ControllerResult,
  METADATA_VERSION,
  metadataRecord,
  SUPPORTED_FEATURES,
} from "./controller.ts";
import { inOrder } from "./decision-chain.ts";
import {
  type BrokerImage,
  type ControllerImage,
  type EndPointImage,
  type FeatureRange,
  LOST_DIRECTORY,
  type MetadataImage,
  UNASSIGNED_DIRECTORY,
} from "./image.ts";
import { endPointFields, featureFields } from "./image-records.ts";
import { canLeadIn } from "./partition-change.ts";
import { updatePartitions } from "./partition-updates.ts";
import { holdsReplica } from "./replica-directories.ts";
import type { TopicConfigs } from "./topic-configs.ts";

export interface RegisterBrokerCommand {
  readonly brokerId: number;
  /** New at every start of the process. */
  readonly incarnationId: Uuid;
  readonly endPoints: readonly EndPointImage[];
  /** Left out: those of this software. */
  readonly features?: readonly FeatureRange[];
  readonly rack: string | null;
  /** Ids of the directories that this process holds the locks of. */
  readonly logDirs: readonly Uuid[];
  /** Whether one of log.dirs could not be opened: what is not in `logDirs` may lie there. */
  readonly hasOfflineDirectories?: boolean;
  /** From `.kafka_cleanshutdown`; null: there was none. */
  readonly previousBrokerEpoch: number | null;
}

/** The name that clients must find finalized, and Kafka's own level of it. */
const BOOTSTRAP_FEATURES = [
  { name: "metadata.version", featureLevel: METADATA_VERSION },
  { name: "eligible.leader.replicas.version", featureLevel: 1 },
] as const;

/** What a new cluster begins with, as `kafka-storage format` does. Nothing once it has begun. */
export function bootstrapCluster(image: MetadataImage): ControllerResult<null> {
  const records = BOOTSTRAP_FEATURES.filter(({ name }) => !image.features.has(name)).map(
    (feature) => metadataRecord("featureLevel", feature),
  );
  // A cluster that has begun has its levels, or somebody has taken one away on purpose.
  return { records: image.features.size === 0 ? records : [], answer: null };
}

/**
 * A new incarnation of the broker: fenced, with the offset of its own record as its epoch (K16), and
 * `nextOffset` is where the records will be appended. It is clean only if it remembers the epoch that
 * is registered (R5).
 */
export function registerBroker(
  image: MetadataImage,
  command: RegisterBrokerCommand,
  nextOffset: number,
): ControllerResult<{ readonly brokerEpoch: number; readonly isClean: boolean }> {
  const registered = image.brokers.get(command.brokerId);
  const isClean =
    registered === undefined || registered.brokerEpoch === command.previousBrokerEpoch;
  const { brokerId, incarnationId, endPoints, features = SUPPORTED_FEATURES } = command;
  const record = metadataRecord("registerBroker", {
    brokerId,
    incarnationId,
    brokerEpoch: nextOffset,
    endPoints: endPointFields(endPoints),
    features: featureFields(features),
    rack: command.rack,
    fenced: true,
    // What it could not open is not gone, and whoever asks later must know that (R5).
    logDirs:
      command.hasOfflineDirectories === true
        ? [...command.logDirs, LOST_DIRECTORY]
        : command.logDirs,
  });
  return { records: [record], answer: { brokerEpoch: nextOffset, isClean } };
}

/**
 * Between registration and unfencing (R5): takes the broker's word for what it holds. A replica whose
 * directory is not there any more is empty: it leaves ISR, ELR and LastKnownElr, even as the last
 * member; while a directory is offline, it may be there, and comes back with it. After an unclean
 * shutdown every other one moves from ISR and ELR to LastKnownElr. Either way the leader epoch rises,
 * also if nobody else can lead: the old incarnation may have given out offsets that a power cut has
 * taken back, and they must not be given out again in the same epoch. Answers with the replicas that are gone.
 */
export function fenceReplicas(
  image: MetadataImage,
  {
    brokerId,
    isClean,
    hasOfflineDirectories = false,
  }: {
    readonly brokerId: number;
    readonly isClean: boolean;
    readonly hasOfflineDirectories?: boolean;
  },
  topicConfigs: TopicConfigs,
): ControllerResult<{ readonly lostReplicas: readonly string[] }> {
  const broker = registeredBroker(image, brokerId);
  assert(broker.isFenced, "replicas are looked at before the broker is unfenced (R5)");
  const lostReplicas: string[] = [];
  const records = updatePartitions(image, topicConfigs, (topic, partition) => {
    if (!partition.replicas.includes(brokerId)) return null;
    const isLost = !hasOfflineDirectories && !holdsReplica(broker, partition);
    if (isLost) lostReplicas.push(`${topic.name}-${partition.partitionIndex}`);
    if (isClean && !isLost) return null;
    const isMember =
      isSafeMember(partition, brokerId) ||
      partition.lastKnownElr.includes(brokerId) ||
      partition.leader === brokerId;
    if (!isMember) return null;
    const fate = isLost ? { lostReplica: brokerId } : { uncleanReplica: brokerId };
    return { ...fate, raisesLeaderEpoch: true };
  });
  return { records, answer: { lostReplicas } };
}

export interface RegistrationAnswer {
  readonly brokerEpoch: number;
  readonly isClean: boolean;
  readonly lostReplicas: readonly string[];
}

/**
 * BrokerRegistration of any broker, whole but for the unfencing, which its heartbeats ask for (R5): the
 * registration, fenced, then what its replicas lose. The old incarnation is fenced at once if the new
 * one holds one of its directories: it has the lock, so the old process is dead. Otherwise the id is taken
 * while the old one's session lasts. Asked again by the same incarnation, because the answer was lost: as
 * if it were another one, since part of the first may be missing. Throws KafkaError
 * DUPLICATE_BROKER_REGISTRATION, INVALID_REGISTRATION or UNSUPPORTED_VERSION, in Kafka's words.
 */
export function registerIncarnation(
  image: MetadataImage,
  command: RegisterBrokerCommand,
  {
    nextOffset,
    hasSession,
    topicConfigs,
  }: {
    readonly nextOffset: number;
    /** Whether the incarnation that is registered was heard of within its session timeout. */
    readonly hasSession: boolean;
    readonly topicConfigs: TopicConfigs;
  },
): ControllerResult<RegistrationAnswer> {
  const { brokerId, hasOfflineDirectories = false } = command;
  const old = image.brokers.get(brokerId);
  refuseDuplicate(old, command, hasSession);
  refuseInvalid(image, command);
  const isSame = old?.incarnationId === command.incarnationId;
  // It was unfenced by its heartbeats, so it has had its answer: this is an old request come late.
  if (isSame && !old.isFenced) return known(old);
  const { records, answer } = registerBroker(image, command, nextOffset);
  const { brokerEpoch, isClean } = answer;
  let lostReplicas: readonly string[] = [];
  const all = inOrder(
    image,
    () => records,
    (current) => {
      const state = { brokerId, isClean, hasOfflineDirectories };
      const fenced = fenceReplicas(current, state, topicConfigs);
      ({ lostReplicas } = fenced.answer);
      return fenced.records;
    },
    (current) => leadershipsMoved(current, brokerId, topicConfigs),
  );
  return { records: all, answer: { brokerEpoch, isClean, lostReplicas } };
}

/** ControllerRegistration: a node of the quorum tells of itself. Nothing, if it told the same before. */
export function registerController(
  image: MetadataImage,
  command: ControllerImage,
): ControllerResult<null> {
  const { controllerId, incarnationId, endPoints, features } = command;
  if (image.controllers.get(controllerId)?.incarnationId === incarnationId) {
    return { records: [], answer: null };
  }
  const record = metadataRecord("registerController", {
    controllerId,
    incarnationId,
    zkMigrationReady: false,
    endPoints: endPointFields(endPoints),
    features: featureFields(features),
  });
  return { records: [record], answer: null };
}

/**
 * What a clean incarnation still leads, as nobody had fenced the one before, is led by others where
 * they can. Where they cannot it stays as it was, epoch included: it leads on when it is unfenced.
 */
function leadershipsMoved(
  image: MetadataImage,
  brokerId: number,
  topicConfigs: TopicConfigs,
): Buffer[] {
  return withoutMember(image, brokerId, topicConfigs, (partition) =>
    partition.isr.some(canLeadIn(image, partition, { leaving: brokerId })),
  );
}

function known({ brokerEpoch }: BrokerImage): ControllerResult<RegistrationAnswer> {
  return { records: [], answer: { brokerEpoch, isClean: true, lostReplicas: [] } };
}

function refuseDuplicate(
  old: BrokerImage | undefined,
  { incarnationId, logDirs }: RegisterBrokerCommand,
  hasSession: boolean,
): void {
  if (old === undefined || old.incarnationId === incarnationId || !hasSession) return;
  if (old.logDirs.some((id) => logDirs.includes(id))) return;
  throw new KafkaError(
    "DUPLICATE_BROKER_REGISTRATION",
    "Another broker is registered with that broker id. If the broker was recently restarted this " +
      "should self-resolve once the heartbeat manager expires the broker's session.",
  );
}

/** Ids that mean something else than a directory: none yet, lost, and another one of Kafka's. */
const RESERVED_DIRECTORIES: ReadonlySet<string> = new Set([
  UNASSIGNED_DIRECTORY,
  LOST_DIRECTORY,
  "AAAAAAAAAAAAAAAAAAAAAg",
]);

function refuseInvalid(image: MetadataImage, command: RegisterBrokerCommand): void {
  refuseUnsupported(image, command);
  const { brokerId, logDirs } = command;
  const invalid = (message: string) => new KafkaError("INVALID_REGISTRATION", message);
  if (logDirs.length === 0) throw invalid("No directories specified in request");
  if (logDirs.some((id) => RESERVED_DIRECTORIES.has(id))) {
    throw invalid("Reserved directory ID in request");
  }
  if (new Set(logDirs).size < logDirs.length) throw invalid("Duplicate directory ID in request");
  for (const other of image.brokers.values()) {
    const taken = logDirs.find((id) => other.logDirs.includes(id));
    if (other.brokerId === brokerId || taken === undefined) continue;
    throw invalid(`Broker ${other.brokerId} is already registered with directory ${taken}`);
  }
}

/** Every level that the cluster has agreed on must be one of the broker's. */
function refuseUnsupported(image: MetadataImage, command: RegisterBrokerCommand): void {
  const { features = SUPPORTED_FEATURES } = command;
  for (const [feature, level] of image.features) {
    const { minVersion = 0, maxVersion = 0 } = features.find(({ name }) => name === feature) ?? {};
    if (level === 0 || (level >= minVersion && level <= maxVersion)) continue;
    throw new KafkaError(
      "UNSUPPORTED_VERSION",
      `Unable to register because the broker does not support finalized version ${level} of ` +
        `${feature}. The broker wants a version between ${minVersion} and ${maxVersion}, inclusive.`,
    );
  }
}
