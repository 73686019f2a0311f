import type { Clock } from "../../src/base/clock.ts";
import { type Uuid, uuidFromBytes } from "../../src/base/ids.ts";
import { type ErrorName, KafkaError } from "../../src/protocol/errors.ts";
import type {
  FollowerAnswer,
  Frame,
  ReplicaPosition,
} from "../../src/replica/replication-messages.ts";
import type {
  FollowedLog,
  Follower,
  FollowerSession,
  LedPartition,
  LedPartitions,
  LedPartitionWatcher,
} from "../../src/replica/replication-ports.ts";
import type { LogReadOptions, LogReadResult } from "../../src/storage/log-config.ts";

/** What takes the place of a record batch: the streams look into none. */
export interface TestBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly epoch: number;
  readonly bytes: Buffer;
}

const HEADER_BYTES = 24;

export function testBatch(
  baseOffset: number,
  epoch: number,
  { count = 1, sizeBytes = 100, fill = 1 } = {},
): TestBatch {
  const bytes = Buffer.alloc(Math.max(HEADER_BYTES, sizeBytes), fill);
  const endOffset = baseOffset + count;
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.writeUInt32BE(epoch, 4);
  bytes.writeDoubleBE(baseOffset, 8);
  bytes.writeDoubleBE(endOffset, 16);
  return { baseOffset, endOffset, epoch, bytes };
}

export function testBatches(records: Buffer): TestBatch[] {
  const batches: TestBatch[] = [];
  for (let at = 0; at < records.length;) {
    const bytes = records.subarray(at, at + records.readUInt32BE(at));
    batches.push({
      ...{ epoch: bytes.readUInt32BE(4), baseOffset: bytes.readDoubleBE(8) },
      ...{ endOffset: bytes.readDoubleBE(16), bytes },
    });
    at += bytes.length;
  }
  return batches;
}

export function topicOf(number: number): Uuid {
  return uuidFromBytes(Buffer.alloc(16, number + 1));
}

/** A log in memory, on either side. */
export class TestLog {
  batches: TestBatch[] = [];
  logStartOffset = 0;

  get logEndOffset(): number {
    return this.batches.at(-1)?.endOffset ?? this.logStartOffset;
  }

  get lastEpoch(): number {
    return this.batches.at(-1)?.epoch ?? -1;
  }

  /** The greatest epoch not above, and where it ends. */
  endOfEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } {
    const index = this.batches.findLastIndex((batch) => batch.epoch <= epoch);
    const batch = this.batches[index];
    if (batch === undefined) return { epoch: -1, endOffset: -1 };
    return { epoch: batch.epoch, endOffset: batch.endOffset };
  }

  truncateTo(endOffset: number): void {
    this.batches = this.batches.filter((batch) => batch.endOffset <= endOffset);
  }

  removeBefore(offset: number): void {
    this.batches = this.batches.filter((batch) => batch.baseOffset >= offset);
    this.logStartOffset = offset;
  }
}

interface TestSession extends FollowerSession {
  readonly follower: Follower;
  readonly watcher: LedPartitionWatcher;
}

/** A partition that is led, with nothing in it but what the streams ask for. */
export class TestLed implements LedPartition {
  readonly log = new TestLog();
  highWatermark = 0;
  /** Sessions that go on, by broker. */
  readonly sessions = new Map<number, TestSession>();
  /** What they have told; null: nothing, or nothing that counts any more. */
  readonly progress = new Map<number, { received: number; safe: number }>();
  readonly statements: ReplicaPosition[] = [];
  /** Before a read. */
  beforeRead: () => Promise<void> = () => Promise.resolve();
  /** When it is known what it gives. */
  afterRead: () => Promise<void> = () => Promise.resolve();
  /** What lies above is appended, and no more. */
  writtenEndOffset = Infinity;
  readCount = 0;
  unreleasedCount = 0;
  leaderEpoch: number;
  /** Told of what counts. */
  onProgress: (follower: Follower, received: number) => void = () => undefined;

  constructor(leaderEpoch = 0, log?: TestLog) {
    this.leaderEpoch = leaderEpoch;
    if (log !== undefined) {
      this.log.batches = [...log.batches];
      this.log.logStartOffset = log.logStartOffset;
    }
  }

  append(options: { count?: number; sizeBytes?: number; fill?: number } = {}): void {
    this.log.batches.push(testBatch(this.log.logEndOffset, this.leaderEpoch, options));
    this.tell();
  }

