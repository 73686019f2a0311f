import { must } from "../base/assert.ts";
import type { Uuid } from "../base/ids.ts";
import type { MemoryBudget } from "../base/memory-budget.ts";
import { errorCode, type ErrorName } from "../protocol/errors.ts";
import type { FetchResponse } from "../protocol/messages/01-fetch.ts";
import type { Deadline, Deadlines, Expirable } from "./delayed.ts";
import type { Partition, PartitionWatcher } from "./partition.ts";
import { readRecords } from "./read-records.ts";
import { refusalOf } from "./refusal.ts";

/** One partition that a fetch asks for. Never changed: sessions keep it from one fetch to the next. */
export interface FetchTarget {
  /** By name or by id, whichever the request's version has. */
  readonly topic: string;
  readonly topicId: Uuid;
  readonly partition: number;
  readonly currentLeaderEpoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly partitionMaxBytes: number;
}

type ResponsePartition = FetchResponse["responses"][number]["partitions"][number];

/** One partition's answer; in the fields that stay away, Kafka's defaults. */
export interface PartitionAnswer {
  readonly partitionIndex: number;
  errorCode: number;
  highWatermark: number;
  lastStableOffset: number;
  logStartOffset: number;
  divergingEpoch: { readonly epoch: number; readonly endOffset: number } | undefined;
  /** Who leads instead; filled in by whoever knows. */
  currentLeader: { readonly leaderId: number; readonly leaderEpoch: number } | undefined;
  abortedTransactions: ResponsePartition["abortedTransactions"];
  records: Buffer;
}

/** A partition that has something between the fetch offset and what the reader may see. */
interface Readable {
  readonly target: FetchTarget;
  readonly partition: Partition;
  readonly answer: PartitionAnswer;
  readonly endOffset: number;
}

/** One look at all partitions of the request. */
interface Pass {
  readonly answers: PartitionAnswer[];
  readonly watched: Partition[];
  /** Of the watched, in their order. */
  readonly watchedAnswers: PartitionAnswer[];
  /** Of all `watched` together, at that moment. */
  exposedBytes: number;
  readonly readable: Readable[];
  readBytes: number;
  /** Something that the client should learn at once, data or not. */
  isUrgent: boolean;
  /** There is something to read, and no memory to read it into. */
  isStarved: boolean;
}

/** What ends a wait: enough bytes (or room), the end of a partition, the deadline, of the connection. */
type WakeReason = "exposed" | "ended" | "expired" | "closed";

/** In the order of the targets. */
export type FetchAnswer = readonly PartitionAnswer[];

export interface FetchOptions {
  readonly minBytes: number;
  /** Soft: the first batch of all is given even if it is larger. */
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  /** Up to the last stable offset instead of the high watermark. */
  readonly isReadCommitted: boolean;
}

/** What the fetch asks of the node. */
export interface FetchDependencies {
  readonly clock: { nowMs(): number };
  readonly deadlines: Deadlines;
  /** What is read for the answer counts here until the answer is handed over. */
  readonly memory: Pick<MemoryBudget, "shareBytes" | "take" | "release" | "whenRoom" | "forget">;
  /** The partition, or why it is not served here. */
  find(target: FetchTarget): Partition | ErrorName;
}

/** While a batch is read of which only a bound is known, so much is held for it at most. */
const MAX_HELD_BYTES = 4 * 1024 * 1024;

const EMPTY = Buffer.alloc(0);
const NO_ABORTED_TRANSACTIONS: { producerId: number; firstOffset: number }[] = [];

/**
 * One Fetch of a consumer: reads, and when fewer than minBytes are there, waits. It is woken by the
 * very advance of the high watermark that completes minBytes, by the end of a partition, by its
 * deadline, or by the end of its connection; nothing polls. It then reads everything anew, as Kafka
 * does, so that an answer is never older than what woke it.
 */
