import {
  boolean,
  type ConfigSpec,
  double,
  int,
  list,
  long,
  LONG_MAX_TEXT,
  oneOf,
  optionalInt,
  optionalLong,
  optionalString,
  short,
  string,
} from "./config-types.ts";

const NODE_KEYS = {
  "node.id": int(1, { min: 0 }, "This node's number, unique in the cluster and never changed."),
  "process.roles": list("broker,controller", "What this process is.", ["broker", "controller"]),
  "log.dir": list("/tmp/kafka-logs", "Where data lies, unless log.dirs is set."),
  "log.dirs": list("", "Directories for data, over which partitions are spread; default: log.dir."),
  "broker.rack": optionalString("The rack or zone of this node, told to clients."),
  "metadata.log.dir": optionalString("Where the metadata log lies: the first of log.dirs."),
  "controller.quorum.voters": list("", "The controllers as id@host:port. A lone node needs none."),
  "controller.quorum.bootstrap.servers": list("", "Where controllers are found. See above."),
} as const;

const LISTENER_KEYS = {
  listeners: list("PLAINTEXT://:9092", "NAME://host:port to listen on; no host: every address."),
  "advertised.listeners": list("", "The same as clients shall reach them; default: listeners."),
  "listener.security.protocol.map": string(
    "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    "The security protocol of each listener name. Only PLAINTEXT is served so far.",
  ),
  "inter.broker.listener.name": optionalString("The listener that other brokers use."),
  "security.inter.broker.protocol": oneOf(
    "PLAINTEXT",
    ["PLAINTEXT"],
    "The protocol that other brokers use.",
  ),
  "controller.listener.names": list("", "Listeners for controllers. A lone node opens none."),
} as const;

const CONNECTION_KEYS = {
  "socket.request.max.bytes": int(104857600, { min: 1 }, "The largest request that is read."),
  "max.connections": int(10000, { min: 0 }, "Connections at a time. Kafka has no limit here."),
  "max.connections.per.ip": int(1000, { min: 0 }, "The same from one address. Kafka: no limit."),
  "connections.max.idle.ms": long(600000, {}, "A connection that is silent for longer is closed."),
  "queued.max.request.bytes": long(
    268435456,
    { min: -1 },
    "Bytes of requests in work on this node before it stops reading. -1: no limit, as in Kafka.",
  ),
} as const;

const TOPIC_KEYS = {
  "auto.create.topics.enable": boolean(true, "Whether asking for a topic may create it."),
  "delete.topic.enable": boolean(true, "Whether topics can be deleted."),
  "num.partitions": int(1, { min: 1 }, "Partitions of a topic that does not say."),
  "default.replication.factor": int(1, { min: 1, max: 32767 }, "Replicas of such a topic."),
  "min.insync.replicas": int(1, { min: 1 }, "In-sync replicas without which acks=all is refused."),
  "unclean.leader.election.enable": boolean(
    false,
    "Whether a replica that lags may lead when no other is left, which loses acknowledged data.",
  ),
  "message.max.bytes": int(1048588, { min: 0 }, "The largest record batch that is taken."),
  "compression.type": oneOf(
    "producer",
    ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
    "How batches are kept: as they were sent (producer), or all in one way.",
  ),
  "compression.gzip.level": int(-1, { min: 1, max: 9, or: -1 }, "Then: how hard gzip tries."),
  "compression.lz4.level": int(
    9,
    { min: 1, max: 17 },
    "Read, for Kafka's sake: there is one level of lz4 here.",
  ),
  "compression.zstd.level": int(3, { min: -131072, max: 22 }, "Then: how hard zstd tries."),
  "fetch.max.bytes": int(57671680, { min: 1024 }, "The most that one Fetch answers."),
  "producer.id.expiration.ms": int(
    86400000,
    { min: 1 },
    "How long an idle idempotent producer is remembered.",
  ),
} as const;

