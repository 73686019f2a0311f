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
} from "../schema.ts";

/** Kafka's DescribeClusterRequest. */
export const describeClusterRequest = request(
  "DescribeCluster",
  60,
  { versions: "0-2", flexible: "0+" },
  {
    includeClusterAuthorizedOperations: bool(),
    endpointType: int8({ versions: "1+", default: 1 }),
    includeFencedBrokers: bool({ versions: "2+" }),
  },
);

export type DescribeClusterRequest = Infer<typeof describeClusterRequest>;

/** Kafka's DescribeClusterResponse. */
export const describeClusterResponse = response(
  "DescribeCluster",
  60,
  { versions: "0-2", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    endpointType: int8({ versions: "1+", default: 1 }),
    clusterId: string(),
    controllerId: int32({ default: -1 }),
    brokers: array({
      brokerId: int32(),
      host: string(),
      port: int32(),
      rack: string({ nullable: true, default: null }),
      isFenced: bool({ versions: "2+" }),
    }),
    clusterAuthorizedOperations: int32({ default: -2147483648 }),
  },
);

export type DescribeClusterResponse = Infer<typeof describeClusterResponse>;
