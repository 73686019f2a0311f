import type { LogConfig } from "../../storage/log-config.ts";
import {
  boolean,
  type ConfigType,
  ConfigValueError,
  double,
  int,
  listOf,
  long,
  LONG_MAX_TEXT,
  oneOf,
  throttledReplicas,
} from "./config-value.ts";

/** A key of the broker that gives the topic key its default, with its unit in the topic key's. */
type Synonym = string | readonly [key: string, factor: number];

interface TopicConfigSpec<T> {
  readonly type: ConfigType<T>;
  readonly defaultText: string;
  /** The broker's keys, the first that is set wins. */
  readonly synonyms: readonly Synonym[];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const COMPRESSION_TYPES = ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"] as const;

/** Every setting that a topic has in Kafka 4.3 (LogConfig), with its range, default and synonyms. */
const TOPIC_CONFIGS = {
  "cleanup.policy": config(listOf(["compact", "delete"]), "delete", "log.cleanup.policy"),
  "compression.gzip.level": config(int({ min: 1, max: 9, or: -1 }), "-1", "compression.gzip.level"),
  "compression.lz4.level": config(int({ min: 1, max: 17 }), "9", "compression.lz4.level"),
  "compression.type": config(oneOf(COMPRESSION_TYPES), "producer", "compression.type"),
  "compression.zstd.level": config(int({ min: -131072, max: 22 }), "3", "compression.zstd.level"),
  "delete.retention.ms": config(long({ min: 0 }), "86400000", "log.cleaner.delete.retention.ms"),
  "file.delete.delay.ms": config(long({ min: 0 }), "60000", "log.segment.delete.delay.ms"),
  "flush.messages": config(long({ min: 1 }), LONG_MAX_TEXT, "log.flush.interval.messages"),
  "flush.ms": config(
    long({ min: 0 }),
    LONG_MAX_TEXT,
    "log.flush.interval.ms",
    "log.flush.scheduler.interval.ms",
  ),
  "follower.replication.throttled.replicas": config(throttledReplicas, ""),
  "index.interval.bytes": config(int({ min: 0 }), "4096", "log.index.interval.bytes"),
  "leader.replication.throttled.replicas": config(throttledReplicas, ""),
  "local.retention.bytes": config(long({ min: -2 }), "-2", "log.local.retention.bytes"),
  "local.retention.ms": config(long({ min: -2 }), "-2", "log.local.retention.ms"),
  "max.compaction.lag.ms": config(
    long({ min: 1 }),
    LONG_MAX_TEXT,
    "log.cleaner.max.compaction.lag.ms",
  ),
  "max.message.bytes": config(int({ min: 0 }), "1048588", "message.max.bytes"),
  "message.timestamp.after.max.ms": config(
    long({ min: 0 }),
    "3600000",
    "log.message.timestamp.after.max.ms",
  ),
  "message.timestamp.before.max.ms": config(
    long({ min: 0 }),
    LONG_MAX_TEXT,
    "log.message.timestamp.before.max.ms",
  ),
  "message.timestamp.type": config(
    oneOf(["CreateTime", "LogAppendTime"]),
    "CreateTime",
    "log.message.timestamp.type",
  ),
  "min.cleanable.dirty.ratio": config(
    double({ min: 0, max: 1 }),
    "0.5",
    "log.cleaner.min.cleanable.ratio",
  ),
  "min.compaction.lag.ms": config(long({ min: 0 }), "0", "log.cleaner.min.compaction.lag.ms"),
  "min.insync.replicas": config(int({ min: 1 }), "1", "min.insync.replicas"),
  preallocate: config(boolean, "false", "log.preallocate"),
  "remote.log.copy.disable": config(boolean, "false"),
  "remote.log.delete.on.disable": config(boolean, "false"),
  "remote.storage.enable": config(boolean, "false"),
  "retention.bytes": config(long(), "-1", "log.retention.bytes"),
  "retention.ms": config(
    long({ min: -1 }),
    "604800000",
    "log.retention.ms",
    ["log.retention.minutes", MINUTE_MS],
    ["log.retention.hours", HOUR_MS],
  ),
  "segment.bytes": config(int({ min: 1048576 }), "1073741824", "log.segment.bytes"),
  "segment.index.bytes": config(int({ min: 4 }), "10485760", "log.index.size.max.bytes"),
  "segment.jitter.ms": config(long({ min: 0 }), "0", "log.roll.jitter.ms", [
    "log.roll.jitter.hours",
    HOUR_MS,
  ]),
  "segment.ms": config(long({ min: 1 }), "604800000", "log.roll.ms", ["log.roll.hours", HOUR_MS]),
  "unclean.leader.election.enable": config(boolean, "false", "unclean.leader.election.enable"),
} as const;

export type TopicConfigKey = keyof typeof TOPIC_CONFIGS;

type ValueOf<S> = S extends TopicConfigSpec<infer T> ? T : never;

/** The settings that hold for a topic. Long ones are clamped to 2^53 - 1. */
export type TopicConfig = {
  readonly [K in TopicConfigKey]: ValueOf<(typeof TOPIC_CONFIGS)[K]>;
};

/** Where a value comes from; `configSourceId` gives Kafka's number. */
export type ConfigSource =
  "topic" | "dynamicBroker" | "dynamicDefault" | "staticBroker" | "default";

/** One setting as clients are told it. */
export interface TopicConfigEntry {
  readonly name: TopicConfigKey;
  readonly value: string;
  readonly source: ConfigSource;
}

const SOURCE_IDS: Readonly<Record<ConfigSource, number>> = {
  topic: 1,
  dynamicBroker: 2,
  dynamicDefault: 3,
  staticBroker: 4,
  default: 5,
};

const KEYS = (Object.keys(TOPIC_CONFIGS) as TopicConfigKey[]).sort();

/** Kafka's ConfigSource number. */
export function configSourceId(source: ConfigSource): number {
  return SOURCE_IDS[source];
}

export function isTopicConfigKey(name: string): name is TopicConfigKey {
  return Object.hasOwn(TOPIC_CONFIGS, name);
}

/** The text of a broker's setting as its properties file would have it; null: not set. */
export type BrokerSetting = (key: string) => string | null;

/**
 * The settings of this broker's topics: what a topic was given, over the broker's log.* keys, over
 * Kafka's defaults. Pure; one for the life of the broker.
 */
export class TopicConfigs {
  readonly #defaults: ReadonlyMap<TopicConfigKey, TopicConfigEntry>;

