import { DiskError } from "../base/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { Effect, RecordsPosition, SnapshotPosition } from "./core/events.ts";
import type { ReplicaLog } from "./replica-log.ts";
import type { Snapshots } from "./snapshots.ts";
import type { RaftTransport } from "./transport.ts";

export interface AnswersDependencies {
  readonly transport: RaftTransport;
  readonly replicaLog: ReplicaLog;
  readonly snapshots: Snapshots;
  /** Whether this node still leads in the epoch. */
  readonly isLeading: (epoch: number) => boolean;
  /** Where the next append begins, as the core sees it. */
  readonly endOffset: () => number;
  /** What this node has cannot be read: nobody is to be led with it (R10). */
  readonly onUnreadable: (error: KafkaError | DiskError) => void;
}

/** A leader's answers whose content is read from its disk. */
export class Answers {
  readonly #dependencies: AnswersDependencies;
  readonly #maxBytes: number;
  /** Fetches whose records are not written yet, by who has sent them. */
  readonly #unwritten = new Map<number, RecordsPosition>();

  constructor(dependencies: AnswersDependencies, options: { readonly maxBytes: number }) {
    this.#dependencies = dependencies;
    this.#maxBytes = options.maxBytes;
  }

  do(effect: Extract<Effect, { kind: "sendRecords" | "sendSnapshotChunk" }>): void {
    if (effect.kind === "sendRecords") void this.#sendRecords(effect.to, effect.position);
    else void this.#sendSnapshotChunk(effect.to, effect.position);
  }

  /** With what is written by now: a leader's answers do not wait for its own sync. */
  async #sendRecords(to: number, position: RecordsPosition): Promise<void> {
    const { transport, replicaLog, isLeading, endOffset } = this.#dependencies;
    const { epoch, fetchOffset } = position;
    const batches = await this.#reading(() => replicaLog.read(fetchOffset, this.#maxBytes));
    if (batches === null || !isLeading(epoch)) return;
    if (batches.length === 0 && fetchOffset < endOffset()) {
      this.#unwritten.set(to, position);
      return;
    }
    const outcome = { kind: "records", batches } as const;
    transport.send(to, { kind: "fetchAnswer", ...position, outcome });
  }

  /** More is written. */
  retry(): void {
    const unwritten = [...this.#unwritten];
    this.#unwritten.clear();
    for (const [to, position] of unwritten) void this.#sendRecords(to, position);
  }

  async #sendSnapshotChunk(to: number, position: SnapshotPosition): Promise<void> {
    const { transport, snapshots, isLeading } = this.#dependencies;
    const { id, epoch } = position;
    const chunk = await this.#reading(async () => ({
      read: await snapshots.readChunk(id, position.position, this.#maxBytes),
    }));
    if (chunk === null || !isLeading(epoch)) return;
    const { read } = chunk;
    if (read === null) transport.send(to, { kind: "snapshotGone", epoch, id });
    else transport.send(to, { kind: "snapshotChunk", ...position, ...read });
  }

  /** null: there is nothing to answer with; who has asked will ask again. */
  async #reading<T>(read: () => Promise<T>): Promise<T | null> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof DiskError) this.#dependencies.onUnreadable(error);
      else if (!(error instanceof KafkaError)) throw error;
      // A log that begins later by now is told by the next answer, and a failed one by its listener.
      else if (error.errorName === "CORRUPT_MESSAGE") this.#dependencies.onUnreadable(error);
      return null;
    }
  }
}
