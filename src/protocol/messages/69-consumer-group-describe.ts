import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int8,
  request,
  response,
  string,
  struct,
  uuid,
} from "../schema.ts";

/** Kafka's ConsumerGroupDescribeRequest. */
export const consumerGroupDescribeRequest = request(
  "ConsumerGroupDescribe",
  69,
  { versions: "0-1", flexible: "0+" },
  { groupIds: array(string()), includeAuthorizedOperations: bool() },
);

export type ConsumerGroupDescribeRequest = Infer<typeof consumerGroupDescribeRequest>;

const topicPartitions = { topicId: uuid(), topicName: string(), partitions: array(int32()) };

const assignment = { topicPartitions: array(topicPartitions) };

/** Kafka's ConsumerGroupDescribeResponse. */
export const consumerGroupDescribeResponse = response(
  "ConsumerGroupDescribe",
  69,
  { versions: "0-1", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    groups: array({
      errorCode: int16(),
      errorMessage: string({ nullable: true, default: null }),
      groupId: string(),
      groupState: string(),
      groupEpoch: int32(),
      assignmentEpoch: int32(),
      assignorName: string(),
      members: array({
        memberId: string(),
        instanceId: string({ nullable: true, default: null }),
        rackId: string({ nullable: true, default: null }),
        memberEpoch: int32(),
        clientId: string(),
        clientHost: string(),
        subscribedTopicNames: array(string()),
        subscribedTopicRegex: string({ nullable: true, default: null }),
        assignment: struct(assignment),
        targetAssignment: struct(assignment),
        memberType: int8({ versions: "1+", default: -1, ignorable: true }),
      }),
      authorizedOperations: int32({ default: -2147483648 }),
    }),
  },
);

export type ConsumerGroupDescribeResponse = Infer<typeof consumerGroupDescribeResponse>;
