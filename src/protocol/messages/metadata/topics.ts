import { array, type Infer, int32, int8, message, string, uuid } from "../../schema.ts";

/** Kafka's TopicRecord. */
export const topicRecord = message(
  "TopicRecord",
  { apiKey: 2, versions: "0", flexible: "0+" },
  { name: string(), topicId: uuid() },
);

export type TopicRecord = Infer<typeof topicRecord>;

/** Kafka's RemoveTopicRecord. */
export const removeTopicRecord = message(
  "RemoveTopicRecord",
  { apiKey: 9, versions: "0", flexible: "0+" },
  { topicId: uuid() },
);

export type RemoveTopicRecord = Infer<typeof removeTopicRecord>;

/** Kafka's PartitionRecord. */
export const partitionRecord = message(
  "PartitionRecord",
  { apiKey: 3, versions: "0-2", flexible: "0+" },
  {
    partitionId: int32({ default: -1 }),
    topicId: uuid(),
    replicas: array(int32()),
    isr: array(int32()),
    removingReplicas: array(int32()),
    addingReplicas: array(int32()),
    leader: int32({ default: -1 }),
    leaderRecoveryState: int8({ default: 0, tag: 0 }),
    leaderEpoch: int32({ default: -1 }),
    partitionEpoch: int32({ default: -1 }),
    directories: array(uuid(), { versions: "1+" }),
    eligibleLeaderReplicas: array(int32(), {
      versions: "2+",
      nullable: true,
      default: null,
      tag: 1,
    }),
    lastKnownElr: array(int32(), { versions: "2+", nullable: true, default: null, tag: 2 }),
  },
);

export type PartitionRecord = Infer<typeof partitionRecord>;

/** Kafka's PartitionChangeRecord. */
export const partitionChangeRecord = message(
  "PartitionChangeRecord",
  { apiKey: 5, versions: "0-2", flexible: "0+" },
  {
    partitionId: int32({ default: -1 }),
    topicId: uuid(),
    isr: array(int32(), { nullable: true, default: null, tag: 0 }),
    leader: int32({ default: -2, tag: 1 }),
    replicas: array(int32(), { nullable: true, default: null, tag: 2 }),
    removingReplicas: array(int32(), { nullable: true, default: null, tag: 3 }),
    addingReplicas: array(int32(), { nullable: true, default: null, tag: 4 }),
    leaderRecoveryState: int8({ default: -1, tag: 5 }),
    directories: array(uuid(), { versions: "1+", nullable: true, default: null, tag: 8 }),
    eligibleLeaderReplicas: array(int32(), {
      versions: "2+",
      nullable: true,
      default: null,
      tag: 6,
    }),
    lastKnownElr: array(int32(), { versions: "2+", nullable: true, default: null, tag: 7 }),
  },
);

export type PartitionChangeRecord = Infer<typeof partitionChangeRecord>;

/** Kafka's ClearElrRecord. */
export const clearElrRecord = message(
  "ClearElrRecord",
  { apiKey: 28, versions: "0", flexible: "0+" },
  { topicName: string() },
);

export type ClearElrRecord = Infer<typeof clearElrRecord>;