  setHighWatermark(offset: number): void {
    this.highWatermark = offset;
    this.tell();
  }

  removeBefore(offset: number): void {
    this.log.removeBefore(offset);
    this.tell();
  }

  tell(): void {
    for (const { watcher } of this.sessions.values()) watcher.onNews();
  }

  /** Led here no more, or in another epoch. */
  endSessions(error: ErrorName): void {
    const sessions = [...this.sessions.values()];
    this.sessions.clear();
    this.progress.clear();
    for (const { watcher } of sessions) watcher.onEnd(error);
  }

  follow(
    follower: Follower,
    statement: ReplicaPosition & { readonly leaderEpoch: number },
    watcher: LedPartitionWatcher,
  ): FollowerSession | FollowerAnswer {
    this.statements.push(statement);
    const { leaderEpoch, fetchOffset, lastFetchedEpoch } = statement;
    if (leaderEpoch < this.leaderEpoch) return { kind: "refused", error: "FENCED_LEADER_EPOCH" };
    if (leaderEpoch > this.leaderEpoch) return { kind: "refused", error: "UNKNOWN_LEADER_EPOCH" };
    const { logStartOffset, logEndOffset } = this.log;
    if (lastFetchedEpoch !== -1 && fetchOffset > logStartOffset) {
      const end = this.log.endOfEpoch(lastFetchedEpoch);
      if (end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset) {
        return { kind: "diverging", ...end };
      }
    }
    if (fetchOffset < logStartOffset || fetchOffset > logEndOffset) {
      return { kind: "outOfRange", logStartOffset, logEndOffset };
    }
    return this.#session(follower, watcher);
  }

  #session(follower: Follower, watcher: LedPartitionWatcher): FollowerSession {
    const { brokerId } = follower;
    const isCurrent = (): boolean => this.sessions.get(brokerId) === session;
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getters of the object below
    const led = this;
    const session: TestSession = {
      ...{ follower, watcher, leaderEpoch: this.leaderEpoch },
      get highWatermark() {
        return led.highWatermark;
      },
      get logStartOffset() {
        return led.log.logStartOffset;
      },
      get logEndOffset() {
        return led.log.logEndOffset;
      },
      read: (options) => this.#read(options),
      noteProgress: (received, safe) => {
        if (!isCurrent()) return;
        this.progress.set(brokerId, { received, safe });
        this.onProgress(follower, received);
      },
      end: () => {
        if (!isCurrent()) return;
        this.sessions.delete(brokerId);
        this.progress.delete(brokerId);
      },
    };
    this.progress.delete(brokerId);
    this.sessions.set(brokerId, session);
    return session;
  }

  async #read({
    offset,
    maxBytes,
    minOneBatch,
  }: Omit<LogReadOptions, "endOffset">): Promise<LogReadResult> {
    this.readCount += 1;
    await this.beforeRead();
    const { logStartOffset, logEndOffset, batches } = this.log;
    if (offset < logStartOffset || offset > logEndOffset) {
      throw new KafkaError("OFFSET_OUT_OF_RANGE");
    }
    const found: TestBatch[] = [];
    let sizeBytes = 0;
    const written = batches.filter(({ endOffset }) => endOffset <= this.writtenEndOffset);
    for (const batch of written.filter(({ endOffset }) => endOffset > offset)) {
      const isFirst = found.length === 0 && minOneBatch;
      if (sizeBytes + batch.bytes.length > maxBytes && !isFirst) break;
      found.push(batch);
      sizeBytes += batch.bytes.length;
    }
    await this.afterRead();
    this.unreleasedCount += 1;
    let isReleased = false;
    return {
      records: Buffer.concat(found.map(({ bytes }) => bytes)),
      nextOffset: found.at(-1)?.endOffset ?? offset,
      release: () => {
        if (isReleased) throw new Error("released twice");
        isReleased = true;
        this.unreleasedCount -= 1;
      },
    };
  }
}

/** What one node leads, by topic; partition 0 of each. */
export class TestLeds implements LedPartitions {
  readonly byTopic = new Map<Uuid, TestLed | ErrorName>();

  ledPartition(topicId: Uuid, partitionIndex: number): LedPartition | ErrorName {
    if (partitionIndex !== 0) return "UNKNOWN_TOPIC_OR_PARTITION";
    return this.byTopic.get(topicId) ?? "UNKNOWN_TOPIC_ID";
  }
}

