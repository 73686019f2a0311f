import { describe, expect, test } from "vitest";
import { DEFAULT_LOG_CONFIG } from "../../../src/storage/log-config.ts";
import { TopicConfigs, toLogConfig } from "../../../src/server/metadata/topic-configs.ts";

const configs = new TopicConfigs(() => null);
const problem = (values: Record<string, string>) =>
  configs.problem(new Map(Object.entries(values)));

const invalid = (name: string, value: string, reason: string) =>
  `Invalid value ${value} for configuration ${name}: ${reason}`;

// As Kafka 4.3.1 answered, but for the last two.
test.each<[string, string, string | null]>([
  ["segment.bytes", "abc", "Not a number of type INT"],
  ["segment.bytes", "", "Not a number of type INT"],
  ["segment.bytes", "1", "Value must be at least 1048576"],
  ["segment.bytes", "3000000000", "Not a number of type INT"],
  ["segment.bytes", " 1048577 ", null],
  ["segment.bytes", "+1048577", null],
  ["retention.ms", "-2", "Value must be at least -1"],
  ["retention.ms", "-1", null],
  ["retention.ms", "99999999999999999999", "Not a number of type LONG"],
  ["retention.bytes", "-7", null],
  ["segment.jitter.ms", "9999999999999", null],
  ["cleanup.policy", "foo", "String must be one of: compact, delete"],
  ["cleanup.policy", "Compact", "String must be one of: compact, delete"],
  ["cleanup.policy", "compact, delete", null],
  ["cleanup.policy", "", null],
  ["preallocate", "yes", "Expected value to be either true or false"],
  ["preallocate", "TRUE", null],
  ["min.cleanable.dirty.ratio", "1.5", "Value must be no more than 1"],
  ["min.cleanable.dirty.ratio", "x", "Not a number of type DOUBLE"],
  ["min.cleanable.dirty.ratio", " .25d ", null],
  ["compression.gzip.level", "10", "Value must be between 1 and 9 or equal to -1"],
  ["compression.gzip.level", "-1", null],
  ["compression.lz4.level", "0", "Value must be at least 1"],
  ["compression.zstd.level", "23", "Value must be no more than 22"],
  [
    "compression.type",
    "GZIP",
    "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
  ],
  ["message.timestamp.type", "foo", "String must be one of: CreateTime, LogAppendTime"],
  ["leader.replication.throttled.replicas", "0:1,1:2", null],
  ["leader.replication.throttled.replicas", "*", null],
  ["min.insync.replicas", "5", null],
  ["compression.type", "gzip", null],
  ["compression.type", "uncompressed", null],
])("%s=%s: %s", (name, value, reason) => {
  expect(problem({ [name]: value })).toBe(reason === null ? null : invalid(name, value, reason));
});

test("what Kafka says in other words is said in those", () => {
  expect(problem({ "cleanup.policy": "compact," })).toBe(
    "Configuration 'cleanup.policy' values must not be empty.",
  );
  expect(problem({ "follower.replication.throttled.replicas": "foo" })).toBe(
    "Invalid value [foo] for configuration follower.replication.throttled.replicas: " +
      "follower.replication.throttled.replicas must be the literal '*' or a list of replicas in the " +
      "following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
  );
  expect(problem({ "remote.storage.enable": "true" })).toBe(
    "Tiered Storage functionality is disabled in the broker. " +
      "Topic cannot be configured with remote log storage.",
  );
  expect(problem({ "min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5" })).toBe(
    "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
  );
});

describe("what holds for a topic", () => {
  const broker = new Map([
    ["log.retention.hours", "1"],
    ["log.roll.ms", "5000"],
    ["log.roll.hours", "168"],
    ["log.flush.interval.messages", "10"],
  ]);
  const ofBroker = new TopicConfigs((key) => broker.get(key) ?? null);

  test("is its own setting over the broker's over Kafka's, in the topic's unit", () => {
    const effective = ofBroker.effective(new Map([["flush.messages", "1"]]));
    expect(effective["flush.messages"]).toBe(1);
    expect(effective["retention.ms"]).toBe(3_600_000);
    expect(effective["segment.ms"]).toBe(5_000);
    expect(effective["segment.bytes"]).toBe(1024 ** 3);
  });

  test("is told with its source", () => {
    const entries = ofBroker.entries(new Map([["flush.messages", "1"]]));
    const sourceOf = (name: string) => entries.find((entry) => entry.name === name)?.source;
    expect(sourceOf("flush.messages")).toBe("topic");
    expect(sourceOf("segment.ms")).toBe("staticBroker");
    expect(sourceOf("segment.bytes")).toBe("default");
  });

  test("says to a log that flushing is off where Kafka says Long.MAX_VALUE", () => {
    expect(toLogConfig(configs.effective(new Map()))).toMatchObject({
      flushMessages: Infinity,
      flushMs: Infinity,
      segmentBytes: 1024 ** 3,
      maxMessageBytes: 1_048_588,
      timestampType: "CreateTime",
      timestampBeforeMaxMs: Infinity,
      timestampAfterMaxMs: 3_600_000,
    });
    const flushed = configs.effective(new Map([["flush.messages", "1"]]));
    expect(toLogConfig(flushed).flushMessages).toBe(1);
  });

  test("says to a log what Kafka's defaults are, where nothing else was said", () => {
    expect(toLogConfig(configs.effective(new Map()))).toEqual({
      ...DEFAULT_LOG_CONFIG,
      compressionLevel: null,
    });
  });

  test("says to a log how it is cleaned up", () => {
    const topic = {
      "cleanup.policy": "delete,compact",
      "retention.ms": "-1",
      "retention.bytes": "1000",
      "delete.retention.ms": "1",
      "file.delete.delay.ms": "2",
      "min.cleanable.dirty.ratio": "0.25",
      "min.compaction.lag.ms": "3",
      "max.compaction.lag.ms": "4",
      "segment.jitter.ms": "5",
    };
    const effective = configs.effective(new Map(Object.entries(topic)));
    expect(toLogConfig(effective)).toMatchObject({
      cleanupPolicy: { compacts: true, deletes: true },
      retentionMs: Infinity,
      retentionBytes: 1000,
      deleteRetentionMs: 1,
      fileDeleteDelayMs: 2,
      minCleanableDirtyRatio: 0.25,
      minCompactionLagMs: 3,
      maxCompactionLagMs: 4,
      segmentJitterMs: 5,
    });
    const none = configs.effective(new Map([["cleanup.policy", ""]]));
    expect(toLogConfig(none).cleanupPolicy).toEqual({ compacts: false, deletes: false });
  });

  test.each([
    ["producer", null],
    ["uncompressed", null],
    ["snappy", null],
    ["lz4", null],
    ["gzip", 6],
    ["zstd", 7],
  ])("says to a log how %s is packed", (type, compressionLevel) => {
    const topic = [
      ["compression.type", type],
      ["compression.gzip.level", "6"],
      ["compression.zstd.level", "7"],
    ] as const;
    const effective = configs.effective(new Map(topic));
    expect(toLogConfig(effective)).toMatchObject({ compressionType: type, compressionLevel });
  });

  test("a negative retention of the broker is for ever, in any unit", () => {
    const forever = new TopicConfigs((key) => (key === "log.retention.hours" ? "-1" : null));
    expect(forever.effective(new Map())["retention.ms"]).toBe(-1);
  });
});