const LOG_KEYS = {
  "log.segment.bytes": int(1073741824, { min: 1048576 }, "A segment file's size."),
  "log.roll.ms": optionalLong({ min: 1 }, "A segment's age; default: log.roll.hours."),
  "log.roll.hours": int(168, { min: 1 }, "The same in hours."),
  "log.roll.jitter.ms": optionalLong(
    { min: 0 },
    "Each segment's age is shortened by a random part of this; default: log.roll.jitter.hours.",
  ),
  "log.roll.jitter.hours": int(0, { min: 0 }, "The same in hours."),
  "log.index.interval.bytes": int(4096, { min: 0 }, "Bytes of log for each index entry."),
  "log.index.size.max.bytes": int(10485760, { min: 4 }, "An index file's size."),
  "log.flush.interval.messages": long(
    LONG_MAX_TEXT,
    { min: 1 },
    "Sync after so many records. 1: every acknowledgement waits for the disk.",
  ),
  "log.flush.interval.ms": optionalLong(
    { min: 0 },
    "Sync so long after the first unsynced byte; default: log.flush.scheduler.interval.ms.",
  ),
  "log.flush.scheduler.interval.ms": long(
    LONG_MAX_TEXT,
    { min: 0 },
    "Only the default of log.flush.interval.ms: a timer of its own replaces Kafka's scheduler.",
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
  "log.message.timestamp.type": oneOf(
    "CreateTime",
    ["CreateTime", "LogAppendTime"],
    "Whose clock stamps records: the producer's or the broker's.",
  ),
  "log.message.timestamp.before.max.ms": long(
    LONG_MAX_TEXT,
    { min: 0 },
    "How far a record's time may lie in the past.",
  ),
  "log.message.timestamp.after.max.ms": long(
    3600000,
    { min: 0 },
    "How far a record's time may lie in the future.",
  ),
} as const;

const RETENTION_KEYS = {
  "log.cleanup.policy": list(
    "delete",
    "delete: old segments go; compact: the newest record of each key stays; or both.",
    ["delete", "compact"],
  ),
  "log.retention.ms": optionalLong(
    { min: -1 },
    "How long records are kept, by the newest time in a segment; -1: for ever.",
  ),
  "log.retention.minutes": optionalInt({}, "The same in minutes."),
  "log.retention.hours": int(168, {}, "The same in hours."),
  "log.retention.bytes": long(-1, { min: -1 }, "How much of a partition is kept; -1: all."),
  "log.retention.check.interval.ms": long(
    300000,
    { min: 1 },
    "How often it is looked for segments that may go.",
  ),
  "log.initial.task.delay.ms": long(
    30000,
    { min: 0 },
    "How long after the start that, and compaction, begin.",
  ),
  "log.segment.delete.delay.ms": long(
    60000,
    { min: 0 },
    "How long the files of a segment that went stay, renamed, for those who still read them.",
  ),
  "log.cleaner.enable": boolean(true, "Whether compacted topics are compacted."),
  "log.cleaner.backoff.ms": long(
    15000,
    { min: 0 },
    "How long compaction rests with nothing to do.",
  ),
  "log.cleaner.dedupe.buffer.size": long(
    134217728,
    { min: 1048576 },
    "Memory for the keys of one round of compaction.",
  ),
  "log.cleaner.io.max.bytes.per.second": double(
    Number.MAX_VALUE,
    { min: 0 },
    "How much compaction reads and writes.",
  ),
  "log.cleaner.min.cleanable.ratio": double(
    0.5,
    { min: 0, max: 1 },
    "The part of a log that is not compacted yet from which on it is.",
  ),
  "log.cleaner.delete.retention.ms": long(
    86400000,
    { min: 0 },
    "How long a deletion (a null value) can still be read after compaction.",
  ),
  "log.cleaner.min.compaction.lag.ms": long(0, { min: 0 }, "Younger records are not compacted."),
  "log.cleaner.max.compaction.lag.ms": long(
    LONG_MAX_TEXT,
    { min: 1 },
    "Older records are, whatever the ratio.",
  ),
} as const;

const GROUP_KEYS = {
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
  "offsets.topic.compression.codec": int(0, { min: 0, max: 0 }, "It is not compressed."),
  "offsets.retention.minutes": int(10080, { min: 1 }, "How long an empty group keeps offsets."),
  "offsets.retention.check.interval.ms": long(600000, { min: 1 }, "How often that is looked at."),
  "offsets.commit.timeout.ms": int(5000, { min: 1 }, "How long a commit may take."),
} as const;

const HOLDFAST_KEYS = {
  "holdfast.disk.page.cache": oneOf(
    "os",
    ["os", "process"],
    "process: unsynced writes live in this process, so that kill -9 loses them as a power cut does.",
  ),
  "holdfast.disk.page.cache.age.ms": long(30000, { min: 1 }, "Then: when they are written back."),
  "holdfast.disk.page.cache.bytes": long(268435456, { min: 1048576 }, "Then: at most so many."),
  "holdfast.tail.cache.bytes": long(
    67108864,
    { min: 0 },
    "Memory for the newest batches: consumers at the end of a log are served without a read.",
  ),
  "holdfast.disk.faults": optionalString(
    "A file of rules by which calls of the disk fail, for tests; read again at SIGHUP.",
  ),
  "holdfast.log.level": oneOf("info", ["debug", "info", "warn", "error"], "What is logged."),
} as const;

/** Every setting that this broker has, by Kafka's own key. docs/configuration.md is made of it. */
export const CONFIG_KEYS = {
  ...NODE_KEYS,
  ...LISTENER_KEYS,
  ...CONNECTION_KEYS,
  ...TOPIC_KEYS,
  ...LOG_KEYS,
  ...RETENTION_KEYS,
  ...GROUP_KEYS,
  ...HOLDFAST_KEYS,
} as const;

export type ConfigKey = keyof typeof CONFIG_KEYS;

type ValueOf<S> = S extends ConfigSpec<infer T> ? T : never;

/** The settings of a broker, checked. A long one is a LongSetting, an absent one null. */
export type BrokerConfig = {
  readonly [K in ConfigKey]: ValueOf<(typeof CONFIG_KEYS)[K]>;
};

export function isConfigKey(key: string): key is ConfigKey {
  return Object.hasOwn(CONFIG_KEYS, key);
}
