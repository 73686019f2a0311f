import type { Clock } from "../base/clock.ts";
import { errorName } from "../protocol/errors.ts";
import { effectiveMinInsyncReplicas } from "../replica/high-watermark.ts";
import type { HostedTopic } from "../replica/hosted-topic.ts";
import type { ReplicaManager } from "../replica/manager.ts";
import { Partition } from "../replica/partition.ts";
import { addTraffic, noTraffic, type Traffic } from "../replica/traffic.ts";
import type { Log } from "../storage/log.ts";
import type { LogManager } from "../storage/log-manager.ts";
import type { Dispatcher } from "./dispatch.ts";
import type { FetchSessions } from "./fetch-sessions.ts";
import { metadataMetrics, type MetadataMetricsParts } from "./metrics-metadata.ts";
import { type Labels, MetricsText } from "./metrics-text.ts";
import type { Listeners } from "./net/listeners.ts";

// What the broker tells of itself, under the names that jmx_exporter makes of Kafka's own metrics with the
// usual rules (Strimzi's among them): the dashboards and alerts that people have read these. What Kafka
// has no name for begins with holdfast_. Everything is gathered when it is asked for.

export interface BrokerMetricsParts {
  readonly clock: Pick<Clock, "nowMs" | "afterPoll">;
  readonly logs: LogManager;
  readonly replicas: ReplicaManager;
  readonly metadata: MetadataMetricsParts;
  readonly dispatcher: Dispatcher;
  readonly fetchSessions: FetchSessions;
  readonly listeners: Listeners;
}

/** Topics that are gathered, and partitions that are written, before others have their turn again. */
const SLICE_TOPICS = 100;
const SLICE_PARTITIONS = 100;

const QUANTILES = ["0.50", "0.75", "0.95", "0.98", "0.99", "0.999"] as const;

/** The topic's metrics in Kafka's BrokerTopicMetrics. */
const TOPIC_METRICS: readonly (readonly [string, keyof Traffic, string])[] = [
  ["messagesin", "messagesIn", "Records that were appended."],
  ["bytesin", "bytesIn", "Bytes of record batches that were appended."],
  ["bytesout", "bytesOut", "Bytes of record batches that were fetched."],
  ["totalproducerequests", "produceRequests", "Parts of Produce requests, one for each partition."],
  ["failedproducerequests", "failedProduceRequests", "Those of them that were refused."],
  ["totalfetchrequests", "fetchRequests", "Parts of Fetch requests, one for each partition."],
  ["failedfetchrequests", "failedFetchRequests", "Those of them that were answered with an error."],
];

/** What a log and its partition say of themselves. */
const PARTITION_METRICS: readonly (readonly [
  string,
  string,
  (log: Log, partition: Partition) => number,
])[] = [
  ["kafka_log_log_size", "Bytes of all segments.", (log) => log.sizeBytes],
  ["kafka_log_log_numlogsegments", "Segments.", (log) => log.segmentBaseOffsets.length],
  ["kafka_log_log_logstartoffset", "First offset.", (log) => log.logStartOffset],
  ["kafka_log_log_logendoffset", "Next offset.", (log) => log.logEndOffset],
  [
    "holdfast_partition_high_watermark",
    "End of what is committed.",
    (_log, partition) => partition.highWatermark,
  ],
  [
    "holdfast_partition_acked_unsynced_bytes",
    "Bytes that were committed and that no sync has covered here: a power cut would take them.",
    (_log, partition) => partition.ackedUnsyncedBytes,
  ],
];

interface PartitionCounts {
  led: number;
  followed: number;
  offline: number;
  underReplicated: number;
  underMinIsr: number;
  atMinIsr: number;
}

/** Gathers the metrics of one broker. */
export class BrokerMetrics {
  readonly #parts: BrokerMetricsParts;

  constructor(parts: BrokerMetricsParts) {
    this.#parts = parts;
  }

