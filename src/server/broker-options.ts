import { must } from "../base/assert.ts";
import { COMPRESSION_TYPES } from "../protocol/records/batch.ts";
import type { LogManagerOptions } from "../storage/log-manager.ts";
import {
  listenerKey,
  type ListenerLimitKey,
  parseIpOverrides,
} from "./config-connection-limits.ts";
import type { BrokerConfig } from "./config-keys.ts";
import { isLoneNode } from "./config-quorum.ts";
import { peerTlsOf } from "./config-tls.ts";
import { listenersOf } from "./config.ts";
import type { GroupCoordinatorOptions } from "./coordinator/group-coordinator.ts";
import type { ConfigRules } from "./metadata/alter-configs.ts";
import type { BrokerLifecycleOptions } from "./metadata/broker-lifecycle.ts";
import type { MetadataManagerOptions } from "./metadata/metadata-manager.ts";
import type { NodeMetadataOptions, QuorumOptions } from "./node-metadata.ts";
import { type PeerOptions, peerOptionsOf } from "./peer-options.ts";
import { TopicConfigs } from "./metadata/topic-configs.ts";
import type { ConnectionLimits } from "./net/connection-limits.ts";
import type { ListenersOptions } from "./net/listeners.ts";

// The only place that knows both Kafka's keys and what the parts call them. What can change while the
// broker runs is a getter or a function: `config` is live (config-layers.ts).

const MINUTE_MS = 60 * 1000;

export function logManagerOptionsOf(config: BrokerConfig): LogManagerOptions {
  return {
    logDirs: config["log.dirs"],
    nodeId: config["node.id"],
    clusterId: config["holdfast.cluster.id"],
    mayMakeClusterId: isLoneNode(config, config.hostName),
    checkpointIntervalMs: config["log.flush.offset.checkpoint.interval.ms"],
    highWatermarkCheckpointIntervalMs:
      config["replica.high.watermark.checkpoint.interval.ms"].value,
    producerIdExpirationMs: () => config["producer.id.expiration.ms"],
    tailCacheBytes: config["holdfast.tail.cache.bytes"].value,
    retentionCheckIntervalMs: config["log.retention.check.interval.ms"].value,
    initialTaskDelayMs: config["log.initial.task.delay.ms"].value,
    ...(config["log.cleaner.enable"]
      ? {
          cleaner: {
            initialDelayMs: config["log.initial.task.delay.ms"].value,
            get backoffMs() {
              return config["log.cleaner.backoff.ms"].value;
            },
            get dedupeBufferBytes() {
              return config["log.cleaner.dedupe.buffer.size"].value;
            },
            get maxBytesPerSecond() {
              return Math.max(1, config["log.cleaner.io.max.bytes.per.second"]);
            },
          },
        }
      : {}),
  };
}

export function groupOptionsOf(config: BrokerConfig): GroupCoordinatorOptions {
  return {
    minSessionTimeoutMs: config["group.min.session.timeout.ms"],
    maxSessionTimeoutMs: config["group.max.session.timeout.ms"],
    maxSize: config["group.max.size"],
    initialRebalanceDelayMs: config["group.initial.rebalance.delay.ms"],
    offsetMetadataMaxBytes: config["offset.metadata.max.bytes"],
    offsetsRetentionMs: config["offsets.retention.minutes"] * MINUTE_MS,
    offsetsRetentionCheckIntervalMs: config["offsets.retention.check.interval.ms"].value,
    get maxBatchBytes() {
      return config["message.max.bytes"];
    },
    compression: must(
      COMPRESSION_TYPES[config["offsets.topic.compression.codec"]],
      "the codec is within its range",
    ),
    writeTimeoutMs: config["offsets.commit.timeout.ms"],
  };
}

export function listenersOptionsOf(
  config: BrokerConfig,
  maxOpenFiles = Infinity,
): ListenersOptions {
  return {
    listeners: listenersOf(config),
    limits: connectionLimitsOf(config, maxOpenFiles),
    maxRequestBytes: config["socket.request.max.bytes"],
    maxIdleMs: config["connections.max.idle.ms"].value,
    maxQueuedRequestBytes: config["queued.max.request.bytes"].value,
  };
}

