import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { UpdateFeaturesRequest } from "../../protocol/messages/57-update-features.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import type { UpgradeType } from "../metadata/update-features.ts";

// UpdateFeatures, versions 0-2 (KIP-584): 1 added the kind of downgrade and dry runs (KIP-778), 2 took
// the results of single features away: all are moved, or none (KIP-1022).

type Update = UpdateFeaturesRequest["featureUpdates"][number];

/** Kafka's FeatureUpdate.UpgradeType by its number. */
const UPGRADE_TYPES: ReadonlyMap<number, UpgradeType> = new Map([
  [1, "upgrade"],
  [2, "safe downgrade"],
  [3, "unsafe downgrade"],
]);

const LAST_VERSION_WITH_RESULTS = 1;

export function updateFeaturesHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "updateFeatures">;
}): TypedApiHandler<typeof APIS.updateFeatures.request, typeof APIS.updateFeatures.response> {
  return handlerFor(APIS.updateFeatures, async (request, { apiVersion }) => {
    const { featureUpdates, validateOnly, timeoutMs } = request;
    const updates = featureUpdates.map((update) => ({
      feature: update.feature,
      maxVersionLevel: update.maxVersionLevel,
      upgradeType: upgradeTypeOf(update, apiVersion),
    }));
    const command = { updates, validateOnly };
    const error = await dependencies.metadata.updateFeatures(command, { timeoutMs });
    if (error !== null) {
      const message =
        "The update failed for all features since the following feature had an error: " +
        error.message;
      return {
        throttleTimeMs: 0,
        errorCode: errorCode(error.name),
        errorMessage: message,
        results: [],
      };
    }
    const done = { errorCode: errorCode("NONE"), errorMessage: null };
    const results =
      apiVersion <= LAST_VERSION_WITH_RESULTS
        ? featureUpdates.map(({ feature }) => ({ feature, ...done }))
        : [];
    return { throttleTimeMs: 0, ...done, results };
  });
}

function upgradeTypeOf(update: Update, apiVersion: number): UpgradeType {
  if (apiVersion === 0) return update.allowDowngrade ? "safe downgrade" : "upgrade";
  return UPGRADE_TYPES.get(update.upgradeType) ?? "unknown";
}
