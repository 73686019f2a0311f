import { array, bool, float64, type Infer, message, string } from "../../schema.ts";

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
