import type { Uuid } from "../../base/ids.ts";
import {
  type BrokerIncarnation,
  currentIncarnation,
  fenceBroker,
  leadsForOthers,
  registeredBroker,
  startControlledShutdown,
  takeDirectoriesOffline,
  unfenceBroker,
} from "./broker-fencing.ts";
import type { BrokerSessions } from "./broker-sessions.ts";
import type { ControllerResult } from "./controller.ts";
import { inOrder } from "./decision-chain.ts";
import { type BrokerImage, LOST_DIRECTORY, type MetadataImage } from "./image.ts";
import type { TopicConfigs } from "./topic-configs.ts";

export interface HeartbeatCommand extends BrokerIncarnation {
  /** Last offset of the metadata that the broker has applied. */
  readonly currentMetadataOffset: number;
  readonly wantFence: boolean;
  readonly wantShutDown: boolean;
  /** Directories that have failed since it started. */
  readonly offlineLogDirs: readonly Uuid[];
}

export interface HeartbeatAnswer {
  /** It has applied its own registration. */
  readonly isCaughtUp: boolean;
  readonly isFenced: boolean;
  /** Nothing holds it any more. */
  readonly shouldShutDown: boolean;
}

export interface HeartbeatTerms {
  readonly sessions: Pick<BrokerSessions, "isShutdownKnown">;
  readonly topicConfigs: TopicConfigs;
}

/** What a broker is to become by its heartbeat. */
type Next = "fenced" | "unfenced" | "leaving" | "stopping";

/**
 * BrokerHeartbeat (BrokerHeartbeatManager). A broker is let lead only when it has applied its own
 * registration, and so everything that R5 took from it (K16: the registration's offset is its epoch). One
 * that wants to stop first hands over what others can lead, and is let go when all know of it. Throws
 * KafkaError STALE_BROKER_EPOCH.
 */
export function brokerHeartbeat(
  image: MetadataImage,
  command: HeartbeatCommand,
  { sessions, topicConfigs }: HeartbeatTerms,
): ControllerResult<HeartbeatAnswer> {
  const { brokerId, offlineLogDirs: directoryIds } = command;
  currentIncarnation(image, command);
  let next: Next = "fenced";
  const records = inOrder(
    image,
    (current) => takeDirectoriesOffline(current, { brokerId, directoryIds }, topicConfigs),
    (current) => {
      next = nextState(current, command, sessions);
      return transition(current, registeredBroker(current, brokerId), next, topicConfigs);
    },
  );
  return { records, answer: answerOf(image, command, next) };
}

function answerOf(image: MetadataImage, command: HeartbeatCommand, next: Next): HeartbeatAnswer {
  return {
    isCaughtUp: isCaughtUp(registeredBroker(image, command.brokerId), command),
    isFenced: next === "fenced" || next === "stopping",
    shouldShutDown: next === "stopping",
  };
}

function isCaughtUp({ brokerEpoch }: BrokerImage, command: HeartbeatCommand): boolean {
  return command.currentMetadataOffset >= brokerEpoch;
}

function nextState(
  image: MetadataImage,
  command: HeartbeatCommand,
  sessions: HeartbeatTerms["sessions"],
): Next {
  const { brokerId, wantFence, wantShutDown } = command;
  const broker = registeredBroker(image, brokerId);
  if (broker.isFenced) return nextOfFenced(broker, command);
  if (broker.isInControlledShutdown) {
    const isLet = !leadsForOthers(image, brokerId) && sessions.isShutdownKnown(image, brokerId);
    return isLet ? "stopping" : "leaving";
  }
  if (wantShutDown) {
    return wantFence || !leadsForOthers(image, brokerId) ? "stopping" : "leaving";
  }
  return wantFence ? "fenced" : "unfenced";
}

function nextOfFenced(broker: BrokerImage, command: HeartbeatCommand): Next {
  if (command.wantShutDown) return "stopping";
  const hasDirectory = broker.logDirs.some(
    (id) => id !== LOST_DIRECTORY && !command.offlineLogDirs.includes(id),
  );
  // Who has begun to leave comes back as another incarnation: this heartbeat was sent before that.
  const mayReturn = !command.wantFence && !broker.isInControlledShutdown && hasDirectory;
  return mayReturn && isCaughtUp(broker, command) ? "unfenced" : "fenced";
}

function transition(
  image: MetadataImage,
  broker: BrokerImage,
  next: Next,
  topicConfigs: TopicConfigs,
): readonly Buffer[] {
  const { brokerId, isFenced } = broker;
  switch (next) {
    case "fenced":
    case "stopping":
      return fenceBroker(image, brokerId, topicConfigs).records;
    case "unfenced":
      return isFenced ? unfenceBroker(image, brokerId, topicConfigs).records : [];
    case "leaving":
      return startControlledShutdown(image, brokerId, topicConfigs).records;
  }
}