  /** In the text form of Prometheus. In slices, so that a node with many partitions goes on meanwhile. */
  async text(): Promise<string> {
    const text = new MetricsText();
    await this.#topics(text);
    await this.#partitions(text);
    metadataMetrics(text, this.#parts.metadata);
    this.#requests(text);
    this.#node(text);
    return text.toString();
  }

  async #topics(text: MetricsText): Promise<void> {
    const { replicas } = this.#parts;
    const topics = [...replicas.topics];
    const byTopic: (readonly [string, Traffic])[] = [];
    for (const [index, topic] of topics.entries()) {
      if (index % SLICE_TOPICS === SLICE_TOPICS - 1) await this.#others();
      byTopic.push([topic.name, trafficOf(topic)]);
    }
    const total = replicas.totalTraffic();
    for (const [metric, field, help] of TOPIC_METRICS) {
      const name = `kafka_server_brokertopicmetrics_${metric}_total`;
      text.family(name, "counter", help);
      text.sample(name, total[field]);
      for (const [topic, traffic] of byTopic) text.sample(name, traffic[field], { topic });
      await this.#others();
    }
  }

  async #partitions(text: MetricsText): Promise<void> {
    const { replicas, logs } = this.#parts;
    const counts = countPartitions(replicas.topics);
    const hosted: { readonly labels: Labels; readonly log: Log; readonly partition: Partition }[] =
      [];
    for (const { name: topic, partitions } of replicas.topics) {
      for (const [partitionIndex, partition] of partitions) {
        const log = logs.log(topic, partitionIndex);
        if (!(partition instanceof Partition) || log === undefined) continue;
        hosted.push({ labels: { topic, partition: partitionIndex }, log, partition });
      }
    }
    for (const [name, help, valueOf] of PARTITION_METRICS) {
      text.family(name, "gauge", help);
      for (const [index, { labels, log, partition }] of hosted.entries()) {
        if (index % SLICE_PARTITIONS === SLICE_PARTITIONS - 1) await this.#others();
        text.sample(name, valueOf(log, partition), labels);
      }
    }
    writeCounts(text, counts);
  }

  #requests(text: MetricsText): void {
    const served = [...this.#parts.dispatcher.served].flatMap(({ handler, stats }) =>
      requestNamesOf(stats.api).map((request) => ({ request, handler, stats })),
    );
    const prefix = "kafka_network_requestmetrics_";
    text.family(`${prefix}requests_total`, "counter", "Requests.");
    for (const { request, stats } of served) {
      for (const [version, count] of stats.counts) {
        text.sample(`${prefix}requests_total`, count, { request, version });
      }
    }
    text.family(`${prefix}errors_total`, "counter", "Error codes that were answered, NONE too.");
    for (const { request, handler } of served) {
      for (const [code, count] of handler.errorCounts) {
        text.sample(`${prefix}errors_total`, count, { request, error: errorName(code) });
      }
    }
    text.family(`${prefix}totaltimems`, "gauge", "Milliseconds to an answer, of the last minutes.");
    const nowMs = this.#parts.clock.nowMs();
    for (const { request, stats } of served) {
      if (stats.times.count === 0) continue;
      for (const quantile of QUANTILES) {
        const value = stats.times.quantile(Number(quantile), nowMs);
        text.sample(`${prefix}totaltimems`, value, { request, quantile });
      }
    }
    text.family(`${prefix}totaltimems_count`, "counter", "Requests that were answered.");
    for (const { request, stats } of served) {
      if (stats.times.count === 0) continue;
      text.sample(`${prefix}totaltimems_count`, stats.times.count, { request });
    }
  }

  #node(text: MetricsText): void {
    const { logs, replicas, fetchSessions, listeners } = this.#parts;
    text.single(
      "kafka_log_logmanager_offlinelogdirectorycount",
      "gauge",
      "Log directories that take no batches.",
      logs.directories.filter(({ isOnline }) => !isOnline).length,
    );
    text.family("kafka_log_logmanager_logdirectoryoffline", "gauge", "1: it takes no batches.");
    for (const { path, isOnline } of logs.directories) {
      const labels = { logDirectory: path };
      text.sample("kafka_log_logmanager_logdirectoryoffline", isOnline ? 0 : 1, labels);
    }
    const purgatory = "kafka_server_delayedoperationpurgatory_purgatorysize";
    text.family(purgatory, "gauge", "Requests that wait.");
    text.sample(purgatory, replicas.parkedCounts.produce, { delayedOperation: "Produce" });
    text.sample(purgatory, replicas.parkedCounts.fetch, { delayedOperation: "Fetch" });
    const sessions = "kafka_server_fetchsessioncache_";
    const { sessionCount, partitionCount, evictionCount } = fetchSessions;
    text.single(`${sessions}numincrementalfetchsessions`, "gauge", "Fetch sessions.", sessionCount);
    text.single(
      `${sessions}numincrementalfetchpartitionscached`,
      "gauge",
      "Their partitions.",
      partitionCount,
    );
    text.single(
      `${sessions}incrementalfetchsessionevictions_total`,
      "counter",
      "Fetch sessions that gave way to others.",
      evictionCount,
    );
    const connections = "kafka_server_socket_server_metrics_connection_count";
    text.family(connections, "gauge", "Connections.");
    for (const [listener, count] of listeners.connectionCounts) {
      text.sample(connections, count, { listener, networkProcessor: 0 });
    }
    text.single(
      "holdfast_connections_refused_total",
      "counter",
      "Connections that a limit refused.",
      listeners.refusedCount,
    );
    text.single(
      "holdfast_memory_budget_used_bytes",
      "gauge",
      "Bytes that clients make this node hold (queued.max.request.bytes).",
      listeners.budget.usedBytes,
    );
  }

  #others(): Promise<void> {
    return new Promise((resolve) => this.#parts.clock.afterPoll(resolve));
  }
}

