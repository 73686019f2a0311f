import type { Timer } from "../base/clock.ts";
import { addressText, type RpcAddress } from "../base/rpc.ts";
import type { Hello } from "../protocol/peers/hello.ts";
import { PeerLink, type PeerLinkDependencies } from "../protocol/peers/peer-link.ts";
import { ProtobufError } from "../protocol/peers/protobuf.ts";
import {
  decodeLeaderMessage,
  encodeFollowerMessage,
  REPLICATION_SERVICE,
} from "./replication-codec.ts";
import {
  CREDIT_BYTES,
  type FollowerAnswer,
  type Frame,
  type LeaderAnswer,
  type LeaderMessage,
  type Progress,
  type Statement,
} from "./replication-messages.ts";
import type { FollowedLog } from "./replication-ports.ts";
import { SizesByOffset } from "./sizes-by-offset.ts";

export interface LeaderStreamOptions {
  readonly leaderId: number;
  /** What this node says of itself, at each opening. */
  readonly hello: () => Hello;
  /** Where the leader listens; null: nobody has said. Asked before each attempt. */
  readonly address: () => RpcAddress | null;
  /** Logs that are being made to fit, by whichever stream: until then none states them. */
  readonly settling: Map<FollowedLog, Promise<unknown>>;
}

/** A partition that is followed on the stream. */
interface Followed {
  readonly slot: number;
  readonly log: FollowedLog;
  /**
   * - `unstated`: to be stated as soon as the stream is open.
   * - `stated`: frames and answers of `session` count.
   * - `settling`: its log is being made to fit, or it waits; nothing is stated before that is over.
   */
  state: "unstated" | "stated" | "settling";
  session: number;
  reported: { readonly receivedOffset: number; readonly safeOffset: number };
  /** Taken in, and not written yet. */
  readonly underWay: SizesByOffset;
  /** Frames that did not fit, since the last records that did. */
  misfitCount: number;
  backoffMs: number;
  retry: Timer | null;
}

const MIN_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 1_000;
/** Until an address is looked for again that nobody knew. */
const ADDRESS_RETRY_MS = 1_000;
/** In one message and one turn of the event loop. */
const MAX_ENTRIES = 1_000;

/** The follower's end of the stream to one leader (decision 0012). It connects at once, and again. */
export class LeaderStream {
  readonly #dependencies: PeerLinkDependencies;
  readonly #options: LeaderStreamOptions;
  readonly #bySlot = new Map<number, Followed>();
  readonly #byLog = new Map<FollowedLog, Followed>();
  readonly #unstated = new Set<Followed>();
  /** Of which the progress may have changed. */
  readonly #moved = new Set<Followed>();
  #droppedSlots: number[] = [];
  #nextSlot = 0;
  #lastSession = 0;
  #receivedBytes = 0;
  /** Invariant: at most `#receivedBytes`. */
  #consumedBytes = 0;
  #reportedConsumedBytes = 0;
  #link: PeerLink | null = null;
  #addressRetry: Timer | null = null;
  #isFlushDue = false;
  #isClosed = false;

  constructor(dependencies: PeerLinkDependencies, options: LeaderStreamOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#connect();
  }

  get isIdle(): boolean {
    return this.#bySlot.size === 0;
  }

