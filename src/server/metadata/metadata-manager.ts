import type { Uuid } from "../../base/ids.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Random } from "../../base/random.ts";
import type { TimerQueue } from "../../base/timer-queue.ts";
import { errorName, KafkaError } from "../../protocol/errors.ts";
import type { CommittedBatch, LeaderAndEpoch, RaftClient } from "../../raft/raft-client.ts";
import type { Infer, Message } from "../../protocol/schema.ts";
import type { AskLogEnds } from "./best-log-elections.ts";
import { type BalanceSettings, ControllerDuties } from "./controller-duties.ts";
import type { BrokerIncarnation } from "./broker-fencing.ts";
import type { ReplicaDirectory } from "./replica-directories.ts";
import { ActiveController, type Decided } from "./active-controller.ts";
import { BrokerSessions } from "./broker-sessions.ts";
import type { ConfigRules } from "./alter-configs.ts";
import { type ItemError, itemError } from "./controller.ts";
import {
  type ControllerAnswer,
  ControllerApis,
  type ControllerRequest,
} from "./controller-apis.ts";
import { type ControllerChannel, ControllerClient } from "./controller-client.ts";
import { CONTROLLER_COMMANDS } from "./controller-command-list.ts";
import { type ControllerCommand, CREATE_TOPICS } from "./controller-commands.ts";
import type { CreateTopicsDefaults } from "./create-topics.ts";
import type { MetadataImage } from "./image.ts";
import { imageRecords } from "./image-records.ts";
import type { MetadataDelta } from "./image-builder.ts";
import { ImagePublication } from "./image-publication.ts";
import { type InternalTopicOptions, newTopic } from "./new-topic.ts";
import type { MetadataPublisher } from "./publisher.ts";
import { removeStrays, type StoredPartitions } from "./strays.ts";

export interface MetadataManagerDependencies {
  /** Not started yet. The manager closes it. */
  readonly raft: RaftClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly timers: TimerQueue;
  readonly logger: Logger;
  /** To the other controllers; null: this node is the whole quorum. */
  readonly channel: ControllerChannel | null;
  /** Told of each change of leaders, this node's own leadership included. */
  readonly onLeaderChange?: () => void;
  /** This node is the active controller from now on. */
  readonly onActive?: (image: MetadataImage) => void;
  /** null: this node is the whole cluster. */
  readonly askLogEnds: AskLogEnds | null;
}

export interface MetadataManagerOptions {
  readonly nodeId: number;
  readonly defaults: CreateTopicsDefaults;
  readonly configRules: ConfigRules;
  /** After so long without a heartbeat a broker is fenced. */
  readonly sessionTimeoutMs: number;
  readonly balance: () => BalanceSettings;
  readonly internalTopics: InternalTopicOptions;
}

/** What follows the metadata on this node. */
export interface PublicationTarget {
  readonly publisher: MetadataPublisher;
  /** The id of the directory that holds the partition; null: none. */
  readonly directoryOf: (topic: string, partitionIndex: number) => Uuid | null;
  /** Notes where replicas of this node lie; resolves when that is agreed on. Rejects with KafkaError. */
  readonly assignDirectories: (replicas: readonly ReplicaDirectory[]) => Promise<void>;
  readonly storedPartitions: StoredPartitions;
}

/** How long the first FindCoordinator waits for __consumer_offsets; clients ask again. */
const INTERNAL_TOPIC_TIMEOUT_MS = 30_000;

/**
 * The metadata of this node: commands go in, are decided on the newest state (ActiveController),
 * committed (RaftClient), applied to this node (MetadataPublisher), and only then answered, so that the
 * next request of the same client finds what it made. `image` is what this node serves.
 */
export class MetadataManager {
  readonly #controller: ActiveController;
  readonly #apis: ControllerApis;
  readonly #client: ControllerClient;
  readonly #publication: ImagePublication;
  readonly #raft: RaftClient;
  readonly #timers: TimerQueue;
  readonly #logger: Logger;
  readonly #notifyLeaderChange: () => void;
  readonly #notifyActive: (image: MetadataImage) => void;
  readonly #options: MetadataManagerOptions;
  readonly #duties: ControllerDuties;

