import { type Infer, int8, message, string } from "../../schema.ts";

/** Kafka's NoOpRecord. */
export const noOpRecord = message("NoOpRecord", { apiKey: 20, versions: "0", flexible: "0+" }, {});

/** Kafka's BeginTransactionRecord. */
export const beginTransactionRecord = message(
  "BeginTransactionRecord",
  { apiKey: 23, versions: "0", flexible: "0+" },
  { name: string({ nullable: true, default: null, tag: 0 }) },
);

export type BeginTransactionRecord = Infer<typeof beginTransactionRecord>;

/** Kafka's EndTransactionRecord. */
export const endTransactionRecord = message(
  "EndTransactionRecord",
  { apiKey: 24, versions: "0", flexible: "0+" },
  {},
);

/** Kafka's AbortTransactionRecord. */
export const abortTransactionRecord = message(
  "AbortTransactionRecord",
  { apiKey: 25, versions: "0", flexible: "0+" },
  { reason: string({ nullable: true, default: null, tag: 0 }) },
);

export type AbortTransactionRecord = Infer<typeof abortTransactionRecord>;

/** Kafka's ZkMigrationStateRecord. */
export const zkMigrationStateRecord = message(
  "ZkMigrationStateRecord",
  { apiKey: 21, versions: "0", flexible: "0+" },
  { zkMigrationState: int8() },
);

export type ZkMigrationStateRecord = Infer<typeof zkMigrationStateRecord>;
