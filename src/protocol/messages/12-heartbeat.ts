import { type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's HeartbeatRequest. */
export const heartbeatRequest = request(
  "Heartbeat",
  12,
  { versions: "0-4", flexible: "4+" },
  {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string({ versions: "3+", nullable: true, default: null }),
  },
);

export type HeartbeatRequest = Infer<typeof heartbeatRequest>;

/** Kafka's HeartbeatResponse. */
export const heartbeatResponse = response(
  "Heartbeat",
  12,
  { versions: "0-4", flexible: "4+" },
  { throttleTimeMs: int32({ versions: "1+", ignorable: true }), errorCode: int16() },
);

export type HeartbeatResponse = Infer<typeof heartbeatResponse>;
