import { type ControllerResult, itemError, type ItemError, metadataRecord } from "./controller.ts";
import { clientMetricsProblem } from "./client-metrics.ts";
import { changed, type ConfigChange } from "./config-operations.ts";
import { groupConfigProblem } from "./group-configs.ts";
import {
  BROKER_RESOURCE,
  CLIENT_METRICS_RESOURCE,
  type ConfigImage,
  configOf,
  GROUP_RESOURCE,
  type MetadataImage,
  NO_LEADER,
  TOPIC_RESOURCE,
} from "./image.ts";
import { fitsOneBatch } from "./record-batches.ts";
import { isTopicConfigKey, TOPIC_CONFIGS } from "./topic-config-keys.ts";
import type { TopicConfigs } from "./topic-configs.ts";
import { topicNameProblem } from "./topic-names.ts";

/** One resource whose settings shall change. */
export interface AlteredResource {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly change: ConfigChange;
}

export interface AlterConfigsCommand {
  readonly resources: readonly AlteredResource[];
  readonly validateOnly: boolean;
}

/** What decides whether settings are allowed, besides the image. */
export interface ConfigRules {
  readonly topicConfigs: TopicConfigs;
  /** The text of a broker's setting that holds. */
  readonly brokerText: (key: string) => string | null;
  /** A key of the broker that is a list, with its default; null: it is none. */
  readonly brokerListDefault: (key: string) => string | null;
}

/** Kafka's bound on a value. */
const MAX_VALUE_BYTES = 32_767;
const MIN_INSYNC_REPLICAS = "min.insync.replicas";

/**
 * AlterConfigs and IncrementalAlterConfigs, with Kafka's errors and words (ConfigurationControlManager).
 * A resource that is refused does not hinder the others, which change together or not at all. What a
 * broker alone can judge of its own settings was judged before (config-admin.ts). The answer has an error
 * or null for each resource.
 */
export function alterConfigs(
  image: MetadataImage,
  { resources, validateOnly }: AlterConfigsCommand,
  rules: ConfigRules,
): ControllerResult<readonly (ItemError | null)[]> {
  const records: Buffer[] = [];
  const answer = resources.map((resource) => {
    const current = configOf(image, resource.resourceType, resource.resourceName);
    const next = changed(current, resource.change, (key) => listDefault(resource, key, rules));
    if (next.kind === "refused") return next.error;
    const error = problemOf(image, resource, next.configs, rules);
    if (error === null) records.push(...recordsFor(image, resource, next.configs));
    return error;
  });
  if (!fitsOneBatch(records)) {
    const error = itemError(
      "POLICY_VIOLATION",
      "Unable to perform excessively large batch operation.",
    );
    return { records: [], answer: resources.map(() => error) };
  }
  return { records: validateOnly ? [] : records, answer };
}

function listDefault(
  { resourceType }: AlteredResource,
  key: string,
  { brokerListDefault }: ConfigRules,
): string | null {
  if (resourceType === BROKER_RESOURCE) return brokerListDefault(key);
  if (resourceType !== TOPIC_RESOURCE || !isTopicConfigKey(key)) return null;
  const { type, defaultText } = TOPIC_CONFIGS[key];
  return type.kind === "list" ? defaultText : null;
}

function problemOf(
  image: MetadataImage,
  resource: AlteredResource,
  next: ConfigImage,
  rules: ConfigRules,
): ItemError | null {
  for (const value of next.values()) {
    if (Buffer.byteLength(value) <= MAX_VALUE_BYTES) continue;
    const limit = `it exceeds the maximum value size of ${MAX_VALUE_BYTES} bytes.`;
    return itemError("INVALID_CONFIG", `The configuration value cannot be added because ${limit}`);
  }
  switch (resource.resourceType) {
    case TOPIC_RESOURCE:
      return topicProblem(image, resource.resourceName, next, rules.topicConfigs);
    case BROKER_RESOURCE:
      return brokerProblem(image, resource, next);
    case CLIENT_METRICS_RESOURCE:
      return clientMetricsProblem(resource.resourceName, next);
    case GROUP_RESOURCE:
      return groupConfigProblem(resource.resourceName, next, rules.brokerText);
    default:
      return itemError("INVALID_REQUEST", `Unknown resource type ${resource.resourceType}`);
  }
}