  /** `brokerSetting` answers for the broker's keys that it has; an unset key is null. */
  constructor(brokerSetting: BrokerSetting) {
    this.#defaults = new Map(KEYS.map((name) => [name, defaultEntry(name, brokerSetting)]));
  }

  /** Why a topic may not have these settings, in Kafka's words; null when it may. */
  problem(overrides: ReadonlyMap<string, string>): string | null {
    for (const name of overrides.keys()) {
      if (!isTopicConfigKey(name)) return `Unknown topic config name: ${name}`;
    }
    try {
      return conflict(this.effective(overrides));
    } catch (error) {
      if (error instanceof ConfigValueError) return error.message;
      throw error;
    }
  }

  /** The settings that hold. Throws ConfigValueError when `problem` has one. */
  effective(overrides: ReadonlyMap<string, string>): TopicConfig {
    const values = KEYS.map((name) => {
      const text = overrides.get(name) ?? this.#defaults.get(name)?.value ?? "";
      const type: ConfigType<unknown> = TOPIC_CONFIGS[name].type;
      return [name, type.parse(name, text)] as const;
    });
    return Object.fromEntries(values) as unknown as TopicConfig; // Made of the table's own keys.
  }

  /** All settings with their sources, by name. */
  entries(overrides: ReadonlyMap<string, string>): readonly TopicConfigEntry[] {
    return [...this.#defaults.values()].map((entry) => {
      const value = overrides.get(entry.name);
      return value === undefined ? entry : { name: entry.name, value, source: "topic" };
    });
  }
}

