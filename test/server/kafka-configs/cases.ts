import type { ApiName } from "./record.ts";

/** One request of the sequence; what it changes holds for those after it. */
export interface Case {
  readonly name: string;
  readonly api: ApiName;
  readonly version: number;
  readonly request: object;
}

const [TOPIC, BROKER, LOGGER, METRICS, GROUP] = [2, 4, 8, 16, 32] as const;
const [SET, DELETE, APPEND, SUBTRACT] = [0, 1, 2, 3] as const;

type Op = readonly [name: string, operation: number, value?: string | null];
type Resource = readonly [type: number, name: string];

function describe(
  name: string,
  resources: readonly Resource[],
  keys: readonly string[] | null = null,
  over: { readonly version?: number; readonly includeSynonyms?: boolean } = {},
): Case {
  const { version = 4, includeSynonyms = true } = over;
  return {
    name: `describe ${name}`,
    api: "describeConfigs",
    version,
    request: {
      resources: resources.map(([resourceType, resourceName]) => ({
        resourceType,
        resourceName,
        configurationKeys: keys,
      })),
      includeSynonyms,
    },
  };
}

function alter(
  name: string,
  changes: readonly (readonly [...Resource, readonly Op[]])[],
  validateOnly = false,
): Case {
  return {
    name,
    api: "incrementalAlterConfigs",
    version: 1,
    request: {
      resources: changes.map(([resourceType, resourceName, ops]) => ({
        resourceType,
        resourceName,
        configs: ops.map(([key, configOperation, value = null]) => ({
          name: key,
          configOperation,
          value,
        })),
      })),
      validateOnly,
    },
  };
}

/** One resource. */
function set(name: string, [type, resource]: Resource, ...ops: readonly Op[]): Case {
  return alter(name, [[type, resource, ops]]);
}

function replace(
  name: string,
  [resourceType, resourceName]: Resource,
  values: Readonly<Record<string, string | null>>,
  validateOnly = false,
): Case {
  return {
    name: `legacy ${name}`,
    api: "alterConfigs",
    version: 2,
    request: {
      resources: [
        {
          resourceType,
          resourceName,
          configs: Object.entries(values).map(([key, value]) => ({ name: key, value })),
        },
      ],
      validateOnly,
    },
  };
}

function list(name: string, version: number, resourceTypes: readonly number[] = []): Case {
  return {
    name: `list ${name}`,
    api: "listConfigResources",
    version,
    request: version === 0 ? {} : { resourceTypes },
  };
}

function createTopic(name: string, configs: Readonly<Record<string, string>> = {}): Case {
  return {
    name: `create ${name}`,
    api: "createTopics",
    version: 7,
    request: {
      topics: [
        {
          name,
          numPartitions: 1,
          replicationFactor: 1,
          assignments: [],
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        },
      ],
      timeoutMs: 30_000,
      validateOnly: false,
    },
  };
}

const T1: Resource = [TOPIC, "t1"];
const NODE: Resource = [BROKER, "1"];
const CLUSTER: Resource = [BROKER, ""];
const GROUP_1: Resource = [GROUP, "g1"];
const METRICS_1: Resource = [METRICS, "m1"];
const TOPIC_KEYS = [
  "retention.ms",
  "min.insync.replicas",
  "cleanup.policy",
  "flush.messages",
  "max.message.bytes",
];

const DESCRIPTIONS: readonly Case[] = [
  createTopic("t1", { "flush.messages": "5", "min.cleanable.dirty.ratio": "0.250" }),
  createTopic("t2"),
  describe("a topic", [T1]),
  describe("a broker", [NODE]),
  describe("the cluster's default", [CLUSTER]),
  describe("another broker", [[BROKER, "2"]]),
  describe("a broker that is no number", [[BROKER, "x"]]),
  describe("loggers without a broker", [[LOGGER, ""]]),
  describe("loggers of another broker", [[LOGGER, "2"]]),
  describe("loggers of no number", [[LOGGER, "x"]]),
  describe("a group", [GROUP_1]),
  describe("a group without a name", [[GROUP, ""]]),
  describe("metrics", [METRICS_1]),
  describe("metrics without a name", [[METRICS, ""]]),
  describe("a missing topic", [[TOPIC, "missing"]]),
  describe("a topic that cannot be", [[TOPIC, "a/b"]]),
  describe("a topic without a name", [[TOPIC, ""]]),
  describe("a topic with a name that is too long", [[TOPIC, "x".repeat(250)]]),
  describe("some keys of a topic", [T1], ["retention.ms", "no.such.key", "flush.messages"]),
  describe("no keys of a topic", [T1], []),
  describe("without synonyms", [T1], ["flush.messages", "retention.ms"], {
    includeSynonyms: false,
  }),
  describe("in version 1", [T1], ["flush.messages"], { version: 1 }),
  describe("two of them", [T1, [TOPIC, "t2"]], ["flush.messages"]),
  describe("one topic twice", [T1, T1], ["flush.messages"]),
];

