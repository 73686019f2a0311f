import { array, type Infer, int32, int8, message, uuid } from "../../schema.ts";

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