/** Connections may take half of the files that the process may open: logs need theirs. */
const CONNECTIONS_SHARE = 1 / 2;

/** Reads the settings at each use, as they can change. */
function connectionLimitsOf(config: BrokerConfig, maxOpenFiles: number): ConnectionLimits {
  const ownLimit = (listenerName: string, key: ListenerLimitKey): number =>
    Number(config.given.get(listenerKey(listenerName, key)) ?? Infinity);
  return {
    get maxConnections() {
      return Math.min(config["max.connections"], Math.floor(maxOpenFiles * CONNECTIONS_SHARE));
    },
    get maxConnectionsPerIp() {
      return config["max.connections.per.ip"];
    },
    get maxConnectionsPerIpOverrides() {
      return parseIpOverrides(config["max.connections.per.ip.overrides"]);
    },
    get maxCreationRate() {
      return config["max.connection.creation.rate"];
    },
    ofListener: (name) => ({
      maxConnections: ownLimit(name, "max.connections"),
      maxCreationRate: ownLimit(name, "max.connection.creation.rate"),
    }),
  };
}

/** What topics inherit from the broker's settings as they were read at the start. */
export function topicConfigsOf({ given, ...config }: BrokerConfig): TopicConfigs {
  return new TopicConfigs((key) => given.get(key) ?? null, config["node.id"]);
}

function lifecycleOptionsOf(config: BrokerConfig, clusterId: string): BrokerLifecycleOptions {
  return {
    nodeId: config["node.id"],
    clusterId,
    heartbeatIntervalMs: config["broker.heartbeat.interval.ms"],
    sessionTimeoutMs: config["broker.session.timeout.ms"],
  };
}

export function nodeMetadataOptionsOf(
  config: BrokerConfig,
  configRules: ConfigRules,
  clusterId: string,
): NodeMetadataOptions {
  const peers = peerOptionsOf(config);
  return {
    nodeId: config["node.id"],
    quorum: peers === null ? null : quorumOptionsOf(peers, config),
    snapshots: {
      maxBytes: config["metadata.log.max.record.bytes.between.snapshots"].value,
      maxIntervalMs: config["metadata.log.max.snapshot.interval.ms"].value,
    },
    metadata: metadataOptionsOf(config, configRules),
    lifecycle: lifecycleOptionsOf(config, clusterId),
  };
}

function quorumOptionsOf(peers: PeerOptions, config: BrokerConfig): QuorumOptions {
  const { nodeId, listener, voters, bootstrap, timing, fetchMaxBytes } = peers;
  return {
    ...{ nodeId, voters, bootstrap, timing, fetchMaxBytes },
    listen: { host: listener.host, port: listener.port },
    advertised: { host: listener.advertisedHost, port: listener.advertisedPort },
    tls: peerTlsOf(config),
    controllerListenerName: must(
      config["controller.listener.names"][0],
      "was checked",
    ).toUpperCase(),
  };
}

function metadataOptionsOf(config: BrokerConfig, configRules: ConfigRules): MetadataManagerOptions {
  const { topicConfigs } = configRules;
  return {
    nodeId: config["node.id"],
    configRules,
    sessionTimeoutMs: config["broker.session.timeout.ms"],
    balance: () => ({
      isBalanced: config["auto.leader.rebalance.enable"],
      balanceIntervalMs: config["leader.imbalance.check.interval.seconds"].value * 1000,
      electionIntervalMs: config["unclean.leader.election.interval.ms"].value,
      recoveryWaitMs: waitOf(config["holdfast.recovery.wait.ms"].value),
    }),
    defaults: {
      numPartitions: config["num.partitions"],
      replicationFactor: config["default.replication.factor"],
      topicConfigs,
    },
    internalTopics: {
      offsetsPartitions: config["offsets.topic.num.partitions"],
      offsetsReplicationFactor: config["offsets.topic.replication.factor"],
      offsetsSegmentBytes: config["offsets.topic.segment.bytes"],
    },
  };
}

/** -1: for ever. */
function waitOf(ms: number): number {
  return ms === -1 ? Infinity : ms;
}
