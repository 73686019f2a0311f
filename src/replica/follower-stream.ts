import type { Clock } from "../base/clock.ts";
import type { RpcStream } from "../base/rpc.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import { ProtobufError } from "../protocol/peers/protobuf.ts";
import type { LogReadResult } from "../storage/log-config.ts";
import { decodeFollowerMessage, encodeLeaderMessage } from "./replication-codec.ts";
import {
  CREDIT_BYTES,
  type FollowerAnswer,
  type FollowerMessage,
  type Frame,
  type LeaderAnswer,
  type Progress,
  type Statement,
} from "./replication-messages.ts";
import type { Follower, FollowerSession, LedPartitions } from "./replication-ports.ts";
import { SentSession } from "./sent-session.ts";

export interface FollowerStreamDependencies {
  readonly clock: Pick<Clock, "afterPoll">;
  readonly partitions: LedPartitions;
}

/** What is read at a time, and what goes together in one message; a batch may be larger. */
const READ_BYTES = 256 * 1024;
/** With so much waiting for the network, what is new waits here, where it still comes together. */
const MAX_QUEUED_BYTES = 1024 * 1024;
/** In one message and one turn of the event loop. */
const MAX_ENTRIES = 1_000;
/** More than a broker has partitions. */
const MAX_SLOTS = 200_000;

/**
 * The leader's end of the stream to one follower (decision 0012): what its partitions have for it is read and
 * sent as its credit allows, each in its turn. Nothing is asked for twice and nothing is waited for: all that
 * happens here is woken by news, by what the follower says, by a read's end or by the network.
 */
export class FollowerStream {
  readonly #dependencies: FollowerStreamDependencies;
  readonly #follower: Follower;
  readonly #stream: RpcStream;
  readonly #slots = new Map<number, SentSession>();
  /** The greatest so far. */
  #session = 0;
  #sentBytes = 0;
  #consumedBytes = 0;
  #readingCount = 0;
  #readyBytes = 0;
  /** Of which something may have changed. */
  readonly #news = new Set<SentSession>();
  /** To be read, in their order. */
  readonly #unread = new Set<SentSession>();
  /** Read, and to be sent. */
  readonly #ready = new Set<SentSession>();
  /** Of which the marks go alone. */
  readonly #marks = new Set<SentSession>();
  readonly #answers: LeaderAnswer[] = [];
  #isTurnDue = false;
  #isOver = false;

  constructor(dependencies: FollowerStreamDependencies, follower: Follower, stream: RpcStream) {
    this.#dependencies = dependencies;
    this.#follower = follower;
    this.#stream = stream;
  }

  /** Returns how the follower does not keep to the protocol; the stream is to be ended then. */
  onMessage(bytes: Buffer): string | null {
    let message: FollowerMessage;
    try {
      message = decodeFollowerMessage(bytes);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      return `has sent a damaged message: ${error.message}`;
    }
    this.#wake();
    return (
      this.#consumed(message.consumedBytes) ??
      firstOf(message.droppedSlots, (slot) => this.#drop(slot)) ??
      firstOf(message.statements, (statement) => this.#state(statement)) ??
      firstOf(message.progress, (progress) => this.#progress(progress))
    );
  }

  /** What was queued has left. */
  onDrain(): void {
    this.#wake();
  }

  /** All sessions end, and nothing more is sent. Idempotent. */
  end(): void {
    this.#isOver = true;
    for (const session of this.#slots.values()) this.#finish(session);
    this.#slots.clear();
  }

  #consumed(bytes: number): string | null {
    if (bytes < this.#consumedBytes) return "has consumed less than before";
    if (bytes > this.#sentBytes) return "has consumed what was not sent to it";
    this.#consumedBytes = bytes;
    return null;
  }

  #drop(slot: number): string | null {
    const session = this.#slots.get(slot);
    if (session === undefined) return `has dropped slot ${slot}, which it had not stated`;
    this.#finish(session);
    this.#slots.delete(slot);
    return null;
  }

  #state(statement: Statement): string | null {
    const { slot, session } = statement;
    if (session <= this.#session) {
      return `has stated session ${session} after session ${this.#session}`;
    }
    this.#session = session;
    const before = this.#slots.get(slot);
    if (before !== undefined) this.#finish(before);
    else if (this.#slots.size === MAX_SLOTS) return `follows more than ${MAX_SLOTS} partitions`;
    const sent = new SentSession(slot, session, statement.fetchOffset);
    this.#slots.set(slot, sent);
    const outcome = this.#follow(sent, statement);
    if ("kind" in outcome) {
      this.#answer(sent, outcome);
      return null;
    }
    sent.begin(outcome);
    this.#news.add(sent);
    return null;
  }

  #follow(sent: SentSession, statement: Statement): FollowerSession | FollowerAnswer {
    const { topicId, partitionIndex } = statement;
    const partition = this.#dependencies.partitions.ledPartition(topicId, partitionIndex);
    if (typeof partition === "string") return { kind: "refused", error: partition };
    return partition.follow(this.#follower, statement, {
      onNews: () => {
        this.#news.add(sent);
        this.#wake();
      },
      onEnd: (error: ErrorName) => this.#answer(sent, { kind: "refused", error }),
    });
  }

  #progress(progress: Progress): string | null {
    const { slot, session } = progress;
    const sent = this.#slots.get(slot);
    if (sent === undefined) return `tells of slot ${slot}, which it has not stated`;
    if (sent.session !== session) {
      return `tells of session ${session} of slot ${slot} after session ${sent.session}`;
    }
    // It does not know yet that this session is over.
    return sent.isOver ? null : sent.noteProgress(progress);
  }

  /** The session is over, and the follower is told why. */
  #answer(sent: SentSession, answer: FollowerAnswer): void {
    // Not one that has been replaced, or told of its end already.
    if (this.#slots.get(sent.slot) !== sent) return;
    this.#finish(sent);
    this.#answers.push({ ...answer, slot: sent.slot, session: sent.session });
    this.#wake();
  }

  #finish(sent: SentSession): void {
    this.#readyBytes -= sent.readyBytes;
    sent.end()?.release?.();
    for (const set of [this.#news, this.#unread, this.#ready, this.#marks]) set.delete(sent);
  }

  /** Once in a turn of the event loop, after all that has arrived. */
  #wake(): void {
    if (this.#isTurnDue || this.#isOver) return;
    this.#isTurnDue = true;
    this.#dependencies.clock.afterPoll(() => {
      this.#isTurnDue = false;
      if (!this.#isHeldUp) this.#turn();
    });
  }

  /** Goes on with `onDrain`. */
  get #isHeldUp(): boolean {
    return this.#isOver || this.#stream.queuedBytes >= MAX_QUEUED_BYTES;
  }