const TOPIC_CHANGES: readonly Case[] = [
  set("a topic", T1, ["retention.ms", SET, " 1000 "], ["cleanup.policy", APPEND, "compact"]),
  describe("a changed topic", [T1], TOPIC_KEYS),
  set("append what is there", T1, ["cleanup.policy", APPEND, "compact"]),
  set("subtract", T1, ["cleanup.policy", SUBTRACT, "delete"]),
  describe("a topic without delete", [T1], TOPIC_KEYS),
  set("subtract what is not there", T1, ["cleanup.policy", SUBTRACT, "delete,nothing"]),
  set("append two", T1, ["cleanup.policy", APPEND, "delete,compact"]),
  set("subtract all", T1, ["cleanup.policy", SUBTRACT, "delete,compact"]),
  describe("a topic without a policy", [T1], TOPIC_KEYS),
  set("append to a number", T1, ["retention.ms", APPEND, "5"]),
  set("subtract from a number", T1, ["retention.ms", SUBTRACT, "5"]),
  set("append what may not be", T1, ["cleanup.policy", APPEND, "foo"]),
  set("an unknown key", T1, ["no.such.key", SET, "5"]),
  set("delete an unknown key", T1, ["no.such.key", DELETE]),
  set("append to an unknown key", T1, ["no.such.key", APPEND, "5"]),
  set("a bad value", T1, ["retention.ms", SET, "x"]),
  set("a value out of range", T1, ["retention.ms", SET, "-2"]),
  set("one good and one bad", T1, ["retention.ms", SET, "77"], ["segment.bytes", SET, "1"]),
  set("an empty value", T1, ["retention.ms", SET, ""]),
  set("delete with a value", T1, ["retention.ms", DELETE, "5"]),
  set("delete what is not set", T1, ["retention.bytes", DELETE]),
  describe("a topic after a delete", [T1], TOPIC_KEYS),
  set("a key twice", T1, ["retention.ms", SET, "5"], ["retention.ms", SET, "6"]),
  set("null", T1, ["retention.ms", SET, null], ["flush.ms", APPEND, null]),
  set("an unknown operation", T1, ["retention.ms", 9, "5"]),
  set("no operation at all", T1),
  set("a missing topic", [TOPIC, "missing"], ["retention.ms", SET, "5"]),
  set("a missing topic with a bad value", [TOPIC, "missing"], ["retention.ms", SET, "x"]),
  set("a topic without a name", [TOPIC, ""], ["retention.ms", SET, "5"]),
  set("a topic that cannot be", [TOPIC, "a/b"], ["retention.ms", SET, "5"]),
  alter("a topic twice", [
    [...T1, [["retention.ms", SET, "5"]]],
    [...T1, [["retention.ms", SET, "6"]]],
    [TOPIC, "t2", [["retention.ms", SET, "7"]]],
  ]),
  alter("only validate", [[...T1, [["retention.ms", SET, "5"]]]], true),
  alter("only validate a bad one", [[...T1, [["retention.ms", SET, "x"]]]], true),
  describe("what was only validated", [T1, [TOPIC, "t2"]], ["retention.ms"]),
  set("a value that is too long", T1, [
    "leader.replication.throttled.replicas",
    SET,
    `${"1:1,".repeat(9000)}1:1`,
  ]),
  set(
    "settings that contradict each other",
    T1,
    ["min.compaction.lag.ms", SET, "10"],
    ["max.compaction.lag.ms", SET, "5"],
  ),
  set("remote storage", T1, ["remote.storage.enable", SET, "true"]),
  set("an unknown type", [77, "t1"], ["retention.ms", SET, "5"]),
  set("type 0", [0, "t1"], ["retention.ms", SET, "5"]),
  set("min.insync.replicas of a topic", T1, ["min.insync.replicas", SET, "2"]),
  set("take it back", T1, ["min.insync.replicas", DELETE]),
];