function topicProblem(
  image: MetadataImage,
  topic: string,
  next: ConfigImage,
  topicConfigs: TopicConfigs,
): ItemError | null {
  if (topic === "") return itemError("INVALID_REQUEST", "Default topic resources are not allowed.");
  const nameProblem = topicNameProblem(topic);
  if (nameProblem !== null) return itemError("INVALID_TOPIC_EXCEPTION", nameProblem);
  const problem = topicConfigs.under(image).problem(next);
  if (problem !== null) return itemError("INVALID_CONFIG", problem);
  if (image.topicsByName.has(topic)) return null;
  return itemError("UNKNOWN_TOPIC_OR_PARTITION", `The topic '${topic}' does not exist.`);
}

/**
 * min.insync.replicas has one value for all brokers: which of several would hold for a partition, nobody
 * could say (R6). Once set it stays set, so that no broker's own properties come in its place.
 */
function brokerProblem(
  image: MetadataImage,
  { resourceType, resourceName }: AlteredResource,
  next: ConfigImage,
): ItemError | null {
  const current = configOf(image, resourceType, resourceName).get(MIN_INSYNC_REPLICAS);
  if (resourceName === "" && current !== undefined && !next.has(MIN_INSYNC_REPLICAS)) {
    return minInsyncError("Cluster", "removed");
  }
  if (resourceName === "") return null;
  if (current !== next.get(MIN_INSYNC_REPLICAS)) return minInsyncError("Broker", "altered");
  if (image.brokers.has(Number(resourceName))) return null;
  return itemError("BROKER_ID_NOT_REGISTERED", `No broker with id ${resourceName} found.`);
}

function minInsyncError(level: string, what: string): ItemError {
  return itemError(
    "INVALID_CONFIG",
    `${level}-level min.insync.replicas cannot be ${what} while ELR is enabled.`,
  );
}

function recordsFor(
  image: MetadataImage,
  { resourceType, resourceName }: AlteredResource,
  next: ConfigImage,
): readonly Buffer[] {
  const current = configOf(image, resourceType, resourceName);
  const record = (name: string, value: string | null): Buffer =>
    metadataRecord("config", { resourceType, resourceName, name, value });
  const set = [...next].filter(([name, value]) => current.get(name) !== value);
  const removed = [...current.keys()].filter((name) => !next.has(name));
  const records = [
    ...set.map(([name, value]) => record(name, value)),
    ...removed.map((name) => record(name, null)),
  ];
  const isMinInsyncChanged = current.get(MIN_INSYNC_REPLICAS) !== next.get(MIN_INSYNC_REPLICAS);
  if (!isMinInsyncChanged) return records;
  // R6: in the same batch. Who was eligible by the old rule may lack what the new one has let through.
  const topicName = resourceType === TOPIC_RESOURCE ? resourceName : "";
  const clearElr = metadataRecord("clearElr", { topicName });
  return [...records, clearElr, ...keptWhereLeaderless(image, topicName)];
}

/**
 * Where nobody leads, nothing can be let through either: whoever is eligible or was last known stays so, or
 * a change of settings would leave the partition to unclean elections for good.
 */
function keptWhereLeaderless(image: MetadataImage, topicName: string): Buffer[] {
  const only = image.topicsByName.get(topicName);
  const topics =
    topicName === "" ? [...image.topicsById.values()] : only === undefined ? [] : [only];
  return topics.flatMap(({ topicId, partitions }) =>
    partitions
      .filter(({ leader, eligibleLeaderReplicas, lastKnownElr }) => {
        return leader === NO_LEADER && eligibleLeaderReplicas.length + lastKnownElr.length > 0;
      })
      .map(({ partitionIndex: partitionId, eligibleLeaderReplicas, lastKnownElr }) =>
        metadataRecord("partitionChange", {
          ...{ topicId, partitionId, eligibleLeaderReplicas, lastKnownElr },
        }),
      ),
  );
}