export interface TestFollowedOptions {
  /** How long a write takes; Infinity: for ever. */
  writeMs: number;
  settleMs: number;
}

/** A partition that is followed: takes in, writes after a while, settles after a while. */
export class TestFollowed implements FollowedLog {
  readonly topicId: Uuid;
  readonly partitionIndex = 0;
  readonly log = new TestLog();
  leaderEpoch: number;
  highWatermark = -1;
  receivedOffset = 0;
  safeOffset = 0;
  /** A disk that has failed. */
  isFailed = false;
  /** What this fake does with a refusal. */
  verdictOfRefusal: "now" | "later" | "never" = "later";
  readonly options: TestFollowedOptions;
  readonly answers: FollowerAnswer[] = [];
  takenCount = 0;
  misfitCount = 0;
  /** Invariant: nothing is taken in meanwhile. */
  isSettling = false;
  readonly problems: string[] = [];
  readonly #clock: Clock;
  #listener: (() => void) | null = null;
  #cutCount = 0;

  constructor(
    clock: Clock,
    topicId: Uuid,
    leaderEpoch = 0,
    options: Partial<TestFollowedOptions> = {},
  ) {
    this.#clock = clock;
    this.topicId = topicId;
    this.leaderEpoch = leaderEpoch;
    this.options = { writeMs: 0.2, settleMs: 1, ...options };
  }

  get hasListener(): boolean {
    return this.#listener !== null;
  }

  get position(): ReplicaPosition {
    if (this.isSettling) this.problems.push("was stated while it settled");
    const { logEndOffset, lastEpoch, logStartOffset } = this.log;
    return { fetchOffset: logEndOffset, lastFetchedEpoch: lastEpoch, logStartOffset };
  }

  takeIn(frame: Frame): "taken" | "failed" | Promise<void> {
    if (this.isSettling) this.problems.push("got a frame while it settled");
    if (this.isFailed) return "failed";
    const batches = testBatches(frame.records);
    const fits = batches.every(
      ({ baseOffset }, index) =>
        baseOffset === (index === 0 ? this.log.logEndOffset : batches[index - 1]!.endOffset),
    );
    if (frame.leaderEpoch !== this.leaderEpoch || !fits) {
      this.misfitCount += 1;
      return this.#settling();
    }
    this.takenCount += 1;
    this.log.batches.push(...batches);
    this.highWatermark = Math.max(
      this.highWatermark,
      Math.min(frame.highWatermark, this.log.logEndOffset),
    );
    if (batches.length > 0 && this.options.writeMs !== Infinity) this.#write();
    return "taken";
  }

  async settle(answer: FollowerAnswer): Promise<"now" | "later" | "never"> {
    this.answers.push(answer);
    await this.#settling();
    switch (answer.kind) {
      case "refused":
        return this.verdictOfRefusal;
      case "diverging":
        this.#cut(Math.min(answer.endOffset, this.log.endOfEpoch(answer.epoch).endOffset));
        return "now";
      case "outOfRange":
        this.#cut(-1);
        this.log.logStartOffset = answer.logStartOffset;
        this.receivedOffset = answer.logStartOffset;
        this.safeOffset = answer.logStartOffset;
        return "now";
    }
  }

  setProgressListener(listener: (() => void) | null): void {
    this.#listener = listener;
  }

  /** Something of it may have moved. */
  tell(): void {
    this.#listener?.();
  }

  /** As after a write that took long. */
  writeAll(): void {
    this.receivedOffset = this.log.logEndOffset;
    this.safeOffset = this.log.logEndOffset;
    this.#listener?.();
  }

  #write(): void {
    const { logEndOffset } = this.log;
    const cutCount = this.#cutCount;
    this.#clock.after(this.options.writeMs, () => {
      if (cutCount !== this.#cutCount) return;
      this.receivedOffset = logEndOffset;
      this.safeOffset = logEndOffset;
      this.#listener?.();
    });
  }

  #cut(endOffset: number): void {
    this.#cutCount += 1;
    this.log.truncateTo(endOffset);
    this.receivedOffset = this.log.logEndOffset;
    this.safeOffset = this.log.logEndOffset;
  }

  async #settling(): Promise<void> {
    this.isSettling = true;
    await new Promise<void>((resolve) => this.#clock.after(this.options.settleMs, resolve));
    this.isSettling = false;
  }
}
