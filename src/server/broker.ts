import { must } from "../base/assert.ts";
import type { Uuid } from "../base/ids.ts";
import type { Ports } from "../base/ports.ts";
import { TimerQueue } from "../base/timer-queue.ts";
import { ReplicaManager } from "../replica/manager.ts";
import { ReplicaMoves } from "../replica/replica-moves.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { RaftClient } from "../raft/raft-client.ts";
import type { Partition } from "../replica/partition.ts";
import { LogManager } from "../storage/log-manager.ts";
import {
  groupOptionsOf,
  listenersOptionsOf,
  logManagerOptionsOf,
  nodeMetadataOptionsOf,
  topicConfigsOf,
} from "./broker-options.ts";
import { brokerListDefault, ConfigAdmin } from "./config-admin.ts";
import type { BrokerConfig } from "./config-keys.ts";
import { LiveConfig } from "./config-layers.ts";
import { overruledNotice } from "./config-notices.ts";
import { GROUP_METADATA_TOPIC, GroupCoordinator } from "./coordinator/group-coordinator.ts";
import { partitionCoordinatorLog } from "./coordinator/partition-log.ts";
import { Dispatcher } from "./dispatch.ts";
import { FetchSessions } from "./fetch-sessions.ts";
import { createHandlers } from "./handlers.ts";
import { type HealthCheck, healthChecks } from "./health.ts";
import type { LogLevels } from "./log-levels.ts";
import { brokerOverrides, clusterOverrides, type MetadataImage } from "./metadata/image.ts";
import { PEER_ENDPOINT } from "./metadata/image-queries.ts";
import type { MetadataManager } from "./metadata/metadata-manager.ts";
import { loadQuorumModules, type NodeMetadata, openNodeMetadata } from "./node-metadata.ts";
import { peerOptionsOf } from "./peer-options.ts";
import { Publisher } from "./metadata/publisher.ts";
import type { TopicConfigs } from "./metadata/topic-configs.ts";
import { BrokerMetrics } from "./metrics.ts";
import { metadataMetrics, type MetadataMetricsParts } from "./metrics-metadata.ts";
import { MetricsText } from "./metrics-text.ts";
import { type BoundListener, Listeners } from "./net/listeners.ts";
import { UncleanElections } from "./unclean-elections.ts";

/** One node, from ports and settings. `start` and `close` are called once each. */
export interface Broker {
  /** Recovers logs and metadata, then opens the ports. Rejects when it cannot, and is closed then. */
  start(): Promise<void>;
  /** Where clients reach it. */
  readonly listeners: readonly BoundListener[];
  /** Known once it has started. */
  readonly clusterId: string;
  /** The settings that hold at each look. */
  readonly config: BrokerConfig;
  /** Whether clients should be sent here, checked by name. */
  health(): readonly HealthCheck[];
  /** In the text form of Prometheus. */
  metrics(): Promise<string>;
  /** Answers what is in work, flushes, and marks the shutdown as clean. Idempotent. */
  close(): Promise<void>;
}

/** What the process allows. */
export interface BrokerLimits {
  /** How many files it may open; default: enough. */
  readonly maxOpenFiles?: number;
  /** What it logs, if clients may change that. */
  readonly logLevels?: LogLevels;
  /** For checkers: stands between the metadata and its log. */
  readonly watchRaft?: (raft: RaftClient) => RaftClient;
}

/** How long a stop waits for answers before it refuses what is parked, and for clients to take them. */
const DRAIN_TIMEOUT_MS = 1_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** How long it waits for others to take over what it leads. */
const CONTROLLED_SHUTDOWN_MS = 5_000;

/** What the metadata means for a node that is no broker. */
const NOTHING_HERE = {
  publisher: { apply: () => Promise.resolve() },
  directoryOf: () => null,
  assignDirectories: () => Promise.resolve(),
  storedPartitions: { partitionsOnDisk: () => [], deleteLog: () => Promise.resolve() },
};

/** The composition root. Production and simulator differ in `ports` only. */
export function createBroker(
  ports: Ports,
  config: BrokerConfig,
  limits: BrokerLimits = {},
): Promise<Broker> {
  return Promise.resolve(new NodeBroker(ports, config, limits));
}

