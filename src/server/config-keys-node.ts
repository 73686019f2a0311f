import {
  boolean,
  clusterWide,
  int,
  internal,
  list,
  long,
  oneOf,
  optionalString,
  perBroker,
  string,
  withoutDefault,
  unlikeKafka,
} from "./config-spec.ts";

// What this process is, and who reaches it.

export const NODE_KEYS = {
  "node.id": withoutDefault(
    int(1, { min: 0 }, "This node's number, unique in the cluster and never changed."),
  ),
  "broker.id": int(-1, {}, "Kafka's older name of node.id; where both are set they must agree."),
  "process.roles": withoutDefault(
    list("broker,controller", "What this process is.", ["broker", "controller"]),
  ),
  "log.dir": list("/tmp/kafka-logs", "Where data lies, unless log.dirs is set."),
  "log.dirs": withoutDefault(
    list("", "Directories for data, over which partitions are spread; default: log.dir."),
  ),
  "broker.heartbeat.interval.ms": int(
    2000,
    { min: 1 },
    "How often this broker tells the controller that it is alive.",
  ),
  "broker.session.timeout.ms": int(
    9000,
    { min: 1 },
    "A broker that the controller has not heard of for so long is fenced.",
  ),
  "controlled.shutdown.enable": boolean(
    true,
    "Whether a broker that stops first lets others lead what it leads.",
  ),
  "auto.leader.rebalance.enable": boolean(
    true,
    "Whether the controller gives partitions back to their first replicas.",
  ),
  "leader.imbalance.check.interval.seconds": long(300, { min: 1 }, "How often it looks for that."),
  "unclean.leader.election.interval.ms": internal(
    long(300000, { min: 1 }, "How often it looks for unclean elections that are allowed."),
  ),
  "broker.rack": optionalString("The rack or zone of this node, told to clients."),
  "metadata.log.dir": optionalString("Where the metadata log lies: the first of log.dirs."),
} as const;

export const LISTENER_KEYS = {
  listeners: perBroker(
    list("PLAINTEXT://:9092", "NAME://host:port to listen on; no host: every address."),
  ),
  "advertised.listeners": withoutDefault(
    list("", "The same as clients shall reach them; default: listeners."),
  ),
  "listener.security.protocol.map": perBroker(
    string(
      "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
      "The security protocol of each listener name: PLAINTEXT, or for controllers SSL.",
    ),
  ),
  "inter.broker.listener.name": optionalString("The listener that other brokers use."),
  "security.inter.broker.protocol": oneOf(
    "PLAINTEXT",
    ["PLAINTEXT"],
    "The protocol that other brokers use.",
  ),
  "controller.listener.names": withoutDefault(
    list("", "Listeners for controllers. A lone node opens none."),
  ),
} as const;

export const CONNECTION_KEYS = {
  "socket.request.max.bytes": int(104857600, { min: 1 }, "The largest request that is read."),
  "max.connections": clusterWide(
    int(
      2147483647,
      { min: 0 },
      "Connections at a time; never more than half of the files that the process may open.",
    ),
  ),
  "max.connections.per.ip": clusterWide(int(2147483647, { min: 0 }, "The same from one address.")),
  "max.connections.per.ip.overrides": clusterWide(
    string("", "The same for single addresses: address:count, between commas."),
  ),
  "max.connection.creation.rate": clusterWide(
    int(2147483647, { min: 0 }, "New connections a second; those above wait, or are refused."),
  ),
  "connections.max.idle.ms": long(600000, {}, "A connection that is silent for longer is closed."),
  "max.incremental.fetch.session.cache.slots": int(
    1000,
    { min: 0 },
    "Fetch sessions that are kept (KIP-227); without one, each Fetch names all its partitions.",
  ),
  "queued.max.request.bytes": unlikeKafka(
    "-1",
    long(
      268435456,
      { min: -1 },
      "Bytes of requests in work on this node before it stops reading. -1: no limit, as in Kafka.",
    ),
  ),
} as const;

export const HOLDFAST_KEYS = {
  "holdfast.admin.address": string(
    "127.0.0.1:9644",
    "host:port for /livez, /readyz and /metrics, open to all who reach it; empty: none.",
  ),
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
