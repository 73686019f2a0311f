import type { LogConfig } from "../../storage/log-config.ts";
import { type ConfigType, ConfigValueError, type LongSetting } from "../config-types.ts";
import {
  brokerOverrides,
  clusterOverrides,
  type ConfigImage,
  type MetadataImage,
} from "./image.ts";
import {
  isTopicConfigKey,
  TOPIC_CONFIG_KEYS,
  TOPIC_CONFIGS,
  type TopicConfigKey,
  type TopicConfigSpec,
} from "./topic-config-keys.ts";

export { isTopicConfigKey, type TopicConfigKey } from "./topic-config-keys.ts";

type ValueOf<S> = S extends TopicConfigSpec<infer T> ? (T extends LongSetting ? number : T) : never;

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

/** Kafka's ConfigSource number. */
export function configSourceId(source: ConfigSource): number {
  return SOURCE_IDS[source];
}

/** The text of a broker's setting as its properties file has it; null: it was not set. */
export type BrokerSetting = (key: string) => string | null;

/** What was set while the cluster ran, for all brokers and for this one. */
interface Dynamic {
  readonly cluster: ConfigImage;
  readonly broker: ConfigImage;
}

const NOTHING: ConfigImage = new Map();

/**
 * The settings of topics: what a topic was given, over what was set for this broker and for all of them,
 * over this broker's own log.* keys, over Kafka's defaults. Immutable.
 */
export class TopicConfigs {
  readonly #brokerSetting: BrokerSetting;
  readonly #nodeId: number;
  readonly #dynamic: Dynamic;
  readonly #defaults: ReadonlyMap<TopicConfigKey, TopicConfigEntry>;
  readonly #inherited: TopicConfig;
  /** The last that `under` made: settings of brokers seldom change. */
  #under: TopicConfigs | null = null;

  /** `brokerSetting` answers for what is set in this broker's properties. */
  constructor(
    brokerSetting: BrokerSetting,
    nodeId = -1,
    dynamic: Dynamic = { cluster: NOTHING, broker: NOTHING },
  ) {
    this.#brokerSetting = brokerSetting;
    this.#nodeId = nodeId;
    this.#dynamic = dynamic;
    this.#defaults = new Map(
      TOPIC_CONFIG_KEYS.map((name) => [name, inherited(name, brokerSetting, dynamic)]),
    );
    const texts = [...this.#defaults].map(([name, { value }]) => [name, value] as const);
    this.#inherited = valuesOf(texts) as TopicConfig; // Every key is among them.
  }

  /** The same with what the image has for brokers. */
  under(image: MetadataImage): TopicConfigs {
    const dynamic = {
      cluster: clusterOverrides(image),
      broker: brokerOverrides(image, this.#nodeId),
    };
    const known = this.#under ?? this;
    const { cluster, broker } = known.#dynamic;
    if (cluster === dynamic.cluster && broker === dynamic.broker) return known;
    this.#under = new TopicConfigs(this.#brokerSetting, this.#nodeId, dynamic);
    return this.#under;
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
    if (overrides.size === 0) return this.#inherited;
    const own = [...overrides].filter(([name]) => isTopicConfigKey(name));
    return { ...this.#inherited, ...valuesOf(own) };
  }

  /** All settings with their sources, by name. */
  entries(overrides: ReadonlyMap<string, string>): readonly TopicConfigEntry[] {
    return [...this.#defaults.values()].map((entry) => {
      const value = overrides.get(entry.name);
      return value === undefined ? entry : { name: entry.name, value, source: "topic" };
    });
  }
}

function valuesOf(texts: readonly (readonly [string, string])[]): Partial<TopicConfig> {
  const values = texts.map(([name, text]) => {
    const type: ConfigType<unknown> = TOPIC_CONFIGS[name as TopicConfigKey].type;
    const value = type.parse(name, text);
    return [name, type.kind === "long" ? (value as LongSetting).value : value] as const;
  });
  return Object.fromEntries(values); // Made of the table's own keys.
}

/** What a topic has that was given nothing: the first key of the broker that is set counts. */
function inherited(
  name: TopicConfigKey,
  brokerSetting: BrokerSetting,
  dynamic: Dynamic,
): TopicConfigEntry {
  const { defaultText, synonyms, type }: TopicConfigSpec<unknown> = TOPIC_CONFIGS[name];
  for (const synonym of synonyms) {
    const [key, factor] = typeof synonym === "string" ? [synonym, 1] : synonym;
    const found = lookUp(key, brokerSetting, dynamic);
    if (found === null) continue;
    // A negative time means for ever, in whatever unit.
    const value =
      factor === 1
        ? type.format(type.parse(name, found.text))
        : String(Number(found.text) < 0 ? -1 : Number(found.text) * factor);
    return { name, value, source: found.source };
  }
  return { name, value: defaultText, source: "default" };
}

function lookUp(
  key: string,
  brokerSetting: BrokerSetting,
  { broker, cluster }: Dynamic,
): { readonly text: string; readonly source: ConfigSource } | null {
  const layers = [
    ["dynamicBroker", broker.get(key)],
    ["dynamicDefault", cluster.get(key)],
    ["staticBroker", brokerSetting(key)],
  ] as const;
  for (const [source, text] of layers) {
    if (text !== undefined && text !== null) return { text, source };
  }
  return null;
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
    preallocate: config.preallocate,
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
