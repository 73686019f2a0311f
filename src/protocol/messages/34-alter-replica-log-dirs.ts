import { array, type Infer, int16, int32, request, response, string } from "../schema.ts";

/** Kafka's AlterReplicaLogDirsRequest. */
export const alterReplicaLogDirsRequest = request(
  "AlterReplicaLogDirs",
  34,
  { versions: "1-2", flexible: "2+" },
  {
    dirs: array({
      path: string(),
      topics: array({ name: string(), partitions: array(int32()) }),
    }),
  },
);

export type AlterReplicaLogDirsRequest = Infer<typeof alterReplicaLogDirsRequest>;

/** Kafka's AlterReplicaLogDirsResponse. */
export const alterReplicaLogDirsResponse = response(
  "AlterReplicaLogDirs",
  34,
  { versions: "1-2", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    results: array({
      topicName: string(),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
);

export type AlterReplicaLogDirsResponse = Infer<typeof alterReplicaLogDirsResponse>;