  get #underWayBytes(): number {
    return this.#sentBytes - this.#consumedBytes;
  }

  get #freeBytes(): number {
    const readingBytes = this.#readingCount * READ_BYTES;
    return CREDIT_BYTES - this.#underWayBytes - this.#readyBytes - readingBytes;
  }

  #turn(): void {
    const news = [...this.#news].filter(({ isReading }) => !isReading);
    for (const sent of news) {
      this.#news.delete(sent);
      if (sent.isUnread) this.#unread.add(sent);
    }
    this.#startReads();
    for (const sent of news) {
      if (!sent.isReading && sent.hasNewMarks) this.#marks.add(sent);
    }
    this.#send();
  }

  /**
   * No partition gets more of the credit than is left for the others: however many of them are stuck behind
   * a disk of the follower that is, there is some for the next one.
   */
  #startReads(): void {
    for (const sent of this.#unread) {
      const freeBytes = this.#freeBytes;
      if (freeBytes < READ_BYTES) return;
      if (sent.underWayBytes > freeBytes) continue;
      this.#unread.delete(sent);
      void this.#read(sent);
    }
  }

  async #read(sent: SentSession): Promise<void> {
    sent.isReading = true;
    this.#readingCount += 1;
    try {
      this.#onRead(sent, await sent.read(READ_BYTES));
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      if (!sent.isOver) this.#answer(sent, answerOf(sent, error));
    } finally {
      sent.isReading = false;
      this.#readingCount -= 1;
    }
    // What else is being read may come in this turn, too; if nothing is, there is nothing to wait for.
    if (this.#readingCount > 0 || this.#news.has(sent)) this.#wake();
    else this.#send();
  }

  #onRead(sent: SentSession, result: LogReadResult): void {
    if (sent.isOver || result.records.length === 0) {
      result.release?.();
      if (sent.hasNewMarks) this.#marks.add(sent);
      return;
    }
    sent.setReady(result);
    this.#readyBytes += result.records.length;
    this.#ready.add(sent);
  }

  #send(): void {
    let entryCount = 0;
    while (!this.#isHeldUp) {
      const answers = this.#answers.splice(0, MAX_ENTRIES);
      const frames: Frame[] = [];
      const releases = this.#takeRecords(frames);
      this.#takeMarks(frames);
      if (frames.length + answers.length === 0) return;
      this.#stream.send(encodeLeaderMessage({ frames, answers }));
      for (const release of releases) release();
      entryCount += frames.length + answers.length;
      if (entryCount < MAX_ENTRIES) continue;
      this.#wake();
      return;
    }
  }

  /** Adds to the frames; those that went with records, or are out of date, not again. */
  #takeMarks(frames: Frame[]): void {
    for (const sent of this.#marks) {
      if (frames.length >= MAX_ENTRIES) break;
      this.#marks.delete(sent);
      if (sent.hasNewMarks) frames.push(sent.takeMarks());
    }
  }

  /** Adds to the frames. */
  #takeRecords(frames: Frame[]): (() => void)[] {
    const releases: (() => void)[] = [];
    let messageBytes = 0;
    for (const sent of this.#ready) {
      const { readyBytes } = sent;
      if (messageBytes > 0 && messageBytes + readyBytes > READ_BYTES) break;
      if (this.#underWayBytes > 0 && this.#underWayBytes + readyBytes > CREDIT_BYTES) break;
      this.#ready.delete(sent);
      this.#readyBytes -= readyBytes;
      this.#sentBytes += readyBytes;
      messageBytes += readyBytes;
      const { frame, release } = sent.takeRecords();
      frames.push(frame);
      if (release !== undefined) releases.push(release);
      if (!sent.isUnread) continue;
      this.#unread.add(sent);
      this.#wake();
    }
    return releases;
  }
}

function firstOf<T>(items: readonly T[], check: (item: T) => string | null): string | null {
  for (const item of items) {
    const problem = check(item);
    if (problem !== null) return problem;
  }
  return null;
}

function answerOf(sent: SentSession, { errorName }: KafkaError): FollowerAnswer {
  if (errorName === "OFFSET_OUT_OF_RANGE") return { kind: "outOfRange", ...sent.range() };
  return { kind: "refused", error: errorName };
}
