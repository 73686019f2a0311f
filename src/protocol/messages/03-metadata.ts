import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  request,
  response,
  string,
  uuid,
} from "../schema.ts";

/** Kafka's MetadataRequest. */
export const metadataRequest = request(
  "Metadata",
  3,
  { versions: "0-13", flexible: "9+" },
  {
    topics: array(
      { topicId: uuid({ versions: "10+", ignorable: true }), name: string({ nullable: "10+" }) },
      { nullable: "1+" },
    ),
    allowAutoTopicCreation: bool({ versions: "4+", default: true }),
    includeClusterAuthorizedOperations: bool({ versions: "8-10" }),
    includeTopicAuthorizedOperations: bool({ versions: "8+" }),
  },
);

export type MetadataRequest = Infer<typeof metadataRequest>;

/** Kafka's MetadataResponse. */
export const metadataResponse = response(
  "Metadata",
  3,
  { versions: "0-13", flexible: "9+" },
  {
    throttleTimeMs: int32({ versions: "3+", ignorable: true }),
    brokers: array({
      nodeId: int32(),
      host: string(),
      port: int32(),
      rack: string({ versions: "1+", nullable: true, default: null, ignorable: true }),
    }),
    clusterId: string({ versions: "2+", nullable: true, default: null, ignorable: true }),
    controllerId: int32({ versions: "1+", default: -1, ignorable: true }),
    topics: array({
      errorCode: int16(),
      name: string({ nullable: "12+" }),
      topicId: uuid({ versions: "10+", ignorable: true }),
      isInternal: bool({ versions: "1+", default: false, ignorable: true }),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32({ versions: "7+", default: -1, ignorable: true }),
        replicaNodes: array(int32()),
        isrNodes: array(int32()),
        offlineReplicas: array(int32(), { versions: "5+", ignorable: true }),
      }),
      topicAuthorizedOperations: int32({ versions: "8+", default: -2147483648 }),
    }),
    clusterAuthorizedOperations: int32({ versions: "8-10", default: -2147483648 }),
    errorCode: int16({ versions: "13+", ignorable: true }),
  },
);

export type MetadataResponse = Infer<typeof metadataResponse>;
