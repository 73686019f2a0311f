import { array, type Infer, int16, int32, int8, request, response, string } from "../schema.ts";

/** Kafka's FindCoordinatorRequest. */
export const findCoordinatorRequest = request(
  "FindCoordinator",
  10,
  { versions: "0-6", flexible: "3+" },
  {
    key: string({ versions: "0-3" }),
    keyType: int8({ versions: "1+", default: 0 }),
    coordinatorKeys: array(string(), { versions: "4+" }),
  },
);

export type FindCoordinatorRequest = Infer<typeof findCoordinatorRequest>;

/** Kafka's FindCoordinatorResponse. */
export const findCoordinatorResponse = response(
  "FindCoordinator",
  10,
  { versions: "0-6", flexible: "3+" },
  {
    throttleTimeMs: int32({ versions: "1+", ignorable: true }),
    errorCode: int16({ versions: "0-3" }),
    errorMessage: string({ versions: "1-3", nullable: true, ignorable: true }),
    nodeId: int32({ versions: "0-3" }),
    host: string({ versions: "0-3" }),
    port: int32({ versions: "0-3" }),
    coordinators: array(
      {
        key: string(),
        nodeId: int32(),
        host: string(),
        port: int32(),
        errorCode: int16(),
        errorMessage: string({ nullable: true, ignorable: true }),
      },
      { versions: "4+" },
    ),
  },
);

export type FindCoordinatorResponse = Infer<typeof findCoordinatorResponse>;
