import { errorCode } from "../../protocol/errors.ts";
import { APIS } from "../../protocol/apis.ts";
import type { ApiVersionsRequest } from "../../protocol/messages/18-api-versions.ts";
import { type ApiHandler, handlerFor, type TypedApiHandler } from "../api-handler.ts";

// ApiVersions, versions 0-5: what this broker serves, and which features the cluster has. 3 added the
// client's software name and the features (KIP-511, KIP-584), 4 lets a supported feature start at 0
// (KAFKA-17011), 5 says whom the client believes to talk to (KIP-1242). A version above 5 never comes
// here: dispatch answers it in version 0.

/** Levels of a feature: what this software can do, and what the cluster has agreed on. */
export interface FeatureRange {
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** The features of the cluster at one offset of the metadata log. */
export interface FinalizedFeatures {
  readonly epoch: number;
  readonly levels: ReadonlyMap<string, number>;
}

export interface ApiVersionsDependencies {
  /** All handlers but this one. */
  readonly handlers: readonly ApiHandler[];
  readonly supportedFeatures: readonly FeatureRange[];
  finalizedFeatures(): FinalizedFeatures;
  readonly clusterId: string;
  readonly nodeId: number;
}

/** Kafka's pattern for the name and the version of client software. */
const SOFTWARE_PATTERN = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

export function apiVersionsHandler(
  dependencies: ApiVersionsDependencies,
): TypedApiHandler<typeof APIS.apiVersions.request, typeof APIS.apiVersions.response> {
  const { apiVersions } = APIS;
  const apiKeys = [
    ...dependencies.handlers.map(advertise),
    advertise({ ...apiVersions, api: apiVersions }),
  ];
  apiKeys.sort((a, b) => a.apiKey - b.apiKey);
  return handlerFor(apiVersions, (request, { apiVersion }) => {
    if (apiVersion >= 3 && !namesItsSoftware(request)) {
      return { errorCode: errorCode("INVALID_REQUEST"), apiKeys: [] };
    }
    if (isMisrouted(request, dependencies)) {
      return { errorCode: errorCode("REBOOTSTRAP_REQUIRED"), apiKeys: [] };
    }
    const { epoch, levels } = dependencies.finalizedFeatures();
    return {
      errorCode: errorCode("NONE"),
      apiKeys,
      supportedFeatures: dependencies.supportedFeatures.filter(
        // A Java client below 3.9 refuses a feature whose lowest level is 0.
        ({ minVersion }) => apiVersion >= 4 || minVersion > 0,
      ),
      finalizedFeaturesEpoch: epoch,
      finalizedFeatures: [...levels]
        .filter(([, level]) => level > 0)
        .map(([name, level]) => ({ name, maxVersionLevel: level, minVersionLevel: level })),
    };
  });
}

function advertise({
  api,
  minVersion,
  maxVersion,
}: Pick<ApiHandler, "api" | "minVersion" | "maxVersion">) {
  // Produce is advertised from 0 and served from 3: librdkafka up to 2.11.0 takes a missing version 0
  // for "no compression here" and sends everything uncompressed, silently (KAFKA-18659).
  return { apiKey: api.key, minVersion: api.key === APIS.produce.key ? 0 : minVersion, maxVersion };
}

function namesItsSoftware(request: ApiVersionsRequest): boolean {
  return (
    SOFTWARE_PATTERN.test(request.clientSoftwareName) &&
    SOFTWARE_PATTERN.test(request.clientSoftwareVersion)
  );
}

/** The address has come to belong to another cluster or node since the client learned it. */
function isMisrouted(request: ApiVersionsRequest, own: ApiVersionsDependencies): boolean {
  return (
    (request.clusterId !== null && request.clusterId !== own.clusterId) ||
    (request.nodeId >= 0 && request.nodeId !== own.nodeId)
  );
}
