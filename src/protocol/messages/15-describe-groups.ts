import {
  array,
  bool,
  bytes,
  type Infer,
  int16,
  int32,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's DescribeGroupsRequest. */
export const describeGroupsRequest = request(
  "DescribeGroups",
  15,
  { versions: "0-6", flexible: "5+" },
  { groups: array(string()), includeAuthorizedOperations: bool({ versions: "3+" }) },
);

export type DescribeGroupsRequest = Infer<typeof describeGroupsRequest>;

/** Kafka's DescribeGroupsResponse. */
export const describeGroupsResponse = response(
  "DescribeGroups",
  15,
  { versions: "0-6", flexible: "5+" },
  {
    throttleTimeMs: int32({ versions: "1+", ignorable: true }),
    groups: array({
      errorCode: int16(),
      errorMessage: string({ versions: "6+", nullable: true, default: null }),
      groupId: string(),
      groupState: string(),
      protocolType: string(),
      protocolData: string(),
      members: array({
        memberId: string(),
        groupInstanceId: string({ versions: "4+", nullable: true, default: null, ignorable: true }),
        clientId: string(),
        clientHost: string(),
        memberMetadata: bytes(),
        memberAssignment: bytes(),
      }),
      authorizedOperations: int32({ versions: "3+", default: -2147483648 }),
    }),
  },
);

export type DescribeGroupsResponse = Infer<typeof describeGroupsResponse>;
