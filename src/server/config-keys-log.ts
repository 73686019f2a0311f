import {
  boolean,
  clusterWide,
  double,
  int,
  internal,
  list,
  long,
  oneOf,
  optionalInt,
  optionalLong,
} from "./config-spec.ts";
import { LONG_MAX_TEXT } from "./config-types.ts";

// Topics and their logs; most are what a topic inherits (metadata/topic-configs.ts).

export const TOPIC_KEYS = {
  "auto.create.topics.enable": boolean(true, "Whether asking for a topic may create it."),
  "delete.topic.enable": boolean(true, "Whether topics can be deleted."),
  "num.partitions": int(1, { min: 1 }, "Partitions of a topic that does not say."),
  "default.replication.factor": int(1, { min: 1, max: 32767 }, "Replicas of such a topic."),
  "min.insync.replicas": clusterWide(
    int(1, { min: 1 }, "In-sync replicas without which acks=all is refused."),
  ),
  "unclean.leader.election.enable": clusterWide(
    boolean(
      false,
      "Whether a replica that lags may lead when no other is left, which loses acknowledged data.",
    ),
  ),
  "message.max.bytes": clusterWide(
    int(1048588, { min: 0 }, "The largest record batch that is taken."),
  ),
  "compression.type": clusterWide(
    oneOf(
      "producer",
      ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
      "How batches are kept: as they were sent (producer), or all in one way.",
    ),
  ),
  "compression.gzip.level": clusterWide(
    int(-1, { min: 1, max: 9, or: -1 }, "Then: how hard gzip tries."),
  ),
  "compression.lz4.level": clusterWide(
    int(9, { min: 1, max: 17 }, "Read, for Kafka's sake: there is one level of lz4 here."),
  ),
  "compression.zstd.level": clusterWide(
    int(3, { min: -131072, max: 22 }, "Then: how hard zstd tries."),
  ),
  "fetch.max.bytes": int(57671680, { min: 1024 }, "The most that one Fetch answers."),
  "producer.id.expiration.ms": clusterWide(
    int(86400000, { min: 1 }, "How long an idle idempotent producer is remembered."),
  ),
} as const;

export const LOG_KEYS = {
  "log.segment.bytes": clusterWide(int(1073741824, { min: 1048576 }, "A segment file's size.")),
  "log.roll.ms": clusterWide(optionalLong({ min: 1 }, "A segment's age; default: log.roll.hours.")),
  "log.roll.hours": int(168, { min: 1 }, "The same in hours."),
  "log.roll.jitter.ms": clusterWide(
    optionalLong(
      { min: 0 },
      "Each segment's age is shortened by a random part of this; default: log.roll.jitter.hours.",
    ),
  ),
  "log.roll.jitter.hours": int(0, { min: 0 }, "The same in hours."),
  "log.index.interval.bytes": clusterWide(
    int(4096, { min: 0 }, "Bytes of log for each index entry."),
  ),
  "log.index.size.max.bytes": clusterWide(int(10485760, { min: 4 }, "An index file's size.")),
  "log.flush.interval.messages": clusterWide(
    long(
      LONG_MAX_TEXT,
      { min: 1 },
      "Sync after so many records. 1: every acknowledgement waits for the disk.",
    ),
  ),
  "log.flush.interval.ms": clusterWide(
    optionalLong(
      { min: 0 },
      "Sync so long after the first unsynced byte; default: log.flush.scheduler.interval.ms.",
    ),
  ),
  "log.flush.scheduler.interval.ms": long(
    LONG_MAX_TEXT,
    { min: 0 },
    "Only the default of log.flush.interval.ms: a timer of its own replaces Kafka's scheduler.",
  ),
  "log.preallocate": clusterWide(
    boolean(
      false,
      "Where a count asks for syncs: write zeros ahead of the log's end, so that small batches sync faster.",
    ),
  ),
  "log.flush.offset.checkpoint.interval.ms": int(
    60000,
    { min: 0 },
    "How often it is noted how far logs are synced, which a recovery starts from.",
  ),
  "replica.high.watermark.checkpoint.interval.ms": long(
    5000,
    { min: 1 },
    "How often high watermarks and recovery points are noted.",
  ),
  "log.message.timestamp.type": clusterWide(
    oneOf(
      "CreateTime",
      ["CreateTime", "LogAppendTime"],
      "Whose clock stamps records: the producer's or the broker's.",
    ),
  ),
  "log.message.timestamp.before.max.ms": clusterWide(
    long(LONG_MAX_TEXT, { min: 0 }, "How far a record's time may lie in the past."),
  ),
  "log.message.timestamp.after.max.ms": clusterWide(
    long(3600000, { min: 0 }, "How far a record's time may lie in the future."),
  ),
} as const;

export const RETENTION_KEYS = {
  "log.cleanup.policy": clusterWide(
    list(
      "delete",
      "delete: old segments go; compact: the newest record of each key stays; or both.",
      ["compact", "delete"],
    ),
  ),
  "log.retention.ms": clusterWide(
    optionalLong(
      { min: -1 },
      "How long records are kept, by the newest time in a segment; -1: for ever.",
    ),
  ),
  "log.retention.minutes": optionalInt({}, "The same in minutes."),
  "log.retention.hours": int(168, {}, "The same in hours."),
  "log.retention.bytes": clusterWide(
    long(-1, { min: -1 }, "How much of a partition is kept; -1: all."),
  ),
  "log.retention.check.interval.ms": long(
    300000,
    { min: 1 },
    "How often it is looked for segments that may go.",
  ),
  "log.initial.task.delay.ms": internal(
    long(30000, { min: 0 }, "How long after the start that, and compaction, begin."),
  ),
  "log.segment.delete.delay.ms": clusterWide(
    long(
      60000,
      { min: 0 },
      "How long the files of a segment that went stay, renamed, for those who still read them.",
    ),
  ),
  "log.cleaner.enable": boolean(true, "Whether compacted topics are compacted."),
  "log.cleaner.backoff.ms": clusterWide(
    long(15000, { min: 0 }, "How long compaction rests with nothing to do."),
  ),
  "log.cleaner.dedupe.buffer.size": clusterWide(
    long(134217728, { min: 1048576 }, "Memory for the keys of one round of compaction."),
  ),
  "log.cleaner.io.max.bytes.per.second": clusterWide(
    double(Number.MAX_VALUE, { min: 0 }, "How much compaction reads and writes."),
  ),
  "log.cleaner.min.cleanable.ratio": clusterWide(
    double(
      0.5,
      { min: 0, max: 1 },
      "The part of a log that is not compacted yet from which on it is.",
    ),
  ),
  "log.cleaner.delete.retention.ms": clusterWide(
    long(
      86400000,
      { min: 0 },
      "How long a deletion (a null value) can still be read after compaction.",
    ),
  ),
  "log.cleaner.min.compaction.lag.ms": clusterWide(
    long(0, { min: 0 }, "Younger records are not compacted."),
  ),
  "log.cleaner.max.compaction.lag.ms": clusterWide(
    long(LONG_MAX_TEXT, { min: 1 }, "Older records are, whatever the ratio."),
  ),
} as const;
