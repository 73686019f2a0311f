import { type Infer, int16, message, string } from "../../schema.ts";

/** Kafka's FeatureLevelRecord. */
export const featureLevelRecord = message(
  "FeatureLevelRecord",
  { apiKey: 12, versions: "0", flexible: "0+" },
  { name: string(), featureLevel: int16() },
);

export type FeatureLevelRecord = Infer<typeof featureLevelRecord>;
