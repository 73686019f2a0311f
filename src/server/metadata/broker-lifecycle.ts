import { assert, must } from "../../base/assert.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { delay } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { type Random, randomUuid } from "../../base/random.ts";
import type { TimerQueue } from "../../base/timer-queue.ts";
import { errorName, KafkaError } from "../../protocol/errors.ts";
import { ALLOCATE_PRODUCER_IDS, BROKER_HEARTBEAT, BROKER_REGISTRATION } from "./broker-commands.ts";
import { ASSIGN_REPLICAS_TO_DIRS } from "./partition-commands.ts";
import type { ProducerIdBlock } from "./producer-id-blocks.ts";
import { directoriesOf, type ReplicaDirectory } from "./replica-directories.ts";
import { SUPPORTED_FEATURES } from "./controller.ts";
import { type EndPointImage, LOST_DIRECTORY, type MetadataImage } from "./image.ts";
import { lostReplicas } from "./image-queries.ts";
import type { MetadataManager, PublicationTarget } from "./metadata-manager.ts";
import type { Uuid } from "../../base/ids.ts";

export interface BrokerLifecycleDependencies {
  readonly metadata: MetadataManager;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: TimerQueue;
  readonly logger: Logger;
}

export interface BrokerLifecycleOptions {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly heartbeatIntervalMs: number;
  /** After so long without a heartbeat the controller fences this broker. */
  readonly sessionTimeoutMs: number;
}

/** What this process is, told once at its start. */
export interface BrokerRegistration extends Omit<PublicationTarget, "assignDirectories"> {
  readonly broker: {
    readonly endPoints: readonly EndPointImage[];
    readonly rack: string | null;
    /** Ids of the directories that this process holds the locks of. */
    readonly logDirs: readonly Uuid[];
    /** Whether one of log.dirs could not be opened: what is not in `logDirs` may lie there. */
    readonly hasOfflineDirectories?: boolean;
    /** Of those, the ones that have failed since (R9). Default: none. */
    readonly offlineDirectories?: () => readonly Uuid[];
    /** From `.kafka_cleanshutdown`; null: there was none. */
    readonly previousBrokerEpoch: number | null;
  };
}

/** Kafka's initial.broker.registration.timeout.ms: for one try; a start waits for the controller. */
const REGISTRATION_TIMEOUT_MS = 60_000;
/** For one command of the broker's own. */
const REQUEST_TIMEOUT_MS = 30_000;
const RETRY_MS = 100;
/** Between two questions whether this broker may stop. */
const SHUTDOWN_POLL_MS = 50;
/** Items that one line of the log names. */
const MAX_NAMED = 20;

/**
 * The life of this broker as the cluster sees it: registered, alive by its heartbeats, leaving in order
 * (Kafka's BrokerLifecycleManager). A heartbeat says how far this node has applied the metadata; the
 * controller lets it lead when that holds its own registration (R5).
 */
export class BrokerLifecycle {
  readonly #dependencies: BrokerLifecycleDependencies;
  readonly #options: BrokerLifecycleOptions;
  /** Told of each heartbeat that was answered: `confirmedMs` has moved. */
  onConfirmed: () => void = () => undefined;
  #offlineDirectories: () => readonly Uuid[] = () => [];
  #brokerEpoch: number | null = null;
  #confirmedMs = -Infinity;
  #timer: Timer | null = null;
  #wantsShutDown = false;
  #isClosed = false;

  constructor(dependencies: BrokerLifecycleDependencies, options: BrokerLifecycleOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
  }

  /** Of this incarnation, for `.kafka_cleanshutdown`; null before `start`. */
  get brokerEpoch(): number | null {
    return this.#brokerEpoch;
  }

  /** When the last heartbeat was sent that a controller has answered, and not as to one that is fenced (R15). */
  get confirmedMs(): number {
    return this.#confirmedMs;
  }

