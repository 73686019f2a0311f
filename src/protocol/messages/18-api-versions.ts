import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's ApiVersionsRequest. */
export const apiVersionsRequest = request(
  "ApiVersions",
  18,
  { versions: "0-5", flexible: "3+" },
  {
    clientSoftwareName: string({ versions: "3+", ignorable: true }),
    clientSoftwareVersion: string({ versions: "3+", ignorable: true }),
    clusterId: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    nodeId: int32({ versions: "5+", default: -1, ignorable: true }),
  },
);

export type ApiVersionsRequest = Infer<typeof apiVersionsRequest>;

/** Kafka's ApiVersionsResponse. */
export const apiVersionsResponse = response(
  "ApiVersions",
  18,
  { versions: "0-5", flexible: "3+" },
  {
    errorCode: int16(),
    apiKeys: array({ apiKey: int16(), minVersion: int16(), maxVersion: int16() }),
    throttleTimeMs: int32({ versions: "1+", ignorable: true }),
    supportedFeatures: array(
      { name: string(), minVersion: int16(), maxVersion: int16() },
      { versions: "3+", ignorable: true, tag: 0 },
    ),
    finalizedFeaturesEpoch: int64({ versions: "3+", default: -1, ignorable: true, tag: 1 }),
    finalizedFeatures: array(
      { name: string(), maxVersionLevel: int16(), minVersionLevel: int16() },
      { versions: "3+", ignorable: true, tag: 2 },
    ),
    zkMigrationReady: bool({ versions: "3+", default: false, ignorable: true, tag: 3 }),
  },
);

export type ApiVersionsResponse = Infer<typeof apiVersionsResponse>;
