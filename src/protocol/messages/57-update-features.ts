import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int8,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's UpdateFeaturesRequest. */
export const updateFeaturesRequest = request(
  "UpdateFeatures",
  57,
  { versions: "0-2", flexible: "0+" },
  {
    timeoutMs: int32({ default: 60000 }),
    featureUpdates: array({
      feature: string(),
      maxVersionLevel: int16(),
      allowDowngrade: bool({ versions: "0" }),
      upgradeType: int8({ versions: "1+", default: 1 }),
    }),
    validateOnly: bool({ versions: "1+", default: false }),
  },
);

export type UpdateFeaturesRequest = Infer<typeof updateFeaturesRequest>;

/** Kafka's UpdateFeaturesResponse. */
export const updateFeaturesResponse = response(
  "UpdateFeatures",
  57,
  { versions: "0-2", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true }),
    results: array(
      { feature: string(), errorCode: int16(), errorMessage: string({ nullable: true }) },
      { versions: "0-1", ignorable: true },
    ),
  },
);

export type UpdateFeaturesResponse = Infer<typeof updateFeaturesResponse>;
