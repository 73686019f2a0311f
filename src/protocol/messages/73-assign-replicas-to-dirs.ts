import { array, type Infer, int16, int32, int64, request, response, uuid } from "../schema.ts";

/** Kafka's AssignReplicasToDirsRequest. */
export const assignReplicasToDirsRequest = request(
  "AssignReplicasToDirs",
  73,
  { versions: "0", flexible: "0+" },
  {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
    directories: array({
      id: uuid(),
      topics: array({ topicId: uuid(), partitions: array({ partitionIndex: int32() }) }),
    }),
  },
);

export type AssignReplicasToDirsRequest = Infer<typeof assignReplicasToDirsRequest>;

/** Kafka's AssignReplicasToDirsResponse. */
export const assignReplicasToDirsResponse = response(
  "AssignReplicasToDirs",
  73,
  { versions: "0", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    directories: array({
      id: uuid(),
      topics: array({
        topicId: uuid(),
        partitions: array({ partitionIndex: int32(), errorCode: int16() }),
      }),
    }),
  },
);

export type AssignReplicasToDirsResponse = Infer<typeof assignReplicasToDirsResponse>;
