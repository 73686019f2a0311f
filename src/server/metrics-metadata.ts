import type { Clock } from "../base/clock.ts";
import type { MetadataImage } from "./metadata/image.ts";
import type { MetadataManager } from "./metadata/metadata-manager.ts";
import type { MetricsText } from "./metrics-text.ts";

export interface MetadataMetricsParts {
  readonly metadata: Pick<MetadataManager, "image" | "controllerId" | "committed">;
  readonly clock: Pick<Clock, "wallMs">;
  readonly nodeId: number;
  readonly isBroker: boolean;
  /** Of the quorum: as in Kafka, each of its nodes tells of the cluster. */
  readonly isController: boolean;
  readonly uncleanLeaderElections: () => number;
  /** Whether this node, which is to lead the partition, does. */
  readonly isServed: (topic: string, partitionIndex: number) => boolean;
}

/** What a node knows of its cluster, and how new that is. */
export function metadataMetrics(text: MetricsText, parts: MetadataMetricsParts): void {
  const { image } = parts.metadata;
  if (parts.isController) controllerGauges(text, parts, image);
  if (!parts.isBroker) return;
  const prefix = "kafka_server_brokermetadatametrics_last_applied_record_";
  text.single(`${prefix}offset`, "gauge", "Last record that is served here.", image.offset);
  text.single(`${prefix}lag_ms`, "gauge", LAG_HELP, lagMs(parts, image));
}

const LAG_HELP = "Age of the newest record that is committed, while it is not served here.";

function lagMs({ metadata, clock }: MetadataMetricsParts, image: MetadataImage): number {
  const { offset, timestampMs } = metadata.committed;
  return image.offset >= offset ? 0 : Math.max(0, clock.wallMs() - timestampMs);
}

function controllerGauges(
  text: MetricsText,
  parts: MetadataMetricsParts,
  image: MetadataImage,
): void {
  const { metadata, nodeId } = parts;
  const { partitionCount, offlineCount, imbalancedCount } = countPartitions(parts, image);
  const fencedCount = [...image.brokers.values()].filter(({ isFenced }) => isFenced).length;
  const isActive = metadata.controllerId === nodeId ? 1 : 0;
  const gauges: readonly (readonly [string, string, number])[] = [
    ["activecontrollercount", "Whether this node is the active controller.", isActive],
    ["globaltopiccount", "Topics of the cluster.", image.topicsById.size],
    ["globalpartitioncount", "Partitions of the cluster.", partitionCount],
    ["offlinepartitionscount", "Partitions that nobody serves.", offlineCount],
    ["preferredreplicaimbalancecount", "Not led by the first replica.", imbalancedCount],
    ["activebrokercount", "Brokers.", image.brokers.size - fencedCount],
    ["fencedbrokercount", "Fenced brokers.", fencedCount],
    ["lastcommittedrecordoffset", "Last record that is committed.", metadata.committed.offset],
    ["lastappliedrecordoffset", "Last record that is served here.", image.offset],
    ["lastappliedrecordlagms", LAG_HELP, lagMs(parts, image)],
  ];
  for (const [name, help, value] of gauges) {
    text.single(`kafka_controller_kafkacontroller_${name}`, "gauge", help, value);
  }
  text.single(
    "kafka_controller_controllerstats_uncleanleaderelections_total",
    "counter",
    "Elections of a leader that may lack what was committed.",
    parts.uncleanLeaderElections(),
  );
}

function countPartitions({ nodeId, isServed }: MetadataMetricsParts, image: MetadataImage) {
  const counts = { partitionCount: 0, offlineCount: 0, imbalancedCount: 0 };
  for (const { name, partitions } of image.topicsById.values()) {
    counts.partitionCount += partitions.length;
    for (const { partitionIndex, leader, replicas } of partitions) {
      const isOffline = leader < 0 || (leader === nodeId && !isServed(name, partitionIndex));
      if (isOffline) counts.offlineCount += 1;
      else if (leader !== replicas[0]) counts.imbalancedCount += 1;
    }
  }
  return counts;
}
