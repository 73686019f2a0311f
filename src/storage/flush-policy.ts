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
  /** When the first byte that no sync has covered was written; null: all is flushed. */
  #oldestUnflushedMs: number | null = null;
  /** The same for what a running sync does not cover. */
  #oldestUncoveredMs: number | null = null;

  constructor(config: Pick<LogConfig, "flushMessages" | "flushMs">, endOffset: number) {
    this.#flushMessages = config.flushMessages;
    this.#flushMs = config.flushMs;
    this.#writtenEndOffset = endOffset;
    this.#flushedEndOffset = endOffset;
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

  get oldestUnflushedMs(): number | null {
    return this.#oldestUnflushedMs;
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
    this.#oldestUnflushedMs ??= nowMs;
    this.#oldestUncoveredMs ??= nowMs;
  }

  /** A sync starts; it covers what is written now. Returns the offset to give to `flushed`. */
  startFlush(): number {
    this.#oldestUncoveredMs = null;
    return this.#writtenEndOffset;
  }

  /** A sync that covers all below the offset has succeeded. */
  flushed(endOffset: number): void {
    this.#flushedEndOffset = endOffset;
    this.#oldestUnflushedMs = this.#oldestUncoveredMs;
    const keptIndex = this.#unflushedEnds.findIndex((end) => end > endOffset);
    this.#unflushedEnds = keptIndex === -1 ? [] : this.#unflushedEnds.slice(keptIndex);
  }

  /** Nothing is known to be durable from the offset on (what recovery found after the checkpoint). */
  distrustFrom(endOffset: number, nowMs: number): void {
    this.#flushedEndOffset = Math.min(this.#flushedEndOffset, endOffset);
    if (this.#flushedEndOffset < this.#writtenEndOffset) this.#oldestUnflushedMs = nowMs;
  }

  /** Whether the count of unsynced messages asks for a sync. */
  isFlushDue(): boolean {
    return this.#writtenEndOffset - this.#flushedEndOffset >= this.#flushMessages;
  }

  /**
   * What an ack may rely on: min(written, flushed + N - 1) cut down to a batch border; only what is
   * flushed once data is overdue. So it can step back; a high watermark must not follow it then.
   */
  safeEndOffset(nowMs: number): number {
    if (this.#oldestUnflushedMs !== null) {
      const unflushedMs = nowMs - this.#oldestUnflushedMs;
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