  /** From its position on; again, if it is followed already. */
  follow(log: FollowedLog): void {
    const known = this.#byLog.get(log);
    if (known !== undefined) {
      // Whose log is being made to fit is going to be stated anyway.
      if (known.state === "stated" || known.retry !== null) this.#restate(known);
      return;
    }
    const followed: Followed = {
      ...{ slot: this.#nextSlot, log, state: "unstated", session: 0 },
      reported: { receivedOffset: 0, safeOffset: 0 },
      underWay: new SizesByOffset(),
      ...{ misfitCount: 0, backoffMs: 0, retry: null },
    };
    this.#nextSlot += 1;
    this.#bySlot.set(followed.slot, followed);
    this.#byLog.set(log, followed);
    log.setProgressListener(() => {
      this.#moved.add(followed);
      this.#wake();
    });
    const settling = this.#options.settling.get(log);
    if (settling === undefined) this.#restate(followed);
    else void this.#restateAfter(followed, settling);
  }

  /** Idempotent. */
  unfollow(log: FollowedLog): void {
    const followed = this.#byLog.get(log);
    if (followed === undefined) return;
    log.setProgressListener(null);
    this.#void(followed);
    this.#byLog.delete(log);
    this.#bySlot.delete(followed.slot);
    this.#unstated.delete(followed);
    this.#moved.delete(followed);
    // Else the leader has never heard of it, or not on this stream.
    if (followed.session > 0) this.#droppedSlots.push(followed.slot);
    this.#wake();
  }

  /** The leader's address may have changed. */
  retry(): void {
    const address = this.#options.address();
    if (this.#isClosed || (this.#link === null && address === null)) return;
    const before = this.#link?.address ?? null;
    if (before !== null && address !== null && addressText(before) === addressText(address)) return;
    this.#link?.close();
    this.#onLost();
    this.#connect();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const log of [...this.#byLog.keys()]) this.unfollow(log);
    this.#addressRetry?.cancel();
    this.#link?.close();
    this.#link = null;
  }

  #connect(): void {
    this.#addressRetry?.cancel();
    this.#addressRetry = null;
    this.#link = null;
    const { leaderId, hello, address: addressOf } = this.#options;
    const address = addressOf();
    if (address === null || hello().brokerEpoch === null) {
      const { clock } = this.#dependencies;
      this.#addressRetry = clock.after(ADDRESS_RETRY_MS, () => this.#connect());
      return;
    }
    const link = new PeerLink(
      this.#dependencies,
      { service: REPLICATION_SERVICE, address, nodeId: leaderId, hello },
      {
        onOpen: () => this.#wake(),
        onMessage: (_leader, bytes) => this.#onMessage(link, bytes),
        onEnd: () => {
          this.#onLost();
          this.retry();
        },
      },
    );
    this.#link = link;
    link.start();
  }

  /** What was stated on the stream counts no more, on neither side. */
  #onLost(): void {
    this.#droppedSlots = [];
    this.#receivedBytes = 0;
    this.#consumedBytes = 0;
    this.#reportedConsumedBytes = 0;
    for (const followed of this.#bySlot.values()) {
      followed.underWay.clear();
      followed.session = 0;
      if (followed.state === "stated") this.#restate(followed);
    }
  }