export class DelayedFetch implements Expirable, PartitionWatcher {
  readonly #dependencies: FetchDependencies;
  readonly #targets: readonly FetchTarget[];
  readonly #options: FetchOptions;
  readonly #startMs: number;
  #watched: readonly Partition[] = [];
  #deadline: Deadline | null = null;
  #wake: ((reason: WakeReason) => void) | null = null;
  /** Bytes read in the last pass, and those exposed since. */
  #availableBytes = 0;
  #hasAdvanced = false;
  /** Its time is over, or a partition has ended: what is there now is the answer. */
  #isLastPass = false;
  #isClosed = false;
  /** Give back the memory of what the last pass read. */
  #releases: (() => void)[] = [];
  /** Taken from the budget for it. */
  #takenBytes = 0;
  readonly #onRoom = (): boolean => {
    this.#unpark("exposed");
    return true;
  };

  constructor(
    dependencies: FetchDependencies,
    targets: readonly FetchTarget[],
    options: FetchOptions,
  ) {
    this.#dependencies = dependencies;
    this.#targets = targets;
    this.#options = options;
    this.#startMs = dependencies.clock.nowMs();
  }

  /**
   * Resolves with the answer, or with null when the connection has closed meanwhile. Once. Its records
   * are lent until `release`; whoever gets the answer accounts for their bytes from here.
   */
  async run(): Promise<FetchAnswer | null> {
    const pass = await this.#run();
    this.#giveBack();
    if (pass === null) return null;
    this.#count(pass);
    return pass.answers;
  }

  #count({ watched, watchedAnswers }: Pass): void {
    for (const [index, { traffic }] of watched.entries()) {
      const answer = must(watchedAnswers[index], "each has an answer");
      traffic.fetchRequests += 1;
      traffic.bytesOut += answer.records.length;
      if (answer.errorCode !== 0) traffic.failedFetchRequests += 1;
    }
  }

  async #run(): Promise<Pass | null> {
    for (;;) {
      this.release();
      this.#giveBack();
      const pass = this.#look();
      if (pass.readable.length > 0) await this.#read(pass);
      if (this.#isClosed) return null;
      if (this.#mayAnswer(pass)) return pass;
      // What was exposed while the pass was reading woke nobody: it counts from here.
      this.#availableBytes = pass.readBytes + exposedBytes(pass.watched) - pass.exposedBytes;
      if (this.#availableBytes >= this.#options.minBytes && !pass.isStarved) continue;
      const reason = await this.#park(pass);
      if (reason === "closed") return null;
      if (reason === "expired" && (!this.#hasAdvanced || pass.isStarved)) return pass;
      this.#isLastPass = reason !== "exposed";
    }
  }

  /** Nobody waits for the answer any more. */
  close(): void {
    this.#isClosed = true;
    this.#unpark("closed");
  }

  /** The answer's records are not looked at any more: they have left, or never will. */
  release(): void {
    for (const release of this.#releases.splice(0)) release();
  }

  /** The deadline. */
  expire(): void {
    this.#unpark("expired");
  }

  onExposed(bytes: number): void {
    this.#hasAdvanced = true;
    this.#availableBytes += bytes;
    if (this.#availableBytes >= this.#options.minBytes) this.#unpark("exposed");
  }

  onEnd(): void {
    this.#unpark("ended");
  }

  #mayAnswer(pass: Pass): boolean {
    return (
      pass.isUrgent ||
      pass.readBytes >= this.#options.minBytes ||
      this.#options.maxWaitMs <= 0 ||
      this.#isLastPass ||
      pass.watched.length === 0
    );
  }

  /** All that can be said without reading. */
  #look(): Pass {
    const pass: Pass = {
      answers: [],
      watched: [],
      watchedAnswers: [],
      exposedBytes: 0,
      readable: [],
      readBytes: 0,
      isUrgent: false,
      isStarved: false,
    };
    for (const target of this.#targets) {
      const answer = emptyAnswer(target.partition);
      pass.answers.push(answer);
      const found = this.#dependencies.find(target);
      if (typeof found === "string") {
        answer.errorCode = errorCode(found);
        // The client is to look for the leader. One that is unknown here does not cut the others' waiting
        // short: the client would ask again at once, and spin until it has newer metadata.
        if (found === "NOT_LEADER_OR_FOLLOWER") pass.isUrgent = true;
      } else this.#lookAt(found, target, answer, pass);
    }
    return pass;
  }

  #lookAt(partition: Partition, target: FetchTarget, answer: PartitionAnswer, pass: Pass): void {
    pass.watched.push(partition);
    pass.watchedAnswers.push(answer);
    pass.exposedBytes += partition.exposedBytes;
    const refusal = partition.refusal(target.currentLeaderEpoch) ?? outOfRange(partition, target);
    if (refusal !== null) {
      answer.errorCode = errorCode(refusal);
      pass.isUrgent = true;
      return;
    }
    answer.highWatermark = partition.highWatermark;
    answer.lastStableOffset = partition.lastStableOffset;
    answer.logStartOffset = partition.logStartOffset;
    if (this.#options.isReadCommitted) answer.abortedTransactions = NO_ABORTED_TRANSACTIONS;
    const epochEnd = divergence(partition, target);
    if (epochEnd === "undetermined") {
      answer.errorCode = errorCode("OFFSET_OUT_OF_RANGE");
      pass.isUrgent = true;
    } else if (epochEnd !== null) {
      answer.divergingEpoch = epochEnd;
      pass.isUrgent = true;
    } else {
      const endOffset = this.#options.isReadCommitted
        ? answer.lastStableOffset
        : answer.highWatermark;
      if (target.fetchOffset < endOffset) {
        pass.readable.push({ target, partition, answer, endOffset });
      }
    }
  }

  /** Fills the partitions in the request's order: the first batch whole, then up to the limits. */
  async #read(pass: Pass): Promise<void> {
    const { shareBytes } = this.#dependencies.memory;
    if (shareBytes === 0) {
      pass.isStarved = true;
      return;
    }
    const limitBytes = Math.min(this.#options.maxBytes, shareBytes);
    for (const readable of pass.readable) {
      const isFirst = pass.readBytes === 0;
      const leftBytes = Math.max(0, limitBytes - pass.readBytes);
      const maxBytes = Math.min(Math.max(0, readable.target.partitionMaxBytes), leftBytes);
      if (maxBytes === 0 && !isFirst) {
        pass.isUrgent = true;
        continue;
      }
      // The first batch comes whole, whatever its size.
      const largestBytes = isFirst
        ? Math.min(readable.partition.maxMessageBytes, MAX_HELD_BYTES)
        : 0;
      const heldBytes = Math.max(maxBytes, largestBytes);
      this.#take(heldBytes);
      const readBytes = await this.#readOne(pass, readable, maxBytes);
      this.#take(readBytes - heldBytes);
      if (this.#isClosed) return;
    }
  }

  /** Returns how many bytes came; what goes wrong is said in the answer. */
  async #readOne(
    pass: Pass,
    { target, partition, answer, endOffset }: Readable,
    maxBytes: number,
  ): Promise<number> {
    try {
      const { records, nextOffset, release } = await readRecords(partition.log, {
        offset: target.fetchOffset,
        endOffset,
        maxBytes,
        minOneBatch: pass.readBytes === 0,
      });
      if (release !== undefined) this.#releases.push(release);
      if (this.#options.isReadCommitted && records.length > 0) {
        const aborted = await partition.log.abortedTransactions(target.fetchOffset, nextOffset);
        answer.abortedTransactions = aborted.map(({ producerId, firstOffset }) => ({
          producerId,
          firstOffset,
        }));
      }
      answer.records = records;
      pass.readBytes += records.length;
      // It gave all that it may: waiting would bring nothing more.
      if (nextOffset < endOffset) pass.isUrgent = true;
      return records.length;
    } catch (error) {
      const { errorName } = refusalOf(error);
      // A log that was closed under the reader is the end of leadership, not a failing disk.
      refuse(answer, partition.isLeader ? errorName : "NOT_LEADER_OR_FOLLOWER");
      pass.isUrgent = true;
      return 0;
    }
  }

  #take(bytes: number): void {
    this.#takenBytes += bytes;
    if (bytes >= 0) this.#dependencies.memory.take(bytes);
    else this.#dependencies.memory.release(-bytes);
  }

  #giveBack(): void {
    if (this.#takenBytes > 0) this.#take(-this.#takenBytes);
  }

  #park(pass: Pass): Promise<WakeReason> {
    this.#hasAdvanced = this.#availableBytes > pass.readBytes;
    this.#watched = pass.watched;
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#deadline === null) {
        const waitedMs = this.#dependencies.clock.nowMs() - this.#startMs;
        this.#deadline = this.#dependencies.deadlines.add(this.#options.maxWaitMs - waitedMs, this);
      }
      if (pass.isStarved) {
        this.#dependencies.memory.whenRoom(this.#onRoom);
        return;
      }
      for (const partition of pass.watched) {
        if (!partition.watch(this)) {
          this.onEnd();
          return;
        }
      }
    });
  }

  #unpark(reason: WakeReason): void {
    for (const partition of this.#watched) partition.unwatch(this);
    this.#watched = [];
    this.#dependencies.memory.forget(this.#onRoom);
    const wake = this.#wake;
    if (wake === null) return;
    this.#wake = null;
    // Parked again, it waits for what is left of its time.
    this.#deadline?.cancel();
    this.#deadline = null;
    wake(reason);
  }
}