  /**
   * Registers this incarnation, applies what the cluster has decided, and is let lead: resolves with the
   * broker epoch when all that this node leads is open. Waits for a controller. Rejects with KafkaError
   * when it is refused for good, or closed before.
   */
  async start(registration: BrokerRegistration): Promise<number> {
    assert(this.#brokerEpoch === null, "a process registers once");
    const { metadata, logger } = this.#dependencies;
    const { nodeId } = this.#options;
    const brokerEpoch = await this.#register(registration);
    this.#brokerEpoch = brokerEpoch;
    this.#offlineDirectories = registration.broker.offlineDirectories ?? this.#offlineDirectories;
    await metadata.whenCommitted(brokerEpoch);
    logger.info({ brokerId: nodeId, brokerEpoch }, "registered");
    await metadata.publish({
      ...registration,
      assignDirectories: (replicas) => this.assignDirectories(replicas),
    });
    this.#nameLost(metadata.image, registration.broker.hasOfflineDirectories === true);
    const isUnfenced = this.#whenUnfenced();
    void this.#beat();
    await isUnfenced;
    return brokerEpoch;
  }

  /** A block of producer ids for this incarnation, above the known one, committed. Throws KafkaError. */
  async allocateProducerIds(greatestKnownId = -1): Promise<ProducerIdBlock> {
    const request = { ...this.#incarnation(), greatestKnownId };
    const { metadata } = this.#dependencies;
    const answer = await metadata.submit(ALLOCATE_PRODUCER_IDS, request, REQUEST_TIMEOUT_MS);
    refuseUnlessOk(answer);
    return { firstProducerId: answer.producerIdStart, count: answer.producerIdLen };
  }

  /** Notes where replicas of this node lie; resolves when that is agreed on. Throws KafkaError. */
  async assignDirectories(replicas: readonly ReplicaDirectory[]): Promise<void> {
    const request = { ...this.#incarnation(), directories: directoriesOf(replicas) };
    const { metadata } = this.#dependencies;
    refuseUnlessOk(await metadata.submit(ASSIGN_REPLICAS_TO_DIRS, request, REQUEST_TIMEOUT_MS));
  }

  /**
   * Asks the controller to let others lead what this broker leads; resolves when it may stop, or after
   * `timeoutMs`. A broker that is alone in its cluster has nobody to hand over to.
   */
  async shutDown(timeoutMs: number): Promise<void> {
    const { metadata, clock, logger } = this.#dependencies;
    if (this.#brokerEpoch === null || this.#isClosed || metadata.image.brokers.size <= 1) return;
    this.#wantsShutDown = true;
    this.#timer?.cancel();
    const deadlineMs = clock.nowMs() + timeoutMs;
    while (clock.nowMs() < deadlineMs) {
      try {
        const answer = await this.#heartbeat(Math.max(0, deadlineMs - clock.nowMs()));
        if (answer.shouldShutDown) return;
        refuseUnlessOk(answer);
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        logger.warn({ error: error.errorName }, `leaving the cluster: ${error.message}`);
      }
      await delay(clock, SHUTDOWN_POLL_MS);
    }
    logger.warn({ timeoutMs }, "stopping without leave: the controller has not answered in time");
  }

  /** No heartbeat leaves any more. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #register({ broker }: BrokerRegistration): Promise<number> {
    const { metadata, clock, random, logger } = this.#dependencies;
    const { nodeId, clusterId } = this.#options;
    const { endPoints, rack, logDirs, hasOfflineDirectories, previousBrokerEpoch } = broker;
    const request = {
      brokerId: nodeId,
      clusterId,
      incarnationId: randomUuid(random),
      listeners: endPoints.map((endPoint) => ({ ...endPoint })),
      features: SUPPORTED_FEATURES.map(({ name, minVersion, maxVersion }) => ({
        ...{ name, minSupportedVersion: minVersion, maxSupportedVersion: maxVersion },
      })),
      rack,
      isMigratingZkBroker: false,
      logDirs: [...logDirs, ...(hasOfflineDirectories === true ? [LOST_DIRECTORY] : [])],
      previousBrokerEpoch: previousBrokerEpoch ?? -1,
    };
    let isSaid = false;
    for (;;) {
      try {
        const answer = await metadata.submit(BROKER_REGISTRATION, request, REGISTRATION_TIMEOUT_MS);
        refuseUnlessOk(answer);
        return answer.brokerEpoch;
      } catch (error) {
        if (!(error instanceof KafkaError) || this.#isClosed || isFinal(error)) throw error;
        const { errorName: name, message } = error;
        if (!isSaid)
          logger.warn({ brokerId: nodeId, error: name }, `not registered yet: ${message}`);
        isSaid = true;
      }
      await delay(clock, RETRY_MS);
    }
  }

  #whenUnfenced(): Promise<void> {
    const { metadata } = this.#dependencies;
    const isUnfenced = (image: MetadataImage): boolean => {
      const broker = image.brokers.get(this.#options.nodeId);
      return broker?.brokerEpoch === this.#brokerEpoch && !broker.isFenced;
    };
    return new Promise((resolve) => {
      const unsubscribe = metadata.subscribe((image) => {
        if (!isUnfenced(image)) return;
        unsubscribe();
        resolve();
      });
    });
  }

  async #beat(): Promise<void> {
    const { logger, timers } = this.#dependencies;
    const { nodeId, heartbeatIntervalMs, sessionTimeoutMs } = this.#options;
    let nextMs = heartbeatIntervalMs;
    const sentMs = this.#dependencies.clock.nowMs();
    try {
      const answer = await this.#heartbeat(sessionTimeoutMs);
      refuseUnlessOk(answer);
      if (!answer.isFenced) {
        this.#confirmedMs = sentMs;
        this.onConfirmed();
      }
      // It is let lead as soon as it has caught up.
      if (answer.isFenced) nextMs = Math.min(nextMs, RETRY_MS);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      nextMs = Math.min(nextMs, RETRY_MS);
      if (!this.#isClosed) {
        logger.warn({ brokerId: nodeId, error: error.errorName }, `heartbeat: ${error.message}`);
      }
    }
    if (this.#isClosed || this.#wantsShutDown) return;
    this.#timer = timers.after(nextMs, () => void this.#beat());
  }

  #heartbeat(timeoutMs: number) {
    const { metadata } = this.#dependencies;
    const request = {
      ...this.#incarnation(),
      currentMetadataOffset: metadata.image.offset,
      wantFence: false,
      wantShutDown: this.#wantsShutDown,
      // A broker that is alone in its cluster has nobody to hand over to.
      offlineLogDirs: metadata.image.brokers.size > 1 ? [...this.#offlineDirectories()] : [],
      cordonedLogDirs: null,
    };
    return metadata.submit(BROKER_HEARTBEAT, request, timeoutMs);
  }

  #incarnation() {
    const brokerEpoch = must(this.#brokerEpoch, "a broker registers first");
    return { brokerId: this.#options.nodeId, brokerEpoch };
  }

  #nameLost(image: MetadataImage, hasOfflineDirectories: boolean): void {
    const lost = hasOfflineDirectories ? [] : lostReplicas(image, this.#options.nodeId);
    if (lost.length === 0) return;
    this.#dependencies.logger.error(
      { lostReplicas: lost.slice(0, MAX_NAMED), lostCount: lost.length },
      "the directory of these replicas is gone, and their data with it: where no other replica is " +
        "left, the partition stays offline until its topic is deleted",
    );
  }
}

function refuseUnlessOk({ errorCode }: { readonly errorCode: number }): void {
  if (errorCode !== 0) throw new KafkaError(errorName(errorCode));
}

/** Asked again, the controller would say the same. */
function isFinal({ errorName: name }: KafkaError): boolean {
  return name === "INCONSISTENT_CLUSTER_ID" || name === "UNSUPPORTED_VERSION";
}
