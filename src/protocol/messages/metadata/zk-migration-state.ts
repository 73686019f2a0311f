import { type Infer, int8, message } from "../../schema.ts";

/** Kafka's ZkMigrationStateRecord. */
export const zkMigrationStateRecord = message(
  "ZkMigrationStateRecord",
  { apiKey: 21, versions: "0", flexible: "0+" },
  { zkMigrationState: int8() },
);

export type ZkMigrationStateRecord = Infer<typeof zkMigrationStateRecord>;
