import { assert } from "../base/assert.ts";
import { DiskError } from "../base/disk.ts";
import type { Mailbox } from "../base/mailbox.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  BATCH_OVERHEAD,
  batchBaseOffset,
  batchLeaderEpoch,
  batchMagic,
  batchNextOffset,
  batchRecordCount,
  batchSizeBytes,
  isBatchCrcValid,
  MAGIC_V2,
} from "../protocol/records/batch.ts";
import type { Log } from "../storage/log.ts";
import type { Batch, FetchAnswer } from "./core/messages.ts";

export interface BatchPosition {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
}

/**
 * The log as the core changes it: appends and cuts happen in the order in which the core has said them.
 * A cut takes its time, and what follows waits for it.
 */
export class ReplicaLog {
  readonly #log: Log;
  readonly #turns: Mailbox;
  readonly #onSettled: () => void;
  /** What the core has said since the cut that goes on. */
  #waiting: (() => void)[] = [];
  #isCutting = false;

  /**
   * `onSettled` is called when the log is as the core sees it, after a cut and what waited for it. A cut
   * ends with a recovery, which removes what is half written beside the log: so it takes its turn with
   * whoever writes there.
   */
  constructor(log: Log, turns: Mailbox, onSettled: () => void) {
    this.#log = log;
    this.#turns = turns;
    this.#onSettled = onSettled;
  }

  /** Otherwise the log's marks are not yet what the core takes them for. */
  get isSettled(): boolean {
    return !this.#isCutting;
  }

  append(bytes: Buffer, { baseOffset, leaderEpoch }: BatchPosition): void {
    this.#inOrder(() => {
      const appended = this.#log.append(bytes, { leaderEpoch, origin: "raft" });
      assert(appended.baseOffset === baseOffset, "core and log have the same end");
    });
  }

  truncate(endOffset: number): void {
    this.#cut(async () => {
      await this.#log.truncateTo(endOffset);
      assert(this.#log.logEndOffset === endOffset, "a cut lies between batches");
    });
  }

  /** Empties the log, which goes on at the offset, when `prepare` is done. */
  startAt(offset: number, prepare: () => Promise<void>): void {
    this.#cut(async () => {
      await prepare();
      await this.#log.truncateFullyAndStartAt(offset);
    });
  }

  /**
   * What another replica is to get: whole batches from the offset on, at most `maxBytes` of them, but one
   * at least; none when none is written yet. Throws KafkaError as `Log.read` does.
   */
  async read(offset: number, maxBytes: number): Promise<readonly Batch[]> {
    const endOffset = this.#log.logEndOffset;
    const { records } = await this.#log.read({ offset, endOffset, maxBytes, minOneBatch: true });
    const batches: Batch[] = [];
    for (let position = 0; position < records.length;) {
      const sizeBytes = batchSizeBytes(records, position);
      batches.push({
        baseOffset: batchBaseOffset(records, position),
        endOffset: batchNextOffset(records, position),
        leaderEpoch: batchLeaderEpoch(records, position),
        bytes: records.subarray(position, position + sizeBytes),
      });
      position += sizeBytes;
    }
    return batches;
  }

  #inOrder(change: () => void): void {
    if (this.#isCutting) this.#waiting.push(change);
    else change();
  }

  #cut(cut: () => Promise<void>): void {
    this.#inOrder(() => {
      this.#isCutting = true;
      void this.#turns.run(cut).then(
        () => this.#goOn(this.#waiting),
        (error: unknown) => {
          // The log has failed, and its listener was told. Nothing is added to it.
          if (error instanceof DiskError) this.#log.fail(error);
          else if (!(error instanceof KafkaError)) throw error;
          this.#goOn([]);
        },
      );
    });
  }

  #goOn(waiting: readonly (() => void)[]): void {
    this.#isCutting = false;
    this.#waiting = [];
    for (const change of waiting) this.#inOrder(change);
    if (this.isSettled) this.#onSettled();
  }
}

/**
 * What is wrong with the batches of an answer, or null. What comes from the network is never trusted:
 * the core must not take for a part of the log what the log would not (S2).
 */
export function fetchedDamage({ epoch, fetchOffset, outcome }: FetchAnswer): string | null {
  if (outcome.kind !== "records") return null;
  let endOffset = fetchOffset;
  let leaderEpoch = 0;
  for (const batch of outcome.batches) {
    const damage = batchDamage(batch);
    if (damage !== null) return damage;
    if (batch.baseOffset !== endOffset) return "a batch does not follow on the one before";
    if (batch.leaderEpoch < leaderEpoch || batch.leaderEpoch > epoch) {
      return "the epochs of batches are in disorder";
    }
    ({ endOffset, leaderEpoch } = batch);
  }
  return null;
}

function batchDamage({ baseOffset, endOffset, leaderEpoch, bytes }: Batch): string | null {
  if (bytes.length < BATCH_OVERHEAD || batchSizeBytes(bytes) !== bytes.length) {
    return "a batch is not whole";
  }
  if (batchMagic(bytes) !== MAGIC_V2 || !isBatchCrcValid(bytes)) return "a checksum is wrong";
  const isAsSaid =
    batchBaseOffset(bytes) === baseOffset &&
    batchNextOffset(bytes) === endOffset &&
    batchLeaderEpoch(bytes) === leaderEpoch &&
    // Nothing compacts this log: each offset has its record.
    batchRecordCount(bytes) === endOffset - baseOffset &&
    endOffset > baseOffset;
  return isAsSaid ? null : "a batch is not what is said of it";
}
