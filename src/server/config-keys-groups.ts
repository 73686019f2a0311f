import { int, long, short } from "./config-spec.ts";

// Groups and the offsets that they commit.

export const GROUP_KEYS = {
  "group.min.session.timeout.ms": int(6000, {}, "The shortest session that a member may ask for."),
  "group.max.session.timeout.ms": int(1800000, {}, "The longest."),
  "group.initial.rebalance.delay.ms": int(
    3000,
    { min: 0 },
    "How long an empty group waits for more members before its first rebalance.",
  ),
  "group.max.size": int(2147483647, { min: 1 }, "Members of a group."),
  "offset.metadata.max.bytes": int(4096, { min: 0 }, "The text that a commit may carry."),
  "offsets.topic.num.partitions": int(50, { min: 1 }, "Partitions of __consumer_offsets."),
  "offsets.topic.replication.factor": short(3, { min: 1 }, "Replicas of __consumer_offsets."),
  "offsets.topic.segment.bytes": int(104857600, { min: 1048576 }, "Its segment size."),
  "offsets.topic.compression.codec": int(
    0,
    { min: 0, max: 4 },
    "How its batches are packed. 0: not at all; 1: gzip; 2: snappy; 3: lz4; 4: zstd.",
  ),
  "offsets.retention.minutes": int(10080, { min: 1 }, "How long an empty group keeps offsets."),
  "offsets.retention.check.interval.ms": long(600000, { min: 1 }, "How often that is looked at."),
  "offsets.commit.timeout.ms": int(5000, { min: 1 }, "How long a commit may take."),
} as const;