function emptyAnswer(partitionIndex: number): PartitionAnswer {
  return {
    partitionIndex,
    errorCode: 0,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    divergingEpoch: undefined,
    currentLeader: undefined,
    abortedTransactions: null,
    records: EMPTY,
  };
}

function refuse(answer: PartitionAnswer, refusal: ErrorName): void {
  answer.errorCode = errorCode(refusal);
  answer.highWatermark = -1;
  answer.lastStableOffset = -1;
  answer.logStartOffset = -1;
  answer.abortedTransactions = null;
}

/** Between high watermark and log end there is nothing to see yet, which is no error. */
function outOfRange(partition: Partition, { fetchOffset }: FetchTarget): ErrorName | null {
  const isInside = fetchOffset >= partition.logStartOffset && fetchOffset <= partition.logEndOffset;
  return isInside ? null : "OFFSET_OUT_OF_RANGE";
}

/** Where the client's log parts from ours, by the epoch of the last record that it has (KIP-595). */
function divergence(
  partition: Partition,
  { lastFetchedEpoch, fetchOffset }: FetchTarget,
): { epoch: number; endOffset: number } | "undetermined" | null {
  if (lastFetchedEpoch < 0) return null;
  const { leaderEpoch, endOffset } = partition.log.endOffsetForEpoch(lastFetchedEpoch);
  if (leaderEpoch < 0 || endOffset < 0) return "undetermined";
  return leaderEpoch < lastFetchedEpoch || endOffset < fetchOffset
    ? { epoch: leaderEpoch, endOffset }
    : null;
}

function exposedBytes(partitions: readonly Partition[]): number {
  let bytes = 0;
  for (const partition of partitions) bytes += partition.exposedBytes;
  return bytes;
}