class NodeBroker implements Broker {
  readonly #ports: Ports;
  readonly #live: LiveConfig;
  /** What holds now, at each look. */
  readonly #config: BrokerConfig;
  readonly #topicConfigs: TopicConfigs;
  readonly #limits: BrokerLimits;
  readonly #listeners: Listeners;
  /** What `close` has to undo, in the order in which it came to be. */
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #uncleanElections = new UncleanElections();
  readonly #stop = new AbortController();
  #clusterId: string | null = null;
  #logs: LogManager | null = null;
  #metadata: MetadataManager | null = null;
  #isServing = false;
  /** Once it serves clients. */
  #metrics: { text: () => string | Promise<string> } | null = null;
  #starting: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;

  constructor(ports: Ports, config: BrokerConfig, limits: BrokerLimits) {
    this.#ports = ports;
    this.#live = new LiveConfig(config);
    this.#config = this.#live.view;
    this.#topicConfigs = topicConfigsOf(config);
    this.#limits = limits;
    this.#listeners = new Listeners(ports, listenersOptionsOf(this.#config, limits.maxOpenFiles));
  }

  get listeners(): readonly BoundListener[] {
    return this.#listeners.bound;
  }

  get clusterId(): string {
    return must(this.#clusterId, "the broker has started");
  }

  health(): readonly HealthCheck[] {
    return healthChecks({
      isServing: this.#isServing,
      isStopping: this.#closing !== null,
      directories: this.#logs?.directories ?? [],
      image: this.#metadata?.image ?? null,
      controllerId: this.#metadata?.controllerId ?? null,
      nodeId: this.#config["node.id"],
      isBroker: this.#isBroker,
    });
  }

  async metrics(): Promise<string> {
    return (await this.#metrics?.text()) ?? "";
  }

  get config(): BrokerConfig {
    return this.#config;
  }

  async start(): Promise<void> {
    this.#starting = this.#open();
    try {
      await this.#starting;
    } catch (error) {
      await this.close().catch((failure: unknown) => {
        this.#ports.logger.error({ error: failure }, "closing after a failed start");
      });
      throw error;
    }
  }

  close(): Promise<void> {
    // Whoever waits for other nodes waits no longer; the start of a lone node comes to its end.
    if (peerOptionsOf(this.#config) !== null) {
      this.#stop.abort(new KafkaError("NOT_CONTROLLER", "the node is shutting down"));
    }
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #open(): Promise<void> {
    const { clock, logger, offload, random } = this.#ports;
    const timers = new TimerQueue(clock);
    this.#onClose(() => timers.close());
    const logs = await this.#openLogs(timers);
    const node = await this.#openMetadata(logs, timers);
    const { metadata, lifecycle } = node;
    if (!this.#isBroker) {
      await metadata.publish(NOTHING_HERE);
      this.#metrics = {
        text: () => {
          const text = new MetricsText();
          metadataMetrics(
            text,
            this.#metadataMetricsParts(metadata, () => false),
          );
          return text.toString();
        },
      };
      this.#isServing = true;
      return;
    }

    // A stop, from below: no new requests; groups answer what they have parked; appends get their
    // acknowledgements; only then do partitions refuse, and whoever is left is cut off.
    this.#onClose(() => this.#listeners.close(CLOSE_TIMEOUT_MS));
    const replicas = await this.#openReplicas(logs, node);
    this.#onClose(() => this.#listeners.drained(DRAIN_TIMEOUT_MS));
    const coordinator = new GroupCoordinator(
      {
        clock,
        random: random.fork("groups"),
        logger,
        offload,
        partitionCount: () => partitionCountOf(metadata.image, GROUP_METADATA_TOPIC),
      },
      groupOptionsOf(this.#config),
    );
    this.#onClose(() => coordinator.close());
    const moves = new ReplicaMoves({
      ...{ replicas, logs, logger },
      assignDirectory: ({ topicId, partitionIndex }, directoryId) =>
        lifecycle.assignDirectories([{ topicId, partitionIndex, directoryId }]),
    });
    this.#onClose(() => moves.close());

    await this.#listeners.bindFreePorts();
    this.#onClose(() => this.#listeners.stop());
    const parts = { ...node, logs, replicas, coordinator };
    await this.#register(parts);
    await moves.resume();
    await this.#serve(parts, moves);
    this.#onClose(() =>
      lifecycle.shutDown(this.#config["controlled.shutdown.enable"] ? CONTROLLED_SHUTDOWN_MS : 0),
    );
    this.#isServing = true;
  }

  /** Opens the ports: from now on clients are answered. */
  async #serve(parts: Parts, moves: ReplicaMoves): Promise<void> {
    const { logs, replicas, metadata } = parts;
    const { clock, disk, logger, offload, random } = this.#ports;
    const fetchSessions = new FetchSessions(
      { clock, random: random.fork("fetch sessions") },
      { maxSessions: () => this.#config["max.incremental.fetch.session.cache.slots"] },
    );
    const handlers = createHandlers(
      {
        ...{ ...parts, fetchSessions, moves, clock, disk, offload, logger },
        clusterId: logs.clusterId,
        greatestProducerId: () => greatestProducerId(logs),
        configAdmin: new ConfigAdmin({
          ...{ metadata, clock, logger, topicConfigs: this.#topicConfigs },
          settings: () => this.#live.settings,
          logLevels: this.#limits.logLevels ?? null,
        }),
      },
      this.#config,
    );
    const dispatcher = new Dispatcher(handlers, { clock, logger });
    await this.#listeners.serve((...request) => dispatcher.start(...request));
    this.#metrics = new BrokerMetrics({
      ...{ clock, logs, replicas, dispatcher, fetchSessions, listeners: this.#listeners },
      metadata: this.#metadataMetricsParts(
        metadata,
        (topic, index) => replicas.partition(topic, index)?.refusal(-1) === null,
      ),
    });
  }

  get #isBroker(): boolean {
    return this.#config["process.roles"].includes("broker");
  }

  #metadataMetricsParts(
    metadata: MetadataManager,
    isServed: MetadataMetricsParts["isServed"],
  ): MetadataMetricsParts {
    return {
      ...{ metadata, isServed, clock: this.#ports.clock },
      nodeId: this.#config["node.id"],
      isBroker: this.#isBroker,
      isController: this.#config["process.roles"].includes("controller"),
      uncleanLeaderElections: () => this.#uncleanElections.count,
    };
  }

  async #openLogs(timers: TimerQueue): Promise<LogManager> {
    const { clock, disk, logger, offload, random } = this.#ports;
    const logs = await LogManager.open(
      { disk, clock, random: random.fork("logs"), logger, timers, offload },
      { ...logManagerOptionsOf(this.#config), ...this.#limits },
    );
    this.#logs = logs;
    this.#clusterId = logs.clusterId;
    return logs;
  }

  async #openMetadata(logs: LogManager, timers: TimerQueue): Promise<NodeMetadata> {
    let brokerEpoch = (): number | null => null;
    this.#onClose(() => logs.close(brokerEpoch()));
    const rules = {
      topicConfigs: this.#topicConfigs,
      brokerText: (key: string) => this.#live.settings.text(key),
      brokerListDefault,
    };
    const node = await openNodeMetadata(
      {
        ...{ ports: this.#ports, logs, timers, signal: this.#stop.signal },
        watchRaft: this.#limits.watchRaft ?? ((raft) => raft),
        onClose: (close) => this.#onClose(close),
      },
      nodeMetadataOptionsOf(this.#config, rules, logs.clusterId),
    );
    const { metadata, lifecycle } = node;
    brokerEpoch = () => lifecycle.brokerEpoch;
    this.#metadata = metadata;
    metadata.subscribe((_image, delta) => this.#uncleanElections.observe(delta));
    return node;
  }

  async #openReplicas(logs: LogManager, { peers, ...node }: NodeMetadata): Promise<ReplicaManager> {
    const { clock, logger, random } = this.#ports;
    const nodeId = this.#config["node.id"];
    const parts = { clock, logger, logs, nodeId, memory: this.#listeners.budget };
    if (peers === null) {
      const replicas = new ReplicaManager(parts);
      this.#onClose(() => replicas.close());
      return replicas;
    }
    const { NodeReplication } = await loadQuorumModules();
    const streams = new NodeReplication(
      { ...node, peers, clock, logger, random: random.fork("replication") },
      {
        nodeId,
        lagMaxMs: this.#config["replica.lag.time.max.ms"].value,
        sessionTimeoutMs: this.#config["broker.session.timeout.ms"],
      },
    );
    this.#onClose(() => streams.close());
    const replicas = new ReplicaManager({ ...parts, replication: streams.replication });
    this.#onClose(() => replicas.close());
    streams.serve(replicas);
    return replicas;
  }

  /** Tells the cluster of this process, and opens all that it leads. */
  async #register(parts: Parts): Promise<void> {
    const { logs, metadata, lifecycle, replicas, coordinator, peers } = parts;
    const clientEndPoints = this.#listeners.bound;
    const address = peers?.hello().address ?? null;
    const endPoints =
      address === null
        ? clientEndPoints
        : [...clientEndPoints, { name: PEER_ENDPOINT, ...address }];
    metadata.subscribe((image, { removedTopics }) => {
      const cluster = clusterOverrides(image);
      this.#live.update({ cluster, broker: brokerOverrides(image, this.#config["node.id"]) });
      coordinator.onTopicsDeleted(removedTopics.map(({ name }) => name));
    });
    const publisher = new Publisher<Partition>(
      {
        replicas,
        coordinator: {
          onLeadership: (partitionIndex, leaderEpoch, partition) => {
            const load = (): void => {
              const log = partitionCoordinatorLog(partition);
              coordinator.onLeadership(partitionIndex, leaderEpoch, log);
            };
            // A shard ends with its log, and what it knew has to be read again.
            partition.setHealListener(() => {
              coordinator.onResignation(partitionIndex);
              load();
            });
            load();
          },
          onResignation: (partitionIndex) => coordinator.onResignation(partitionIndex),
        },
        topicConfigs: this.#topicConfigs,
        logger: this.#ports.logger,
      },
      { nodeId: this.#config["node.id"] },
    );
    const registered = lifecycle.start({
      broker: {
        endPoints: endPoints.map((endPoint) => ({ ...endPoint, securityProtocol: 0 })),
        rack: this.#config["broker.rack"],
        hasOfflineDirectories: logs.directories.some(({ isOnline }) => !isOnline),
        logDirs: logs.directories.flatMap(({ directoryId }) => directoryId ?? []),
        offlineDirectories: () =>
          logs.directories.flatMap(({ isOnline, directoryId }) =>
            isOnline ? [] : (directoryId ?? []),
          ),
        previousBrokerEpoch: logs.previousBrokerEpoch,
      },
      publisher,
      directoryOf: (topic, partitionIndex) => directoryOf(logs, topic, partitionIndex),
      storedPartitions: logs,
    });
    await untilAborted(this.#stop.signal, registered);
    const overruled = overruledNotice(this.#live.settings);
    if (overruled !== null) this.#ports.logger.warn({}, overruled);
    logs.setHealListener(() => void publisher.retry());
    logs.finishStart();
  }

  async #close(): Promise<void> {
    // A start that fails closes by itself; one that is under way is let finish first.
    await this.#starting.catch(() => undefined);
    const failures: unknown[] = [];
    for (const close of this.#closers.splice(0).reverse()) {
      // The next start recovers what one part leaves; the rest is closed all the same.
      await close().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0)
      throw new AggregateError(failures, "parts did not close as they should");
  }

  #onClose(close: () => Promise<void> | void): void {
    this.#closers.push(async () => {
      await close();
    });
  }
}

interface Parts extends NodeMetadata {
  readonly logs: LogManager;
  readonly replicas: ReplicaManager;
  readonly coordinator: GroupCoordinator;
}

/** Rejects with the signal's reason when that comes first. */
function untilAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject);
  });
}

function partitionCountOf(image: MetadataImage, topic: string): number | null {
  return image.topicsByName.get(topic)?.partitions.length ?? null;
}

/** Of all that a log here knows, or -1. */
function greatestProducerId(logs: LogManager): number {
  let greatest = -1;
  for (const log of logs.logsOnline()) greatest = Math.max(greatest, log.greatestProducerId);
  return greatest;
}

/** The id of the directory that holds the partition's log; null when it is not open. */
function directoryOf(logs: LogManager, topic: string, partitionIndex: number): Uuid | null {
  const log = logs.log(topic, partitionIndex);
  if (log === undefined) return null;
  const directory = logs.directories.find(({ path }) => log.directory.startsWith(`${path}/`));
  return must(directory, "a log lies in one of the directories").directoryId;
}
