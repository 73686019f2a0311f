import { array, bytes, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's SyncGroupRequest. */
export const syncGroupRequest = request(
  "SyncGroup",
  14,
  { versions: "0-5", flexible: "4+" },
  {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string({ versions: "3+", nullable: true, default: null }),
    protocolType: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    protocolName: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    assignments: array({ memberId: string(), assignment: bytes() }),
  },
);

export type SyncGroupRequest = Infer<typeof syncGroupRequest>;

/** Kafka's SyncGroupResponse. */
export const syncGroupResponse = response(
  "SyncGroup",
  14,
  { versions: "0-5", flexible: "4+" },
  {
    throttleTimeMs: int32({ versions: "1+", ignorable: true }),
    errorCode: int16(),
    protocolType: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    protocolName: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    assignment: bytes(),
  },
);

export type SyncGroupResponse = Infer<typeof syncGroupResponse>;
