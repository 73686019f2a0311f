import { resolve } from "node:path";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, type ErrorName } from "../../protocol/errors.ts";
import type { AlterReplicaLogDirsResponse } from "../../protocol/messages/34-alter-replica-log-dirs.ts";
import type { ReplicaMoves } from "../../replica/replica-moves.ts";
import type { LogManager } from "../../storage/log-manager.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

// AlterReplicaLogDirs, versions 1-2 (KIP-113): moves replicas between the log directories of this node; 2
// is flexible. Answered when the move has begun: DescribeLogDirs tells how it goes.

type TopicAnswer = AlterReplicaLogDirsResponse["results"][number];

export interface AlterReplicaLogDirsDependencies {
  readonly moves: Pick<ReplicaMoves, "alter">;
  readonly logs: Pick<LogManager, "directories">;
}

export function alterReplicaLogDirsHandler(
  dependencies: AlterReplicaLogDirsDependencies,
): TypedApiHandler<
  typeof APIS.alterReplicaLogDirs.request,
  typeof APIS.alterReplicaLogDirs.response
> {
  return handlerFor(APIS.alterReplicaLogDirs, async ({ dirs }) => {
    const results = new Map<string, TopicAnswer>();
    for (const { path, topics } of dirs) {
      for (const { name, partitions } of topics) {
        const answer = results.get(name) ?? { topicName: name, partitions: [] };
        results.set(name, answer);
        for (const partitionIndex of partitions) {
          const error = await alter(dependencies, path, name, partitionIndex);
          answer.partitions.push({ partitionIndex, errorCode: errorCode(error ?? "NONE") });
        }
      }
    }
    return { throttleTimeMs: 0, results: [...results.values()] };
  });
}

/** Clients name a directory as they were told it: by its absolute path. */
async function alter(
  { moves, logs }: AlterReplicaLogDirsDependencies,
  absolutePath: string,
  topic: string,
  partitionIndex: number,
): Promise<ErrorName | null> {
  const directory = logs.directories.find(({ path }) => resolve(path) === absolutePath);
  if (directory === undefined) return "LOG_DIR_NOT_FOUND";
  return await moves.alter(topic, partitionIndex, directory.path);
}
