import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Offload } from "../../base/offload.ts";
import { TimerQueue } from "../../base/timer-queue.ts";
import { TimeSlice } from "../../base/time-slice.ts";
import { KafkaError } from "../../protocol/errors.ts";
import type { CoordinatorLog } from "./coordinator-log.ts";
import type { CoordinatorCore } from "./core.ts";
import { Shard, type ShardOptions } from "./shard.ts";

export interface RuntimeDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly offload: Offload;
}

/**
 * The coordinators of one kind on this broker: one shard for each partition that it leads (design.md,
 * section 7). It knows nothing about groups or transactions.
 */
export class CoordinatorRuntime<State, Command, Rec> {
  readonly #dependencies: RuntimeDependencies;
  readonly #options: ShardOptions;
  readonly #core: CoordinatorCore<State, Command, Rec>;
  readonly #timers: TimerQueue;
  /** Bounded by the partition count of the coordinator's topic. */
  readonly #shards = new Map<number, Shard<State, Command, Rec>>();
  #isClosed = false;

  constructor(
    dependencies: RuntimeDependencies,
    core: CoordinatorCore<State, Command, Rec>,
    options: ShardOptions,
  ) {
    this.#dependencies = dependencies;
    this.#core = core;
    this.#options = options;
    this.#timers = new TimerQueue(dependencies.clock);
  }

  /**
   * This broker now leads the partition. Loads its shard in the background; until then `submit` and
   * `read` answer COORDINATOR_LOAD_IN_PROGRESS. A later epoch of the same partition loads anew.
   */
  onLeadership(partitionIndex: number, leaderEpoch: number, log: CoordinatorLog): void {
    if (this.#isClosed) return;
    const current = this.#shards.get(partitionIndex);
    if (current !== undefined && current.leaderEpoch >= leaderEpoch) return;
    current?.close();
    const shard = new Shard(
      { ...this.#dependencies, timers: this.#timers },
      this.#core,
      { partitionIndex, leaderEpoch, log },
      this.#options,
    );
    this.#shards.set(partitionIndex, shard);
    shard.start();
  }

  /** This broker leads it no more: everything that waits ends with NOT_COORDINATOR (G8). */
  onResignation(partitionIndex: number): void {
    this.#shards.get(partitionIndex)?.close();
    this.#shards.delete(partitionIndex);
  }

  /**
   * Handles the command in its turn and resolves with the response once all that it rests on is
   * committed. Rejects with KafkaError; what came before the log (NOT_ENOUGH_REPLICAS, …) is not translated.
   */
  submit(partitionIndex: number, command: Command): Promise<unknown> {
    const shard = this.#shards.get(partitionIndex);
    if (shard === undefined) return Promise.reject(new KafkaError("NOT_COORDINATOR"));
    return shard.submit(command);
  }

  /** Hands the command to every shard, now or when it has loaded. Nobody waits for an answer. */
  broadcast(command: Command): void {
    for (const shard of this.#shards.values()) shard.enqueue(command);
  }

  /** Looks at the shard's state as it is. Throws KafkaError where there is none to look at. */
  read<T>(partitionIndex: number, look: (state: State) => T): T {
    const shard = this.#shards.get(partitionIndex);
    if (shard === undefined) throw new KafkaError("NOT_COORDINATOR");
    return shard.read(look);
  }

  /**
   * Looks at all shards, one after the other, and lets others have their turn between them. Shards whose
   * log is gone are left out. Throws COORDINATOR_LOAD_IN_PROGRESS while one loads.
   */
  async readAll<T>(look: (state: State) => T): Promise<T[]> {
    const found: T[] = [];
    const slice = new TimeSlice(this.#dependencies.clock);
    for (const partitionIndex of [...this.#shards.keys()]) {
      if (slice.isOver) await slice.next();
      try {
        found.push(this.read(partitionIndex, look));
      } catch (error) {
        if (!(error instanceof KafkaError) || error.errorName !== "NOT_COORDINATOR") throw error;
      }
    }
    return found;
  }

  /** Ends all shards; whatever waits ends with NOT_COORDINATOR. Resolves when no load is running. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const loads = [...this.#shards.values()].map((shard) => {
      shard.close();
      return shard.settled();
    });
    this.#shards.clear();
    this.#timers.close();
    await Promise.all(loads);
  }
}