  private constructor(dependencies: MetadataManagerDependencies, options: MetadataManagerOptions) {
    this.#raft = dependencies.raft;
    this.#timers = dependencies.timers;
    this.#logger = dependencies.logger;
    this.#notifyLeaderChange = dependencies.onLeaderChange ?? (() => undefined);
    this.#notifyActive = dependencies.onActive ?? (() => undefined);
    this.#options = options;
    const controller = new ActiveController(dependencies.raft);
    this.#controller = controller;
    const { nodeId, defaults, configRules } = options;
    const context = {
      ...{ nodeId, random: dependencies.random, defaults, configRules },
      sessions: new BrokerSessions(options),
      nowMs: () => dependencies.clock.nowMs(),
      wallMs: () => dependencies.clock.wallMs(),
      quorum: () => dependencies.raft.quorum,
    };
    const apis = new ControllerApis(controller, context, CONTROLLER_COMMANDS);
    this.#apis = apis;
    this.#client = new ControllerClient({
      ...{ ...dependencies, apis },
      isActive: () => controller.image !== null,
    });
    this.#publication = new ImagePublication({ nodeId });
    const { sessions } = context;
    const { topicConfigs } = defaults;
    this.#duties = new ControllerDuties(
      { ...dependencies, controller, sessions, topicConfigs, settings: options.balance },
      { nodeId },
    );
  }

  /** Replays the log; a quorum of one leads then. Nothing is served yet: see `publish`. */
  static async open(
    dependencies: MetadataManagerDependencies,
    options: MetadataManagerOptions,
  ): Promise<MetadataManager> {
    const manager = new MetadataManager(dependencies, options);
    await dependencies.raft.start({
      onCommitted: (batches: readonly CommittedBatch[]) => manager.#publication.add(batches),
      onSnapshot: (part) => manager.#publication.load(part),
      onSnapshotDue: () => void manager.#takeSnapshot(),
      onLeaderChange: (leader) => manager.#onLeaderChange(leader),
      onFailure: (error) => manager.#onFailure(error),
    });
    return manager;
  }

  /** What this node serves now. */
  get image(): MetadataImage {
    return this.#publication.image;
  }

  /** Who is the active controller, as far as this node knows; null: nobody. */
  get controllerId(): number | null {
    return this.#raft.leader.leaderId;
  }

  /** How far the metadata log is committed, and how old the last of that is. */
  get committed(): { readonly offset: number; readonly timestampMs: number } {
    const { committedTimestampMs } = this.#publication;
    return { offset: this.#raft.highWatermark - 1, timestampMs: committedTimestampMs };
  }

  /** Tells of every image that comes after now, once it is served. Returns what ends it. */
  subscribe(listener: (image: MetadataImage, delta: MetadataDelta) => void): () => void {
    return this.#publication.subscribe(listener);
  }

  /**
   * Applies all that is committed to this node, and from now on all that comes; called once. Resolves when
   * this node serves the first image: what it leads is open.
   */
  publish(target: PublicationTarget): Promise<void> {
    return this.#publication.start(target, ({ image, removedTopicIds }) =>
      removeStrays(target.storedPartitions, image, removedTopicIds, this.#logger),
    );
  }

  /** Resolves when the offset is committed, as far as this node knows. Rejects with KafkaError. */
  whenCommitted(offset: number): Promise<void> {
    return this.#publication.whenCommitted(offset);
  }

  /** Another node's command, for this one as the active controller. See `ControllerApis.serve`. */
  serve(request: ControllerRequest): Promise<ControllerAnswer> {
    return this.#apis.serve(request);
  }

  /** R16: the process of that incarnation is known to be gone. */
  brokerGone(incarnation: BrokerIncarnation): void {
    this.#duties.brokerGone(incarnation);
  }

  /**
   * Has the active controller decide; resolves when that is committed, which this node need not know yet.
   * Rejects with KafkaError; what was decided may hold all the same.
   */
  async submit<Req extends Message, Res extends Message>(
    command: ControllerCommand<Req, Res>,
    request: Infer<Req>,
    timeoutMs: number,
  ): Promise<Infer<Res>> {
    const { answer, committed } = await this.#client.run(command, request, timeoutMs);
    await this.#within(timeoutMs, committed);
    return answer;
  }

  /**
   * Has the active controller decide, and answers when this node serves what came of it: the client's next
   * request finds it. After `timeoutMs` the answer says REQUEST_TIMED_OUT; it may happen all the same.
   */
  async execute<Req extends Message, Res extends Message>(
    command: ControllerCommand<Req, Res>,
    request: Infer<Req>,
    timeoutMs: number,
  ): Promise<Infer<Res>> {
    try {
      const decided = await this.#client.run(command, request, timeoutMs);
      if (decided.lastOffset === null) return decided.answer;
      const failure = await this.#whenServed(decided, timeoutMs);
      return failure === null ? decided.answer : command.refuse(request, decided.answer, failure);
    } catch (error) {
      if (error instanceof KafkaError) return command.refuse(request, null, itemOf(error));
      throw error;
    }
  }

  /**
   * Creates those of the topics that are missing, with the broker's defaults, and waits until all are
   * led here. Gives the errors of those that could not be made.
   */
  async ensureTopics(
    names: readonly string[],
    options: { readonly timeoutMs: number },
  ): Promise<ReadonlyMap<string, ItemError>> {
    const image = this.#controller.image ?? this.image;
    const topics = names
      .filter((name) => !image.topicsByName.has(name))
      .map((name) => newTopic(name, this.#options.internalTopics));
    const errors = new Map<string, ItemError>();
    const { timeoutMs } = options;
    const request = { topics, timeoutMs, validateOnly: false };
    const created = await this.execute(CREATE_TOPICS, request, timeoutMs);
    for (const result of created.topics) {
      if (result.errorCode === 0) continue;
      const error = itemError(errorName(result.errorCode), result.errorMessage ?? undefined);
      errors.set(result.name, error);
    }
    // Somebody else's creation of one of them may still be on its way.
    const known = { lastOffset: image.offset, committed: Promise.resolve() };
    const failure = await this.#whenServed(known, timeoutMs);
    if (failure !== null) {
      for (const name of names) if (!errors.has(name)) errors.set(name, failure);
    }
    return errors;
  }

  /** Creates an internal topic unless it is there; resolves when it is led. Throws KafkaError. */
  async ensureInternalTopic(name: string): Promise<void> {
    if (this.image.topicsByName.has(name)) return;
    const errors = await this.ensureTopics([name], { timeoutMs: INTERNAL_TOPIC_TIMEOUT_MS });
    const error = errors.get(name);
    if (error === undefined) return;
    this.#logger.warn({ topic: name, error: error.name }, `cannot create it: ${error.message}`);
    throw new KafkaError(error.name, error.message);
  }

  /** Commits what was appended, then takes nothing any more. Idempotent. */
  async close(): Promise<void> {
    this.#duties.end();
    await this.#raft.close();
    this.#controller.deactivate();
    await this.#publication.close(new KafkaError("NOT_CONTROLLER", "the node is shutting down"));
  }

  /** Null when the decision is committed and this node serves it; otherwise why it is not waited for. */
  async #whenServed(
    { lastOffset, committed }: Pick<Decided<unknown>, "lastOffset" | "committed">,
    timeoutMs: number,
  ): Promise<ItemError | null> {
    try {
      // The offset alone would not do: after a change of leaders another record may stand there.
      const served = committed.then(() => this.#publication.when(lastOffset ?? -1));
      await this.#within(timeoutMs, served);
      return null;
    } catch (error) {
      if (error instanceof KafkaError) return itemOf(error);
      throw error;
    }
  }

  /** Rejects with REQUEST_TIMED_OUT when that has not happened by then. */
  async #within(timeoutMs: number, promise: Promise<void>): Promise<void> {
    const timeout = new Promise<never>((_resolve, reject) => {
      const timer = this.#timers.after(timeoutMs, () =>
        reject(new KafkaError("REQUEST_TIMED_OUT")),
      );
      promise.then(
        () => timer.cancel(),
        () => timer.cancel(),
      );
    });
    await Promise.race([promise, timeout]);
  }

  #onLeaderChange({ leaderId, leaderEpoch }: LeaderAndEpoch): void {
    if (leaderId === this.#options.nodeId) {
      // After a failure that has healed, too: the controller begins again with what is committed.
      this.#publication.resume();
      const image = this.#publication.committedImage();
      this.#controller.activate(leaderEpoch, image);
      this.#duties.begin();
      this.#notifyActive(image);
      this.#logger.debug({ leaderEpoch }, "this node is the active controller");
    } else {
      this.#duties.end();
      this.#controller.deactivate();
    }
    this.#notifyLeaderChange();
  }

  async #takeSnapshot(): Promise<void> {
    const image = this.#publication.committedImage();
    const { committedTimestampMs } = this.#publication;
    // What fails is logged where it fails; the log goes on without, and asks again.
    await this.#raft.createSnapshot(image.offset + 1, committedTimestampMs, imageRecords(image));
  }

  #onFailure(error: Error): void {
    const message = "the metadata log has failed";
    this.#logger.error(
      { error },
      `${message}: no topic is created, deleted or changed; others are served`,
    );
    this.#duties.end();
    this.#controller.deactivate();
    this.#publication.fail(new KafkaError("KAFKA_STORAGE_ERROR", message, { cause: error }));
  }
}

function itemOf(error: KafkaError): ItemError {
  return { name: error.errorName, message: error.message };
}
