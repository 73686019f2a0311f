import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { UpdateFeaturesRequest } from "../../protocol/messages/57-update-features.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { UPDATE_FEATURES } from "../metadata/controller-commands.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";

// UpdateFeatures, versions 0-2 (KIP-584): 1 added the kind of downgrade and dry runs (KIP-778), 2 took
// the results of single features away: all are moved, or none (KIP-1022).

type Update = UpdateFeaturesRequest["featureUpdates"][number];

/** The kind that version 0 knows by another name. */
const UPGRADE = 1;
const SAFE_DOWNGRADE = 2;

const LAST_VERSION_WITH_RESULTS = 1;

export function updateFeaturesHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<typeof APIS.updateFeatures.request, typeof APIS.updateFeatures.response> {
  return handlerFor(APIS.updateFeatures, async (request, { apiVersion }) => {
    const { featureUpdates, timeoutMs } = request;
    const command = {
      ...request,
      featureUpdates: featureUpdates.map((update) => ({
        ...update,
        upgradeType: upgradeTypeOf(update, apiVersion),
        allowDowngrade: false,
      })),
    };
    const answer = await dependencies.metadata.execute(UPDATE_FEATURES, command, timeoutMs);
    if (answer.errorCode !== errorCode("NONE")) {
      const errorMessage =
        "The update failed for all features since the following feature had an error: " +
        String(answer.errorMessage);
      return { ...answer, errorMessage };
    }
    const done = { errorCode: errorCode("NONE"), errorMessage: null };
    const results =
      apiVersion <= LAST_VERSION_WITH_RESULTS
        ? featureUpdates.map(({ feature }) => ({ feature, ...done }))
        : [];
    return { throttleTimeMs: 0, ...done, results };
  });
}

function upgradeTypeOf(update: Update, apiVersion: number): number {
  if (apiVersion > 0) return update.upgradeType;
  return update.allowDowngrade ? SAFE_DOWNGRADE : UPGRADE;
}
