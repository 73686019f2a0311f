import { array, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's LeaveGroupRequest. */
export const leaveGroupRequest = request(
  "LeaveGroup",
  13,
  { versions: "0-5", flexible: "4+" },
  {
    groupId: string(),
    memberId: string({ versions: "0-2" }),
    members: array(
      {
        memberId: string(),
        groupInstanceId: string({ nullable: true, default: null }),
        reason: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
      },
      { versions: "3+" },
    ),
  },
);

export type LeaveGroupRequest = Infer<typeof leaveGroupRequest>;

/** Kafka's LeaveGroupResponse. */
export const leaveGroupResponse = response(
  "LeaveGroup",
  13,
  { versions: "0-5", flexible: "4+" },
  {
    throttleTimeMs: int32({ versions: "1+", ignorable: true }),
    errorCode: int16(),
    members: array(
      { memberId: string(), groupInstanceId: string({ nullable: true }), errorCode: int16() },
      { versions: "3+" },
    ),
  },
);

export type LeaveGroupResponse = Infer<typeof leaveGroupResponse>;
