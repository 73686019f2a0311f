import { exactInt64, type Infer, int32, int64, message, string, uuid } from "../../schema.ts";

/** Kafka's OffsetCommitKey. */
export const offsetCommitKey = message(
  "OffsetCommitKey",
  { apiKey: 1, versions: "0" },
  { group: string(), topic: string(), partition: int32() },
);

export type OffsetCommitKey = Infer<typeof offsetCommitKey>;

/** Kafka's OffsetCommitValue. */
export const offsetCommitValue = message(
  "OffsetCommitValue",
  { apiKey: 1, versions: "0-4", flexible: "4+" },
  {
    offset: int64(),
    leaderEpoch: int32({ versions: "3+", default: -1, ignorable: true }),
    metadata: string(),
    commitTimestamp: int64(),
    expireTimestamp: exactInt64({ versions: "1", default: -1n, ignorable: true }),
    topicId: uuid({ versions: "4+", ignorable: true, tag: 0 }),
  },
);

export type OffsetCommitValue = Infer<typeof offsetCommitValue>;

/** Kafka's LegacyOffsetCommitKey. */
export const legacyOffsetCommitKey = message(
  "LegacyOffsetCommitKey",
  { apiKey: 0, versions: "0" },
  { group: string(), topic: string(), partition: int32() },
);

export type LegacyOffsetCommitKey = Infer<typeof legacyOffsetCommitKey>;

/** Kafka's LegacyOffsetCommitValue. */
export const legacyOffsetCommitValue = message(
  "LegacyOffsetCommitValue",
  { apiKey: 0, versions: "0" },
  { offset: int64(), metadata: string(), commitTimestamp: int64() },
);

export type LegacyOffsetCommitValue = Infer<typeof legacyOffsetCommitValue>;