const BROKER_CHANGES: readonly Case[] = [
  set("the cluster's default", CLUSTER, ["log.retention.ms", SET, " 5000 "]),
  set(
    "a broker",
    NODE,
    ["log.retention.ms", SET, "6000"],
    ["log.flush.interval.messages", SET, "7"],
  ),
  describe("the changed default", [CLUSTER]),
  describe(
    "the changed broker",
    [NODE],
    ["log.retention.ms", "log.retention.hours", "log.flush.interval.messages", "log.roll.ms"],
  ),
  describe("what topics inherit", [T1, [TOPIC, "t2"]], TOPIC_KEYS),
  createTopic("t3"),
  set("take the broker's back", NODE, ["log.retention.ms", DELETE]),
  describe("what the broker inherits", [NODE], ["log.retention.ms", "log.retention.hours"]),
  set("a read-only key", NODE, ["num.partitions", SET, "5"]),
  set("two read-only keys", NODE, ["num.partitions", SET, "5"], ["log.retention.hours", SET, "1"]),
  set("a read-only key of the cluster", CLUSTER, ["num.partitions", SET, "5"]),
  set("a bad number", NODE, ["log.retention.ms", SET, "x"]),
  set("a number out of range", NODE, ["message.max.bytes", SET, "-1"]),
  set("what only the whole shows", NODE, ["log.retention.ms", SET, "0"]),
  set("an unknown key of a broker", NODE, ["foo.bar", SET, "5"]),
  describe("an unknown key of a broker", [NODE], ["foo.bar"]),
  set("take it back", NODE, ["foo.bar", DELETE]),
  set("a broker's key for the cluster", CLUSTER, ["advertised.listeners", SET, "PLAINTEXT://a:1"]),
  set("another address", NODE, ["advertised.listeners", SET, "PLAINTEXT://a:1"]),
  set("a key store", NODE, ["ssl.keystore.location", SET, "/x"]),
  set("a key store of a listener, for the cluster", CLUSTER, [
    "listener.name.plaintext.ssl.keystore.location",
    SET,
    "/x",
  ]),
  set("too few threads", NODE, ["num.io.threads", SET, "3"]),
  set("too many threads", NODE, ["num.io.threads", SET, "17"]),
  set("no threads", NODE, ["num.io.threads", SET, "0"]),
  set("threads", NODE, ["num.io.threads", SET, "9"]),
  set("threads of the network", NODE, ["num.network.threads", SET, "100"]),
  set("cleaner threads", CLUSTER, ["log.cleaner.threads", SET, "2"]),
  set("many cleaner threads", CLUSTER, ["log.cleaner.threads", SET, "50"]),
  set("min.insync.replicas of a broker", NODE, ["min.insync.replicas", SET, "1"]),
  set("min.insync.replicas of the cluster", CLUSTER, ["min.insync.replicas", SET, "1"]),
  set("take it from the cluster", CLUSTER, ["min.insync.replicas", DELETE]),
  set("connections", NODE, ["max.connections", SET, "500"], ["max.connections.per.ip", SET, "0"]),
  set("connections for one", NODE, ["max.connections", SET, "500"]),
  set("producers", CLUSTER, ["producer.id.expiration.ms", SET, "-1"]),
  set("a rate", NODE, ["leader.replication.throttled.rate", SET, "1000"]),
  describe("a rate", [NODE], ["leader.replication.throttled.rate"]),
  set("append to a rate", NODE, ["leader.replication.throttled.rate", APPEND, "1000"]),
  set("append to a list of the broker", NODE, ["log.cleanup.policy", APPEND, "compact"]),
  describe("a list of the broker", [NODE], ["log.cleanup.policy"]),
  set("subtract from it", NODE, ["log.cleanup.policy", SUBTRACT, "compact"]),
  set("a list of the broker that may not be", NODE, ["log.cleanup.policy", SET, "foo"]),
  set("another broker", [BROKER, "2"], ["log.retention.ms", SET, "6000"]),
  set("a broker that is no number", [BROKER, "x"], ["log.retention.ms", SET, "6000"]),
  set("an unknown operation on a broker", NODE, ["log.retention.ms", 9, "6000"]),
  set("a bad reporter", CLUSTER, ["metric.reporters", SET, "no.such.Class"]),
  alter("only validate a broker", [[...NODE, [["log.roll.ms", SET, "5"]]]], true),
  describe("a broker, whole, after all that", [NODE]),
  describe("the cluster's default after all that", [CLUSTER]),
  describe("a topic, whole, after all that", [[TOPIC, "t2"]]),
];