/** Kafka counts a consumer's Fetch under two names. */
function requestNamesOf(api: string): readonly string[] {
  return api === "Fetch" ? [api, "FetchConsumer"] : [api];
}

function trafficOf({ partitions }: HostedTopic): Traffic {
  const traffic = noTraffic();
  for (const partition of partitions.values()) {
    if (partition instanceof Partition) addTraffic(traffic, partition.traffic);
  }
  return traffic;
}

function countPartitions(topics: Iterable<HostedTopic>): PartitionCounts {
  const counts = {
    led: 0,
    followed: 0,
    offline: 0,
    underReplicated: 0,
    underMinIsr: 0,
    atMinIsr: 0,
  };
  for (const { partitions } of topics) {
    for (const partition of partitions.values()) {
      if (typeof partition === "string" || partition.log.failure !== null) {
        counts.offline += 1;
        continue;
      }
      if (!(partition instanceof Partition)) {
        counts.followed += 1;
        continue;
      }
      const { committedIsrSize, minInsyncReplicas, replicationFactor } = partition.isrSizes;
      const least = effectiveMinInsyncReplicas(minInsyncReplicas, replicationFactor);
      counts.led += 1;
      if (committedIsrSize < replicationFactor) counts.underReplicated += 1;
      if (committedIsrSize < least) counts.underMinIsr += 1;
      if (committedIsrSize === least) counts.atMinIsr += 1;
    }
  }
  return counts;
}

function writeCounts(text: MetricsText, counts: PartitionCounts): void {
  const gauges: readonly (readonly [string, string, number])[] = [
    ["partitioncount", "Partitions here.", counts.led + counts.followed + counts.offline],
    ["leadercount", "Partitions that are led here.", counts.led],
    ["offlinereplicacount", "Partitions whose log cannot be used.", counts.offline],
    ["underreplicatedpartitions", "Some replica is not in sync.", counts.underReplicated],
    ["underminisrpartitioncount", "Fewer in sync than min.insync.replicas.", counts.underMinIsr],
    ["atminisrpartitioncount", "As many in sync as min.insync.replicas.", counts.atMinIsr],
  ];
  for (const [name, help, value] of gauges) {
    text.single(`kafka_server_replicamanager_${name}`, "gauge", help, value);
  }
}
