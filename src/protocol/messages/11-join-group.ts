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

/** Kafka's JoinGroupRequest. */
export const joinGroupRequest = request(
  "JoinGroup",
  11,
  { versions: "0-9", flexible: "6+" },
  {
    groupId: string(),
    sessionTimeoutMs: int32(),
    rebalanceTimeoutMs: int32({ versions: "1+", default: -1, ignorable: true }),
    memberId: string(),
    groupInstanceId: string({ versions: "5+", nullable: true, default: null }),
    protocolType: string(),
    protocols: array({ name: string(), metadata: bytes() }),
    reason: string({ versions: "8+", nullable: true, default: null, ignorable: true }),
  },
);

export type JoinGroupRequest = Infer<typeof joinGroupRequest>;

/** Kafka's JoinGroupResponse. */
export const joinGroupResponse = response(
  "JoinGroup",
  11,
  { versions: "0-9", flexible: "6+" },
  {
    throttleTimeMs: int32({ versions: "2+", ignorable: true }),
    errorCode: int16(),
    generationId: int32({ default: -1 }),
    protocolType: string({ versions: "7+", nullable: true, default: null, ignorable: true }),
    protocolName: string({ nullable: "7+" }),
    leader: string(),
    skipAssignment: bool({ versions: "9+", default: false }),
    memberId: string(),
    members: array({
      memberId: string(),
      groupInstanceId: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
      metadata: bytes(),
    }),
  },
);

export type JoinGroupResponse = Infer<typeof joinGroupResponse>;