/** What a topic's settings say to its logs. */
export function toLogConfig(config: TopicConfig): LogConfig {
  return {
    segmentBytes: config["segment.bytes"],
    segmentMs: config["segment.ms"],
    indexIntervalBytes: config["index.interval.bytes"],
    segmentIndexBytes: config["segment.index.bytes"],
    flushMessages: unlessUnbounded(config["flush.messages"]),
    flushMs: unlessUnbounded(config["flush.ms"]),
    maxMessageBytes: config["max.message.bytes"],
    timestampType: config["message.timestamp.type"],
    timestampBeforeMaxMs: unlessUnbounded(config["message.timestamp.before.max.ms"]),
    timestampAfterMaxMs: unlessUnbounded(config["message.timestamp.after.max.ms"]),
    segmentJitterMs: config["segment.jitter.ms"],
    compressionType: config["compression.type"],
    compressionLevel: compressionLevelOf(config),
    cleanupPolicy: {
      compacts: config["cleanup.policy"].includes("compact"),
      deletes: config["cleanup.policy"].includes("delete"),
    },
    retentionMs: unlessNegative(config["retention.ms"]),
    retentionBytes: unlessNegative(config["retention.bytes"]),
    deleteRetentionMs: config["delete.retention.ms"],
    fileDeleteDelayMs: config["file.delete.delay.ms"],
    minCleanableDirtyRatio: config["min.cleanable.dirty.ratio"],
    minCompactionLagMs: config["min.compaction.lag.ms"],
    maxCompactionLagMs: unlessUnbounded(config["max.compaction.lag.ms"]),
  };
}

/** Our lz4 has one level, and snappy none at all. */
function compressionLevelOf(config: TopicConfig): number | null {
  switch (config["compression.type"]) {
    case "gzip":
      return config["compression.gzip.level"];
    case "zstd":
      return config["compression.zstd.level"];
    default:
      return null;
  }
}

/** Below zero: no bound. */
function unlessNegative(value: number): number {
  return value < 0 ? Infinity : unlessUnbounded(value);
}

function unlessUnbounded(value: number): number {
  return value === Number.MAX_SAFE_INTEGER ? Infinity : value;
}

function config<T>(
  type: ConfigType<T>,
  defaultText: string,
  ...synonyms: readonly Synonym[]
): TopicConfigSpec<T> {
  return { type, defaultText, synonyms };
}

function defaultEntry(name: TopicConfigKey, brokerSetting: BrokerSetting): TopicConfigEntry {
  const { defaultText, synonyms } = TOPIC_CONFIGS[name];
  for (const synonym of synonyms) {
    const [key, factor] = typeof synonym === "string" ? [synonym, 1] : synonym;
    const text = brokerSetting(key);
    if (text === null) continue;
    // A negative time means for ever, in whatever unit.
    const value = factor === 1 ? text : String(Number(text) < 0 ? -1 : Number(text) * factor);
    return { name, value, source: value === defaultText ? "default" : "staticBroker" };
  }
  return { name, value: defaultText, source: "default" };
}

/** What no single value shows. */
function conflict(config: TopicConfig): string | null {
  const minLagMs = config["min.compaction.lag.ms"];
  const maxLagMs = config["max.compaction.lag.ms"];
  if (minLagMs > maxLagMs) {
    return (
      "conflict topic config setting min.compaction.lag.ms " +
      `(${minLagMs}) > max.compaction.lag.ms (${maxLagMs})`
    );
  }
  if (config["remote.storage.enable"]) {
    return (
      "Tiered Storage functionality is disabled in the broker. " +
      "Topic cannot be configured with remote log storage."
    );
  }
  return null;
}
