import {
  array,
  bytes,
  exactInt64,
  type Infer,
  int32,
  int64,
  int8,
  message,
  string,
  struct,
  uuid,
} from "../../schema.ts";

/** Kafka's ConsumerGroupMetadataKey. */
export const consumerGroupMetadataKey = message(
  "ConsumerGroupMetadataKey",
  { apiKey: 3, versions: "0" },
  { groupId: string() },
);

export type ConsumerGroupMetadataKey = Infer<typeof consumerGroupMetadataKey>;

/** Kafka's ConsumerGroupMetadataValue. */
export const consumerGroupMetadataValue = message(
  "ConsumerGroupMetadataValue",
  { apiKey: 3, versions: "0", flexible: "0+" },
  { epoch: int32(), metadataHash: exactInt64({ default: 0n, tag: 0 }) },
);

export type ConsumerGroupMetadataValue = Infer<typeof consumerGroupMetadataValue>;

/** Kafka's ConsumerGroupPartitionMetadataKey. */
export const consumerGroupPartitionMetadataKey = message(
  "ConsumerGroupPartitionMetadataKey",
  { apiKey: 4, versions: "0" },
  { groupId: string() },
);

export type ConsumerGroupPartitionMetadataKey = Infer<typeof consumerGroupPartitionMetadataKey>;

/** Kafka's ConsumerGroupPartitionMetadataValue. */
export const consumerGroupPartitionMetadataValue = message(
  "ConsumerGroupPartitionMetadataValue",
  { apiKey: 4, versions: "0", flexible: "0+" },
  {
    topics: array({
      topicId: uuid(),
      topicName: string(),
      numPartitions: int32(),
      partitionMetadata: array({ partition: int32(), racks: array(string()) }),
    }),
  },
);

export type ConsumerGroupPartitionMetadataValue = Infer<typeof consumerGroupPartitionMetadataValue>;

/** Kafka's ConsumerGroupMemberMetadataKey. */
export const consumerGroupMemberMetadataKey = message(
  "ConsumerGroupMemberMetadataKey",
  { apiKey: 5, versions: "0" },
  { groupId: string(), memberId: string() },
);

export type ConsumerGroupMemberMetadataKey = Infer<typeof consumerGroupMemberMetadataKey>;

/** Kafka's ConsumerGroupMemberMetadataValue. */
export const consumerGroupMemberMetadataValue = message(
  "ConsumerGroupMemberMetadataValue",
  { apiKey: 5, versions: "0", flexible: "0+" },
  {
    instanceId: string({ nullable: true }),
    rackId: string({ nullable: true }),
    clientId: string(),
    clientHost: string(),
    subscribedTopicNames: array(string()),
    subscribedTopicRegex: string({ nullable: true }),
    rebalanceTimeoutMs: int32({ default: -1 }),
    serverAssignor: string({ nullable: true }), // Left out, it is a struct of defaults, as in Kafka's own classes: say null for none.
    classicMemberMetadata: struct(
      {
        sessionTimeoutMs: int32(),
        supportedProtocols: array({ name: string(), metadata: bytes() }),
      },
      { nullable: true, tag: 0 },
    ),
  },
);

export type ConsumerGroupMemberMetadataValue = Infer<typeof consumerGroupMemberMetadataValue>;

/** Kafka's ConsumerGroupTargetAssignmentMetadataKey. */
export const consumerGroupTargetAssignmentMetadataKey = message(
  "ConsumerGroupTargetAssignmentMetadataKey",
  { apiKey: 6, versions: "0" },
  { groupId: string() },
);

export type ConsumerGroupTargetAssignmentMetadataKey = Infer<
  typeof consumerGroupTargetAssignmentMetadataKey
>;

/** Kafka's ConsumerGroupTargetAssignmentMetadataValue. */
export const consumerGroupTargetAssignmentMetadataValue = message(
  "ConsumerGroupTargetAssignmentMetadataValue",
  { apiKey: 6, versions: "0", flexible: "0+" },
  { assignmentEpoch: int32(), assignmentTimestamp: int64({ default: 0, ignorable: true, tag: 0 }) },
);

export type ConsumerGroupTargetAssignmentMetadataValue = Infer<
  typeof consumerGroupTargetAssignmentMetadataValue
>;

/** Kafka's ConsumerGroupTargetAssignmentMemberKey. */
export const consumerGroupTargetAssignmentMemberKey = message(
  "ConsumerGroupTargetAssignmentMemberKey",
  { apiKey: 7, versions: "0" },
  { groupId: string(), memberId: string() },
);

export type ConsumerGroupTargetAssignmentMemberKey = Infer<
  typeof consumerGroupTargetAssignmentMemberKey
>;

/** Kafka's ConsumerGroupTargetAssignmentMemberValue. */
export const consumerGroupTargetAssignmentMemberValue = message(
  "ConsumerGroupTargetAssignmentMemberValue",
  { apiKey: 7, versions: "0", flexible: "0+" },
  { topicPartitions: array({ topicId: uuid(), partitions: array(int32()) }) },
);

export type ConsumerGroupTargetAssignmentMemberValue = Infer<
  typeof consumerGroupTargetAssignmentMemberValue
>;

/** Kafka's ConsumerGroupCurrentMemberAssignmentKey. */
export const consumerGroupCurrentMemberAssignmentKey = message(
  "ConsumerGroupCurrentMemberAssignmentKey",
  { apiKey: 8, versions: "0" },
  { groupId: string(), memberId: string() },
);

export type ConsumerGroupCurrentMemberAssignmentKey = Infer<
  typeof consumerGroupCurrentMemberAssignmentKey
>;

const topicPartitions = {
  topicId: uuid(),
  partitions: array(int32()),
  assignmentEpochs: array(int32(), { nullable: true, tag: 0 }),
};

/** Kafka's ConsumerGroupCurrentMemberAssignmentValue. */
export const consumerGroupCurrentMemberAssignmentValue = message(
  "ConsumerGroupCurrentMemberAssignmentValue",
  { apiKey: 8, versions: "0", flexible: "0+" },
  {
    memberEpoch: int32(),
    previousMemberEpoch: int32(),
    state: int8(),
    assignedPartitions: array(topicPartitions),
    partitionsPendingRevocation: array(topicPartitions),
  },
);

export type ConsumerGroupCurrentMemberAssignmentValue = Infer<
  typeof consumerGroupCurrentMemberAssignmentValue
>;

/** Kafka's ConsumerGroupRegularExpressionKey. */
export const consumerGroupRegularExpressionKey = message(
  "ConsumerGroupRegularExpressionKey",
  { apiKey: 16, versions: "0" },
  { groupId: string(), regularExpression: string() },
);

export type ConsumerGroupRegularExpressionKey = Infer<typeof consumerGroupRegularExpressionKey>;

/** Kafka's ConsumerGroupRegularExpressionValue. */
export const consumerGroupRegularExpressionValue = message(
  "ConsumerGroupRegularExpressionValue",
  { apiKey: 16, versions: "0", flexible: "0+" },
  { topics: array(string()), version: int64(), timestamp: int64() },
);

export type ConsumerGroupRegularExpressionValue = Infer<typeof consumerGroupRegularExpressionValue>;
