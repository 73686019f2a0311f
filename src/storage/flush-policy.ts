import { assert } from "../base/assert.ts";
import type { LogConfig } from "./log-config.ts";

/** Data unsynced for more than this many flush intervals counts for nothing (R4). */
const STALE_INTERVALS = 2;

/**
 * What a flush policy makes of the written and flushed marks (R4): which of them an ack may rely on,
 * and when a sync is due. Pure; the log writer tells it what happens.
 */
export class FlushPolicy {
  #flushMessages: number;
  #flushMs: number;
  #writtenEndOffset: number;
  #flushedEndOffset: number;
  /** Ends of the batches that are written and not flushed; kept only where a count asks for borders. */
  #unflushedEnds: number[] = [];
  /** What is flushed, or will be by a sync that is under way. */
  #coveredEndOffset: number;
  /**
   * When the first byte was written of what each sync under way covers that none before it does, oldest
   * first; the last is of what none covers. null: there is none.
   */
  #oldestMs: (number | null)[] = [null];

  constructor(config: Pick<LogConfig, "flushMessages" | "flushMs">, endOffset: number) {
    this.#flushMessages = config.flushMessages;
    this.#flushMs = config.flushMs;
    this.#writtenEndOffset = endOffset;
    this.#flushedEndOffset = endOffset;
    this.#coveredEndOffset = endOffset;
  }

  get writtenEndOffset(): number {
    return this.#writtenEndOffset;
  }

  get flushedEndOffset(): number {
    return this.#flushedEndOffset;
  }

  get flushMs(): number {
    return this.#flushMs;
  }

  /** When the first byte that is not flushed was written; null: all is flushed. */
  get oldestUnflushedMs(): number | null {
    return this.#oldestMs.find((ms) => ms !== null) ?? null;
  }

  /** The borders of what is unflushed now are not known for a new count: flushed counts until a sync. */
  update(config: Pick<LogConfig, "flushMessages" | "flushMs">): void {
    this.#flushMessages = config.flushMessages;
    this.#flushMs = config.flushMs;
    if (!this.#keepsEnds) this.#unflushedEnds = [];
  }

  /** The batches that end there are in the page cache. */
  wrote(batchEnds: readonly number[], nowMs: number): void {
    if (this.#keepsEnds) for (const end of batchEnds) this.#unflushedEnds.push(end);
    this.#writtenEndOffset = batchEnds.at(-1) ?? this.#writtenEndOffset;
    this.#oldestMs[this.#oldestMs.length - 1] ??= nowMs;
  }

  /**
   * A sync starts, perhaps beside others; it covers what is written now. Returns the offset to give to
   * `flushed`.
   */
  startFlush(): number {
    this.#oldestMs.push(null);
    this.#coveredEndOffset = this.#writtenEndOffset;
    return this.#writtenEndOffset;
  }

  /** The sync that has started first of those under way has succeeded; it covers all below the offset. */
  flushed(endOffset: number): void {
    assert(this.#oldestMs.length > 1, "what is flushed has started to be");
    this.#flushedEndOffset = endOffset;
    this.#oldestMs.shift();
    const keptIndex = this.#unflushedEnds.findIndex((end) => end > endOffset);
    this.#unflushedEnds = keptIndex === -1 ? [] : this.#unflushedEnds.slice(keptIndex);
  }

  /** Nothing is known to be durable from the offset on (what recovery found after the checkpoint). */
  distrustFrom(endOffset: number, nowMs: number): void {
    this.#flushedEndOffset = Math.min(this.#flushedEndOffset, endOffset);
    this.#coveredEndOffset = Math.min(this.#coveredEndOffset, endOffset);
    if (this.#flushedEndOffset < this.#writtenEndOffset) this.#oldestMs[0] = nowMs;
  }

  /** Whether the count of messages that no sync covers, ended or under way, asks for one. */
  isFlushDue(): boolean {
    return this.#writtenEndOffset - this.#coveredEndOffset >= this.#flushMessages;
  }

  /**
   * What an ack may rely on: min(written, flushed + N - 1) cut down to a batch border; only what is
   * flushed once data is overdue. So it can step back; a high watermark must not follow it then.
   */
  safeEndOffset(nowMs: number): number {
    const { oldestUnflushedMs } = this;
    if (oldestUnflushedMs !== null) {
      const unflushedMs = nowMs - oldestUnflushedMs;
      if (unflushedMs > STALE_INTERVALS * this.#flushMs) return this.#flushedEndOffset;
    }
    if (this.#flushMessages === Infinity) return this.#writtenEndOffset;
    const limit = this.#flushedEndOffset + this.#flushMessages - 1;
    return this.#unflushedEnds.findLast((end) => end <= limit) ?? this.#flushedEndOffset;
  }

  get #keepsEnds(): boolean {
    return this.#flushMessages > 1 && this.#flushMessages !== Infinity;
  }
}
