import {
  type ControllerResult,
  type ItemError,
  itemError,
  KRAFT_VERSION,
  metadataRecord,
  SUPPORTED_FEATURES,
} from "./controller.ts";
import type { FeatureRange, MetadataImage } from "./image.ts";

/** Which way a level may move. */
export type UpgradeType = "upgrade" | "safe downgrade" | "unsafe downgrade" | "unknown";

export interface FeatureUpdate {
  readonly feature: string;
  readonly maxVersionLevel: number;
  readonly upgradeType: UpgradeType;
}

export interface UpdateFeaturesCommand {
  /** Of the controller that decides. */
  readonly nodeId: number;
  readonly updates: readonly FeatureUpdate[];
  readonly validateOnly: boolean;
}

/** The name under which ApiVersions tells the format of the quorum itself: the Raft log has it. */
const KRAFT_FEATURE = "kraft.version";

/** All levels that the cluster has agreed on, as ApiVersions tells them. */
export function finalizedLevels({ features }: MetadataImage): ReadonlyMap<string, number> {
  return new Map([...features, [KRAFT_FEATURE, KRAFT_VERSION]]);
}

/**
 * UpdateFeatures, with Kafka's errors and words (FeatureControlManager): all levels are moved, or none.
 * Answers with the first refusal, or null.
 */
export function updateFeatures(
  image: MetadataImage,
  { nodeId, updates, validateOnly }: UpdateFeaturesCommand,
): ControllerResult<ItemError | null> {
  const levels = finalizedLevels(image);
  const records: Buffer[] = [];
  for (const update of updates) {
    const { feature, maxVersionLevel } = update;
    const level = levels.get(feature) ?? 0;
    const problem = problemOf(image, update, level, nodeId);
    if (problem !== null) {
      const message = `Invalid update version ${maxVersionLevel} for feature ${feature}. ${problem}`;
      return { records: [], answer: itemError("INVALID_UPDATE_VERSION", message) };
    }
    if (maxVersionLevel === level) continue;
    records.push(metadataRecord("featureLevel", { name: feature, featureLevel: maxVersionLevel }));
  }
  return { records: validateOnly ? [] : records, answer: null };
}

function problemOf(
  image: MetadataImage,
  { feature, maxVersionLevel, upgradeType }: FeatureUpdate,
  level: number,
  nodeId: number,
): string | null {
  if (upgradeType === "unknown") return "The controller does not support the given upgrade type.";
  if (maxVersionLevel < 0) return "A feature version cannot be less than 0.";
  const unsupported = unsupportedReason(image, feature, maxVersionLevel, nodeId);
  if (unsupported !== null) return unsupported;
  if (maxVersionLevel > level && upgradeType !== "upgrade") {
    return "Can't downgrade to a newer version.";
  }
  if (maxVersionLevel >= level) return null;
  if (upgradeType === "upgrade") {
    return (
      "Can't downgrade the version of this feature without setting the upgrade type to either " +
      "safe or unsafe downgrade."
    );
  }
  return feature === KRAFT_FEATURE ? "Can't downgrade the version of this feature." : null;
}

/** Every node must be able to follow: this one, and all that have registered. */
function unsupportedReason(
  image: MetadataImage,
  feature: string,
  version: number,
  nodeId: number,
): string | null {
  const nodes: (readonly [string, readonly FeatureRange[]])[] = [
    [`Local controller ${nodeId}`, SUPPORTED_FEATURES],
    ...[...image.brokers.values()].map(
      ({ brokerId, features }) => [`Broker ${brokerId}`, features] as const,
    ),
    ...[...image.controllers.values()].map(
      ({ controllerId, features }) => [`Controller ${controllerId}`, features] as const,
    ),
  ];
  for (const [what, features] of nodes) {
    const reason = rangeProblem(what, features, feature, version);
    if (reason !== null) return reason;
  }
  return null;
}

function rangeProblem(
  what: string,
  features: readonly FeatureRange[],
  feature: string,
  version: number,
): string | null {
  const { minVersion = 0, maxVersion = 0 } = features.find(({ name }) => name === feature) ?? {};
  if (version >= minVersion && version <= maxVersion) return null;
  if (maxVersion === 0) return `${what} does not support this feature.`;
  const versions = minVersion === maxVersion ? `${minVersion}` : `${minVersion}-${maxVersion}`;
  return `${what} only supports versions ${versions}`;
}
