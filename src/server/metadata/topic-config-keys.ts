import {
  BOOLEAN,
  type ConfigType,
  doubleType,
  intType,
  listType,
  longType,
  LONG_MAX_TEXT,
  oneOfType,
  THROTTLED_REPLICAS,
} from "../config-types.ts";

/** A key of the broker that gives the topic key its default, with its unit in the topic key's. */
export type Synonym = string | readonly [key: string, factor: number];

/** One key of a topic: all that anybody is told about it. */
export interface TopicConfigSpec<T> {
  readonly type: ConfigType<T>;
  /** A sentence. */
  readonly doc: string;
  readonly defaultText: string;
  /** The broker's keys, the first that is set wins. */
  readonly synonyms: readonly Synonym[];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const COMPRESSION_TYPES = ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"] as const;

/** Every setting that a topic has in Kafka 4.3 (LogConfig), with its range, default and synonyms. */
export const TOPIC_CONFIGS = {
  "cleanup.policy": config(
    "delete: old segments go; compact: the newest record of each key stays; or both.",
    listType(["compact", "delete"]),
    "delete",
    "log.cleanup.policy",
  ),
  "compression.gzip.level": config(
    "How hard gzip tries, where compression.type says gzip.",
    intType({ min: 1, max: 9, or: -1 }),
    "-1",
    "compression.gzip.level",
  ),
  "compression.lz4.level": config(
    "Read, for Kafka's sake: there is one level of lz4 here.",
    intType({ min: 1, max: 17 }),
    "9",
    "compression.lz4.level",
  ),
  "compression.type": config(
    "How batches are kept: as they were sent (producer), or all in one way.",
    oneOfType(COMPRESSION_TYPES),
    "producer",
    "compression.type",
  ),
  "compression.zstd.level": config(
    "How hard zstd tries, where compression.type says zstd.",
    intType({ min: -131072, max: 22 }),
    "3",
    "compression.zstd.level",
  ),
  "delete.retention.ms": config(
    "How long a deletion (a null value) can still be read after compaction.",
    longType({ min: 0 }),
    "86400000",
    "log.cleaner.delete.retention.ms",
  ),
  "file.delete.delay.ms": config(
    "How long the files of a segment that went stay, renamed, for those who still read them.",
    longType({ min: 0 }),
    "60000",
    "log.segment.delete.delay.ms",
  ),
  "flush.messages": config(
    "Sync after so many records. 1: every acknowledgement waits for the disk.",
    longType({ min: 1 }),
    LONG_MAX_TEXT,
    "log.flush.interval.messages",
  ),
  "flush.ms": config(
    "Sync so long after the first unsynced byte.",
    longType({ min: 0 }),
    LONG_MAX_TEXT,
    "log.flush.interval.ms",
    "log.flush.scheduler.interval.ms",
  ),
  "follower.replication.throttled.replicas": config(
    "No effect: a lone node has no followers.",
    THROTTLED_REPLICAS,
    "",
  ),
  "index.interval.bytes": config(
    "Bytes of log for each index entry.",
    intType({ min: 0 }),
    "4096",
    "log.index.interval.bytes",
  ),
  "leader.replication.throttled.replicas": config(
    "No effect: a lone node has no followers.",
    THROTTLED_REPLICAS,
    "",
  ),
  "local.retention.bytes": config(
    "No effect: tiered storage is not built yet.",
    longType({ min: -2 }),
    "-2",
    "log.local.retention.bytes",
  ),
  "local.retention.ms": config(
    "No effect: tiered storage is not built yet.",
    longType({ min: -2 }),
    "-2",
    "log.local.retention.ms",
  ),
  "max.compaction.lag.ms": config(
    "Older records are compacted, whatever the ratio.",
    longType({ min: 1 }),
    LONG_MAX_TEXT,
    "log.cleaner.max.compaction.lag.ms",
  ),
  "max.message.bytes": config(
    "The largest record batch that is taken.",
    intType({ min: 0 }),
    "1048588",
    "message.max.bytes",
  ),
  "message.timestamp.after.max.ms": config(
    "How far a record's time may lie in the future.",
    longType({ min: 0 }),
    "3600000",
    "log.message.timestamp.after.max.ms",
  ),
  "message.timestamp.before.max.ms": config(
    "How far a record's time may lie in the past.",
    longType({ min: 0 }),
    LONG_MAX_TEXT,
    "log.message.timestamp.before.max.ms",
  ),
  "message.timestamp.type": config(
    "Whose clock stamps records: the producer's or the broker's.",
    oneOfType(["CreateTime", "LogAppendTime"]),
    "CreateTime",
    "log.message.timestamp.type",
  ),
  "min.cleanable.dirty.ratio": config(
    "The part of a log that is not compacted yet from which on it is.",
    doubleType({ min: 0, max: 1 }),
    "0.5",
    "log.cleaner.min.cleanable.ratio",
  ),
  "min.compaction.lag.ms": config(
    "Younger records are not compacted.",
    longType({ min: 0 }),
    "0",
    "log.cleaner.min.compaction.lag.ms",
  ),
  "min.insync.replicas": config(
    "In-sync replicas without which acks=all is refused.",
    intType({ min: 1 }),
    "1",
    "min.insync.replicas",
  ),
  preallocate: config(
    "Where flush.messages asks for syncs: write zeros ahead of the log's end, so that small batches sync faster.",
    BOOLEAN,
    "false",
    "log.preallocate",
  ),
  "remote.log.copy.disable": config(
    "No effect: tiered storage is not built yet.",
    BOOLEAN,
    "false",
  ),
  "remote.log.delete.on.disable": config(
    "No effect: tiered storage is not built yet.",
    BOOLEAN,
    "false",
  ),
  "remote.storage.enable": config(
    "Refused when true: tiered storage is not built yet.",
    BOOLEAN,
    "false",
  ),
  "retention.bytes": config(
    "How much of a partition is kept; -1: all.",
    longType({}),
    "-1",
    "log.retention.bytes",
  ),
  "retention.ms": config(
    "How long records are kept, by the newest time in a segment; -1: for ever.",
    longType({ min: -1 }),
    "604800000",
    "log.retention.ms",
    ["log.retention.minutes", MINUTE_MS],
    ["log.retention.hours", HOUR_MS],
  ),
  "segment.bytes": config(
    "A segment file's size.",
    intType({ min: 1048576 }),
    "1073741824",
    "log.segment.bytes",
  ),
  "segment.index.bytes": config(
    "An index file's size.",
    intType({ min: 4 }),
    "10485760",
    "log.index.size.max.bytes",
  ),
  "segment.jitter.ms": config(
    "Each segment's age is shortened by a random part of this.",
    longType({ min: 0 }),
    "0",
    "log.roll.jitter.ms",
    ["log.roll.jitter.hours", HOUR_MS],
  ),
  "segment.ms": config("A segment's age.", longType({ min: 1 }), "604800000", "log.roll.ms", [
    "log.roll.hours",
    HOUR_MS,
  ]),
  "unclean.leader.election.enable": config(
    "Whether a replica that lags may lead when no other is left, which loses acknowledged data.",
    BOOLEAN,
    "false",
    "unclean.leader.election.enable",
  ),
} as const;

export type TopicConfigKey = keyof typeof TOPIC_CONFIGS;

export const TOPIC_CONFIG_KEYS = (Object.keys(TOPIC_CONFIGS) as TopicConfigKey[]).sort();

export function isTopicConfigKey(name: string): name is TopicConfigKey {
  return Object.hasOwn(TOPIC_CONFIGS, name);
}

function config<T>(
  doc: string,
  type: ConfigType<T>,
  defaultText: string,
  ...synonyms: readonly Synonym[]
): TopicConfigSpec<T> {
  return { doc, type, defaultText, synonyms };
}
