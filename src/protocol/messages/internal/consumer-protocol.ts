import { array, bytes, type Infer, int32, message, string } from "../../schema.ts";

/** Kafka's ConsumerProtocolSubscription. */
export const consumerProtocolSubscription = message(
  "ConsumerProtocolSubscription",
  { versions: "0-3" },
  {
    topics: array(string()),
    userData: bytes({ nullable: true, default: null }),
    ownedPartitions: array(
      { topic: string(), partitions: array(int32()) },
      { versions: "1+", ignorable: true },
    ),
    generationId: int32({ versions: "2+", default: -1, ignorable: true }),
    rackId: string({ versions: "3+", nullable: true, default: null, ignorable: true }),
  },
);

export type ConsumerProtocolSubscription = Infer<typeof consumerProtocolSubscription>;

/** Kafka's ConsumerProtocolAssignment. */
export const consumerProtocolAssignment = message(
  "ConsumerProtocolAssignment",
  { versions: "0-3" },
  {
    assignedPartitions: array({ topic: string(), partitions: array(int32()) }),
    userData: bytes({ nullable: true, default: null }),
  },
);

export type ConsumerProtocolAssignment = Infer<typeof consumerProtocolAssignment>;
