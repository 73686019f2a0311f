import { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { Mailbox } from "../base/mailbox.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import { CopyAbortedError } from "../storage/log-copy.ts";
import type { LogManager } from "../storage/log-manager.ts";
import type { LogMove } from "../storage/log-moves.ts";
import { fitsFutureName } from "../storage/file-names.ts";
import type { ReplicaManager } from "./manager.ts";
import type { Partition } from "./partition.ts";
import type { PartitionLog } from "./partition-log.ts";
import { refusalOf } from "./refusal.ts";

export interface ReplicaMovesDependencies {
  readonly replicas: ReplicaManager;
  readonly logs: Pick<
    LogManager,
    "beginMove" | "directories" | "interruptedMoves" | "openLog" | "pathOf" | "preferPath"
  >;
  /** Makes the cluster know where this node's replica lies. Throws KafkaError. */
  readonly assignDirectory: (
    partition: { readonly topicId: Uuid; readonly partitionIndex: number },
    directoryId: Uuid,
  ) => Promise<void>;
  readonly logger: Logger;
}

interface RunningMove {
  readonly path: string;
  readonly move: LogMove;
  readonly done: Promise<void>;
}

/**
 * Moves replicas between the log directories of this node (KIP-113): in the background, while they are
 * led. Only at the end a partition takes no appends for as long as it takes to copy the rest; clients are
 * told NOT_LEADER_OR_FOLLOWER then, on which they ask again.
 */
export class ReplicaMoves {
  readonly #dependencies: ReplicaMovesDependencies;
  /** By partition. */
  readonly #running = new Map<string, RunningMove>();
  readonly #requests = new Mailbox();
  #isClosed = false;

  constructor(dependencies: ReplicaMovesDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Begins to move the replica to the directory of that path, unless it is there or on its way; one that
   * is on its way elsewhere turns round. null: done so, or why not, in Kafka's words.
   */
  alter(topic: string, partitionIndex: number, path: string): Promise<ErrorName | null> {
    return this.#requests.run(() => this.#alter(topic, partitionIndex, path));
  }

  /** Begins anew what the last run did not complete. Called once, when all partitions are led. */
  async resume(): Promise<void> {
    const { logs, replicas, logger } = this.#dependencies;
    for (const { topic, partitionIndex, topicId, path } of logs.interruptedMoves) {
      if (replicas.partition(topic, partitionIndex)?.topicId !== topicId) continue;
      const error = await this.alter(topic, partitionIndex, path);
      if (error === null) continue;
      logger.warn({ topic, partitionIndex, path, error }, "a move could not be begun anew");
    }
  }

  /** Ends what runs; it is begun anew after the next start. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#requests.close();
    for (const { move } of this.#running.values()) move.stop();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #alter(topic: string, partitionIndex: number, path: string): Promise<ErrorName | null> {
    const { logs, replicas } = this.#dependencies;
    const key = `${topic}-${partitionIndex}`;
    const refusal = this.#refusalOf(topic, partitionIndex, path);
    if (refusal !== null) return refusal;
    const running = this.#running.get(key);
    if (running?.path === path) return null;
    running?.move.stop();
    await running?.done;
    const partition = replicas.find(replicas.topicByName(topic), partitionIndex, false);
    if (partition === "KAFKA_STORAGE_ERROR") return partition;
    // One that is not there yet will be made where it is wanted, as in Kafka.
    if (typeof partition === "string") {
      logs.preferPath(topic, partitionIndex, path);
      return partition;
    }
    if (logs.pathOf(topic, partitionIndex) === path) return null;
    // A copy may lie in the one that is offline, and come back with it.
    if (logs.directories.some(({ isOnline }) => !isOnline)) return "KAFKA_STORAGE_ERROR";
    try {
      const move = await logs.beginMove(partition, path);
      const done = this.#run(partition, move).finally(() => this.#running.delete(key));
      this.#running.set(key, { path, move, done });
      return null;
    } catch (error) {
      return refusalOf(error).errorName;
    }
  }

  #refusalOf(topic: string, partitionIndex: number, path: string): ErrorName | null {
    if (!fitsFutureName(topic, partitionIndex)) return "INVALID_TOPIC_EXCEPTION";
    const target = this.#dependencies.logs.directories.find((each) => each.path === path);
    if (target === undefined) return "LOG_DIR_NOT_FOUND";
    return target.isOnline ? null : "KAFKA_STORAGE_ERROR";
  }

  async #run(partition: Partition, move: LogMove): Promise<void> {
    const { replicas, logger } = this.#dependencies;
    const { topic, partitionIndex } = partition;
    try {
      await move.copy();
      await replicas.replaceLog(partition, () => this.#complete(partition, move));
    } catch (error) {
      const reason = reasonOf(error);
      const isMeant = this.#isClosed || reason instanceof CopyAbortedError;
      if (!isMeant) logger.error({ topic, partitionIndex, error: reason }, "a move was given up");
    }
    // Also when the topic was deleted meanwhile; of one that has arrived nothing is left here. What a stop
    // leaves says that the move is to begin anew.
    if (!this.#isClosed) await move.giveUp();
  }

  /** The log in its new place, or else in its old one. */
  async #complete(partition: Partition, move: LogMove): Promise<PartitionLog> {
    const { logs, assignDirectory, logger } = this.#dependencies;
    const { topic, partitionIndex, topicId } = partition;
    try {
      return await move.complete({
        highWatermark: () => partition.highWatermark,
        assign: (directoryId) => assignDirectory(partition, directoryId),
      });
    } catch (error) {
      const reason = reasonOf(error);
      if (!this.#isClosed) {
        await move.giveUp();
        logger.error({ topic, partitionIndex, error: reason }, "a move was given up at its end");
      }
      return await logs.openLog({ topic, partitionIndex, topicId }, move.log.config);
    }
  }
}

/** Anything else is a bug, and is thrown on. */
function reasonOf(error: unknown): Error {
  const isExpected =
    error instanceof KafkaError || error instanceof DiskError || error instanceof CopyAbortedError;
  if (isExpected) return error;
  throw error;
}