  #onMessage(link: PeerLink, bytes: Buffer): void {
    let message: LeaderMessage;
    try {
      message = decodeLeaderMessage(bytes);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      link.reject(`a damaged message of the leader: ${error.message}`);
      return;
    }
    for (const frame of message.frames) {
      const underWayBytes = this.#receivedBytes - this.#consumedBytes;
      if (underWayBytes > 0 && underWayBytes + frame.records.length > CREDIT_BYTES) {
        link.reject("the leader sends more than it has credit for");
        return;
      }
      this.#receivedBytes += frame.records.length;
      this.#onFrame(frame);
    }
    for (const answer of message.answers) this.#onAnswer(answer);
  }

  #onFrame(frame: Frame): void {
    const sizeBytes = frame.records.length;
    const followed = this.#current(frame);
    const outcome = followed?.log.takeIn(frame);
    // Also when the log has failed, and its owner has ended or moved it from within that call.
    if (followed === undefined || this.#current(frame) !== followed) {
      this.#consume(sizeBytes);
      return;
    }
    if (outcome === "taken") {
      this.#onTaken(followed, sizeBytes);
      return;
    }
    this.#consume(sizeBytes);
    if (outcome instanceof Promise) void this.#onMisfit(followed, outcome);
    else this.unfollow(followed.log);
  }

  #onTaken(followed: Followed, sizeBytes: number): void {
    followed.backoffMs = 0;
    if (sizeBytes === 0) return;
    followed.misfitCount = 0;
    followed.underWay.add(followed.log.position.fetchOffset, sizeBytes);
    this.#moved.add(followed);
    this.#wake();
  }

  /** It was cut for another leader, or before it was given up here for a while. */
  async #restateAfter(followed: Followed, settling: Promise<unknown>): Promise<void> {
    followed.state = "settling";
    await settling;
    if (this.#isFollowed(followed)) this.#restate(followed);
  }

  /** The log makes itself fit. A second time in a row that would be for nothing, and at full speed. */
  async #onMisfit(followed: Followed, settled: Promise<void>): Promise<void> {
    followed.misfitCount += 1;
    await this.#settle(followed, settled);
    if (!this.#isFollowed(followed)) return;
    if (followed.misfitCount > 1) this.#restateLater(followed);
    else this.#restate(followed);
  }

  #onAnswer(answer: LeaderAnswer): void {
    const followed = this.#current(answer);
    if (followed !== undefined) void this.#onSessionEnd(followed, answer);
  }

  async #onSessionEnd(followed: Followed, answer: FollowerAnswer): Promise<void> {
    const verdict = await this.#settle(followed, followed.log.settle(answer));
    if (!this.#isFollowed(followed)) return;
    switch (verdict) {
      case "now":
        this.#restate(followed);
        return;
      case "later":
        this.#restateLater(followed);
        return;
      case "never":
        this.unfollow(followed.log);
        return;
    }
  }

  /** Its session is over, and there is no other before the promise is settled. */
  async #settle<T>(followed: Followed, promise: Promise<T>): Promise<T> {
    this.#void(followed);
    followed.state = "settling";
    const { settling } = this.#options;
    settling.set(followed.log, promise);
    const result = await promise;
    settling.delete(followed.log);
    return result;
  }

  /** Undefined: it is of a session that is over here, or of a partition that is followed no more. */
  #current({ slot, session }: { readonly slot: number; readonly session: number }) {
    const followed = this.#bySlot.get(slot);
    return followed?.state === "stated" && followed.session === session ? followed : undefined;
  }

  #isFollowed(followed: Followed): boolean {
    return this.#bySlot.get(followed.slot) === followed;
  }

  #restateLater(followed: Followed): void {
    const { clock } = this.#dependencies;
    followed.backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(MIN_BACKOFF_MS, 2 * followed.backoffMs));
    followed.retry = clock.after(followed.backoffMs, () => this.#restate(followed));
  }

  #restate(followed: Followed): void {
    this.#void(followed);
    followed.state = "unstated";
    this.#unstated.add(followed);
    this.#wake();
  }

  /** Nothing of its session counts any more. */
  #void(followed: Followed): void {
    followed.retry?.cancel();
    followed.retry = null;
    this.#consume(followed.underWay.clear());
  }

  #consume(bytes: number): void {
    if (bytes === 0) return;
    this.#consumedBytes += bytes;
    this.#wake();
  }

  /** Once in a turn of the event loop, after all that has arrived. */
  #wake(): void {
    if (this.#isFlushDue || this.#isClosed) return;
    this.#isFlushDue = true;
    this.#dependencies.clock.afterPoll(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    // `onOpen` comes back here.
    if (this.#isClosed || this.#link === null || this.#link.peer === null) return;
    const droppedSlots = this.#droppedSlots.splice(0, MAX_ENTRIES);
    const statements: Statement[] = [];
    const progress: Progress[] = [];
    for (const followed of firstOf(this.#unstated)) {
      statements.push(this.#state(followed));
      // What it has already counts from the beginning.
      this.#moved.add(followed);
      followed.reported = { receivedOffset: -1, safeOffset: -1 };
    }
    for (const followed of firstOf(this.#moved)) progress.push(...this.#progressOf(followed));
    const entryCount = droppedSlots.length + statements.length + progress.length;
    const consumedBytes = this.#consumedBytes;
    if (this.#droppedSlots.length + this.#unstated.size + this.#moved.size > 0) this.#wake();
    if (entryCount === 0 && consumedBytes === this.#reportedConsumedBytes) return;
    this.#reportedConsumedBytes = consumedBytes;
    this.#link.send(encodeFollowerMessage({ droppedSlots, statements, progress, consumedBytes }));
  }

  #state(followed: Followed): Statement {
    const { slot, log } = followed;
    const { topicId, partitionIndex, leaderEpoch } = log;
    this.#lastSession += 1;
    followed.session = this.#lastSession;
    followed.state = "stated";
    const { session } = followed;
    return { slot, session, topicId, partitionIndex, leaderEpoch, ...log.position };
  }

  /** None, unless it has come further. The safe offset of a log may step back (R4), what was told of it does not. */
  #progressOf(followed: Followed): Progress[] {
    if (followed.state !== "stated") return [];
    const { slot, session, log, reported } = followed;
    const receivedOffset = Math.max(reported.receivedOffset, log.receivedOffset);
    const safeOffset = Math.max(reported.safeOffset, Math.min(log.safeOffset, receivedOffset));
    this.#consumedBytes += followed.underWay.takeUpTo(receivedOffset);
    const hasMoved = receivedOffset > reported.receivedOffset || safeOffset > reported.safeOffset;
    followed.reported = { receivedOffset, safeOffset };
    return hasMoved ? [{ slot, session, receivedOffset, safeOffset }] : [];
  }
}

/** Taken out, at most so many as go into one message. */
function* firstOf<T>(set: Set<T>): Iterable<T> {
  let count = 0;
  for (const item of set) {
    if (count === MAX_ENTRIES) return;
    count += 1;
    set.delete(item);
    yield item;
  }
}
