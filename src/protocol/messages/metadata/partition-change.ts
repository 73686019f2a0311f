import { array, type Infer, int32, int8, message, uuid } from "../../schema.ts";

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
