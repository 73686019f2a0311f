import { must } from "../base/assert.ts";
import type { LogReadResult } from "../storage/log-config.ts";
import type { Frame, Progress } from "./replication-messages.ts";
import type { FollowerSession } from "./replication-ports.ts";
import { SizesByOffset } from "./sizes-by-offset.ts";

const NO_RECORDS = Buffer.alloc(0);

/** A session of a follower with one partition, and what has been sent in it. */
export class SentSession {
  readonly slot: number;
  readonly session: number;
  isReading = false;
  /** Where what was sent ends; the next read begins there. */
  #sentOffset: number;
  #sentHighWatermark = -1;
  #sentLogStartOffset = -1;
  /** null: the session has not begun, or is over. */
  #session: FollowerSession | null = null;
  /** Read, and not sent yet. */
  #ready: LogReadResult | null = null;
  #progress = { receivedOffset: 0, safeOffset: 0 };
  /** Sent, and not written there yet. */
  readonly #underWay = new SizesByOffset();

  constructor(slot: number, session: number, fetchOffset: number) {
    this.slot = slot;
    this.session = session;
    this.#sentOffset = fetchOffset;
  }

  get isOver(): boolean {
    return this.#session === null;
  }

  get sentOffset(): number {
    return this.#sentOffset;
  }

  get underWayBytes(): number {
    return this.#underWay.totalBytes;
  }

  get readyBytes(): number {
    return this.#ready?.records.length ?? 0;
  }

  /** Whether there may be records that it was not sent, and nobody reads them already. */
  get isUnread(): boolean {
    if (this.#session === null || this.isReading || this.#ready !== null) return false;
    return this.#sentOffset < this.#session.logEndOffset;
  }

  get hasNewMarks(): boolean {
    const session = this.#session;
    if (session === null) return false;
    const { highWatermark, logStartOffset } = session;
    return highWatermark !== this.#sentHighWatermark || logStartOffset !== this.#sentLogStartOffset;
  }

  begin(session: FollowerSession): void {
    this.#session = session;
  }

  /** Returns what was to be sent, and will not be. */
  end(): LogReadResult | null {
    const ready = this.#ready;
    this.#session?.end();
    this.#session = null;
    this.#ready = null;
    return ready;
  }

  read(maxBytes: number): Promise<LogReadResult> {
    const session = must(this.#session, "what is over is not read");
    return session.read({ offset: this.#sentOffset, maxBytes, minOneBatch: true });
  }

  /** Until it is sent, nothing more is read. */
  setReady(result: LogReadResult): void {
    this.#ready = result;
  }

  /** The frame with what is ready, which goes now. */
  takeRecords(): { readonly frame: Frame; readonly release: (() => void) | undefined } {
    const { records, nextOffset, release } = must(this.#ready, "something has been read");
    this.#ready = null;
    this.#sentOffset = nextOffset;
    this.#underWay.add(nextOffset, records.length);
    return { frame: this.#frame(records), release };
  }

  /** The frame without records, which goes now. */
  takeMarks(): Frame {
    return this.#frame(NO_RECORDS);
  }

  /** Returns what is wrong with it. */
  noteProgress({ receivedOffset, safeOffset }: Omit<Progress, "slot" | "session">): string | null {
    const before = this.#progress;
    if (receivedOffset > this.#sentOffset) return "has received what was not sent to it";
    if (safeOffset > receivedOffset) return "has made safe what it has not received";
    if (receivedOffset < before.receivedOffset || safeOffset < before.safeOffset) {
      return "has gone back within a session";
    }
    this.#progress = { receivedOffset, safeOffset };
    this.#underWay.takeUpTo(receivedOffset);
    this.#session?.noteProgress(receivedOffset, safeOffset);
    return null;
  }

  range(): { readonly logStartOffset: number; readonly logEndOffset: number } {
    const { logStartOffset, logEndOffset } = must(this.#session, "it is not over");
    return { logStartOffset, logEndOffset };
  }

  #frame(records: Buffer): Frame {
    const { slot, session } = this;
    const { leaderEpoch, highWatermark, logStartOffset } = must(this.#session, "it is not over");
    this.#sentHighWatermark = highWatermark;
    this.#sentLogStartOffset = logStartOffset;
    return { slot, session, leaderEpoch, highWatermark, logStartOffset, records };
  }
}