const OTHER_CHANGES: readonly Case[] = [
  set("a group", GROUP_1, ["consumer.session.timeout.ms", SET, "50000"]),
  describe("a changed group", [GROUP_1]),
  set("a group's bad value", GROUP_1, ["consumer.session.timeout.ms", SET, "x"]),
  set("a group's value out of range", GROUP_1, ["consumer.session.timeout.ms", SET, "0"]),
  set("a group's value below the broker's", GROUP_1, ["consumer.session.timeout.ms", SET, "100"]),
  set("a group's value above the broker's", GROUP_1, ["consumer.session.timeout.ms", SET, "70000"]),
  set("a group's two that do not go together", GROUP_1, [
    "consumer.heartbeat.interval.ms",
    SET,
    "15000",
  ]),
  set("an unknown key of a group", GROUP_1, ["no.such.key", SET, "5"]),
  set("a group without a name", [GROUP, ""], ["consumer.session.timeout.ms", SET, "50000"]),
  set("share.auto.offset.reset", [GROUP, "g2"], ["share.auto.offset.reset", SET, "earliest"]),
  set("share.auto.offset.reset, bad", [GROUP, "g2"], ["share.auto.offset.reset", SET, "foo"]),
  set("streams", [GROUP, "g2"], ["streams.num.standby.replicas", SET, "9"]),
  set("metrics", METRICS_1, ["interval.ms", SET, "1000"], ["metrics", SET, "a.b,c"]),
  describe("changed metrics", [METRICS_1]),
  set("metrics too often", METRICS_1, ["interval.ms", SET, "50"]),
  set("metrics, no number", METRICS_1, ["interval.ms", SET, "x"]),
  set("metrics, unknown", METRICS_1, ["no.such.key", SET, "50"]),
  set("metrics, match", METRICS_1, ["match", SET, "client_id=a.*"]),
  set("metrics, no such match", METRICS_1, ["match", SET, "foo=a"]),
  set("metrics, bad match", METRICS_1, ["match", SET, "client_id"]),
  set("metrics, bad pattern", METRICS_1, ["match", SET, "client_id=["]),
  set("metrics, append", METRICS_1, ["metrics", APPEND, "d"]),
  set("metrics without a name", [METRICS, ""], ["interval.ms", SET, "1000"]),
  describe("metrics after all that", [METRICS_1]),
  set("a logger that is not there", [LOGGER, "1"], ["no.such.logger", SET, "DEBUG"]),
  set("the root logger", [LOGGER, "1"], ["root", SET, "DEBUG"]),
  set("the root logger, bad level", [LOGGER, "1"], ["root", SET, "LOUD"]),
  set("the root logger, small letters", [LOGGER, "1"], ["root", SET, "info"]),
  set("the root logger away", [LOGGER, "1"], ["root", DELETE]),
  set("append to a logger", [LOGGER, "1"], ["root", APPEND, "INFO"]),
  set("subtract from a logger", [LOGGER, "1"], ["root", SUBTRACT, "INFO"]),
  set("an unknown operation on a logger", [LOGGER, "1"], ["root", 9, "INFO"]),
  set("loggers of another broker", [LOGGER, "2"], ["root", SET, "INFO"]),
  set("loggers of no number", [LOGGER, "x"], ["root", SET, "INFO"]),
  set("the root logger again", [LOGGER, "1"], ["root", SET, "WARN"]),
];

const LEGACY: readonly Case[] = [
  replace("a topic", T1, { "retention.ms": "1", "segment.bytes": "1048576" }),
  describe("a replaced topic", [T1], [...TOPIC_KEYS, "segment.bytes"]),
  replace("a topic, null", T1, { "retention.ms": null }),
  replace("a topic, bad", T1, { "retention.ms": "x" }),
  replace("a topic, unknown key", T1, { "no.such": "x" }),
  replace("a missing topic", [TOPIC, "missing"], { "retention.ms": "1" }),
  replace("only validate", T1, { "flush.ms": "1" }, true),
  replace("a broker", NODE, { "log.roll.ms": "12345", "num.io.threads": "9" }),
  describe("a replaced broker", [NODE], ["log.roll.ms", "log.retention.ms", "num.io.threads"]),
  replace("a broker, read-only", NODE, { "num.partitions": "3" }),
  replace("another broker", [BROKER, "2"], { "log.roll.ms": "12345" }),
  replace("a cluster without min.insync.replicas", CLUSTER, { "log.roll.ms": "12345" }),
  replace("loggers", [LOGGER, "1"], { root: "INFO" }),
  replace("a group", GROUP_1, { "consumer.session.timeout.ms": "51000" }),
  replace("metrics", METRICS_1, { "interval.ms": "2000" }),
  replace("an unknown type", [77, "x"], { a: "b" }),
];

const LISTS: readonly Case[] = [
  list("version 0", 0),
  list("everything", 1),
  list("topics", 1, [TOPIC]),
  list("brokers", 1, [BROKER]),
  list("loggers", 1, [LOGGER]),
  list("metrics", 1, [METRICS]),
  list("groups", 1, [GROUP]),
  list("groups and topics", 1, [GROUP, TOPIC]),
  list("an unknown type", 1, [77]),
  list("type 0", 1, [0]),
  set(
    "no metrics any more",
    METRICS_1,
    ["interval.ms", DELETE],
    ["metrics", DELETE],
    ["match", DELETE],
  ),
  list("without metrics", 1, [METRICS]),
];

export const CASES: readonly Case[] = [
  ...DESCRIPTIONS,
  ...TOPIC_CHANGES,
  ...BROKER_CHANGES,
  ...OTHER_CHANGES,
  ...LEGACY,
  ...LISTS,
];
