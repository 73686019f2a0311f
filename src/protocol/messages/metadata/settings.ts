import {
  array,
  bool,
  float64,
  type Infer,
  int16,
  int32,
  int64,
  int8,
  message,
  string,
} from "../../schema.ts";

/** Kafka's ConfigRecord. */
export const configRecord = message(
  "ConfigRecord",
  { apiKey: 4, versions: "0", flexible: "0+" },
  {
    resourceType: int8(),
    resourceName: string(),
    name: string(),
    value: string({ nullable: true }),
  },
);

export type ConfigRecord = Infer<typeof configRecord>;

/** Kafka's FeatureLevelRecord. */
export const featureLevelRecord = message(
  "FeatureLevelRecord",
  { apiKey: 12, versions: "0", flexible: "0+" },
  { name: string(), featureLevel: int16() },
);

export type FeatureLevelRecord = Infer<typeof featureLevelRecord>;

/** Kafka's ClientQuotaRecord. */
export const clientQuotaRecord = message(
  "ClientQuotaRecord",
  { apiKey: 14, versions: "0", flexible: "0+" },
  {
    entity: array({ entityType: string(), entityName: string({ nullable: true }) }),
    key: string(),
    value: float64(),
    remove: bool(),
  },
);

export type ClientQuotaRecord = Infer<typeof clientQuotaRecord>;

/** Kafka's ProducerIdsRecord. */
export const producerIdsRecord = message(
  "ProducerIdsRecord",
  { apiKey: 15, versions: "0", flexible: "0+" },
  { brokerId: int32(), brokerEpoch: int64({ default: -1 }), nextProducerId: int64() },
);

export type ProducerIdsRecord = Infer<typeof producerIdsRecord>;
