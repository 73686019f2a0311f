import type { Uuid } from "../base/ids.ts";
import { errorCode, type ErrorName } from "../protocol/errors.ts";
import type { FetchRequest, FetchResponse } from "../protocol/messages/01-fetch.ts";
import type { Deadline, Deadlines, Expirable } from "./delayed.ts";
import type { HostedTopic } from "./hosted-topic.ts";
import type { Partition, PartitionWatcher } from "./partition.ts";
import { refusalOf } from "./refusal.ts";

export type FetchTopic = FetchRequest["topics"][number];
type FetchPartition = FetchTopic["partitions"][number];
type ResponseTopic = FetchResponse["responses"][number];

/** One partition's answer; in the fields that stay away, Kafka's defaults. */
interface PartitionAnswer {
  readonly partitionIndex: number;
  errorCode: number;
  highWatermark: number;
  lastStableOffset: number;
  logStartOffset: number;
  divergingEpoch: { readonly epoch: number; readonly endOffset: number } | undefined;
  abortedTransactions: ResponseTopic["partitions"][number]["abortedTransactions"];
  records: Buffer;
}

interface TopicAnswer {
  readonly topic: string;
  readonly topicId: Uuid;
  readonly partitions: PartitionAnswer[];
}

/** A partition that has something between the fetch offset and what the reader may see. */
interface Readable {
  readonly request: FetchPartition;
  readonly partition: Partition;
  readonly answer: PartitionAnswer;
  readonly endOffset: number;
}

/** One look at all partitions of the request. */
interface Pass {
  readonly responses: TopicAnswer[];
  readonly watched: Partition[];
  /** Of all `watched` together, at that moment. */
  exposedBytes: number;
  readonly readable: Readable[];
  readBytes: number;
  /** Something that the client should learn at once, data or not. */
  isUrgent: boolean;
}

/** What ends a wait: enough bytes, the end of a partition, the deadline, the end of the connection. */
type WakeReason = "exposed" | "ended" | "expired" | "closed";

export type FetchAnswer = readonly TopicAnswer[];

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
  /** By id or by name, whichever the request's version has. */
  findTopic(topic: FetchTopic): HostedTopic | undefined;
  /** The partition, or why it is not served here. */
  find(topic: HostedTopic | undefined, partitionIndex: number): Partition | ErrorName;
}

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
  readonly #topics: readonly FetchTopic[];
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

  constructor(
    dependencies: FetchDependencies,
    topics: readonly FetchTopic[],
    options: FetchOptions,
  ) {
    this.#dependencies = dependencies;
    this.#topics = topics;
    this.#options = options;
    this.#startMs = dependencies.clock.nowMs();
  }

  /**
   * Resolves with the answer, or with null when the connection has closed meanwhile. Once. Its records
   * are lent until `release`.
   */
  async run(): Promise<FetchAnswer | null> {
    for (;;) {
      this.release();
      const pass = this.#look();
      if (pass.readable.length > 0) await this.#read(pass);
      if (this.#isClosed) return null;
      if (this.#mayAnswer(pass)) return pass.responses;
      // What was exposed while the pass was reading woke nobody: it counts from here.
      this.#availableBytes = pass.readBytes + exposedBytes(pass.watched) - pass.exposedBytes;
      if (this.#availableBytes >= this.#options.minBytes) continue;
      const reason = await this.#park(pass);
      if (reason === "closed") return null;
      if (reason === "expired" && !this.#hasAdvanced) return pass.responses;
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
      responses: [],
      watched: [],
      exposedBytes: 0,
      readable: [],
      readBytes: 0,
      isUrgent: false,
    };
    for (const topic of this.#topics) {
      const partitions: PartitionAnswer[] = [];
      const hosted = this.#dependencies.findTopic(topic);
      for (const request of topic.partitions) {
        const answer = emptyAnswer(request.partition);
        partitions.push(answer);
        const found = this.#dependencies.find(hosted, request.partition);
        // A partition that is unknown here does not cut the others' waiting short: the client would
        // ask again at once, and spin until it has newer metadata.
        if (typeof found === "string") answer.errorCode = errorCode(found);
        else this.#lookAt(found, request, answer, pass);
      }
      pass.responses.push({ topic: topic.topic, topicId: topic.topicId, partitions });
    }
    return pass;
  }

  #lookAt(
    partition: Partition,
    request: FetchPartition,
    answer: PartitionAnswer,
    pass: Pass,
  ): void {
    pass.watched.push(partition);
    pass.exposedBytes += partition.exposedBytes;
    const refusal = partition.refusal(request.currentLeaderEpoch) ?? outOfRange(partition, request);
    if (refusal !== null) {
      answer.errorCode = errorCode(refusal);
      pass.isUrgent = true;
      return;
    }
    answer.highWatermark = partition.highWatermark;
    answer.lastStableOffset = partition.lastStableOffset;
    answer.logStartOffset = partition.logStartOffset;
    if (this.#options.isReadCommitted) answer.abortedTransactions = NO_ABORTED_TRANSACTIONS;
    const epochEnd = divergence(partition, request);
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
      if (request.fetchOffset < endOffset) {
        pass.readable.push({ request, partition, answer, endOffset });
      }
    }
  }

  /** Fills the partitions in the request's order: the first batch whole, then up to the limits. */
  async #read(pass: Pass): Promise<void> {
    for (const { request, partition, answer, endOffset } of pass.readable) {
      const minOneBatch = pass.readBytes === 0;
      const roomBytes = Math.max(0, this.#options.maxBytes - pass.readBytes);
      const maxBytes = Math.min(Math.max(0, request.partitionMaxBytes), roomBytes);
      if (maxBytes === 0 && !minOneBatch) {
        pass.isUrgent = true;
        continue;
      }
      try {
        const { records, nextOffset, release } = await partition.log.read({
          offset: request.fetchOffset,
          endOffset,
          maxBytes,
          minOneBatch,
        });
        if (release !== undefined) this.#releases.push(release);
        if (this.#options.isReadCommitted && records.length > 0) {
          const aborted = await partition.log.abortedTransactions(request.fetchOffset, nextOffset);
          answer.abortedTransactions = aborted.map(({ producerId, firstOffset }) => ({
            producerId,
            firstOffset,
          }));
        }
        answer.records = records;
        pass.readBytes += records.length;
        // It gave all that it may: waiting would bring nothing more.
        if (nextOffset < endOffset) pass.isUrgent = true;
      } catch (error) {
        const { errorName } = refusalOf(error);
        // A log that was closed under the reader is the end of leadership, not a failing disk.
        refuse(answer, partition.isLeader ? errorName : "NOT_LEADER_OR_FOLLOWER");
        pass.isUrgent = true;
      }
      if (this.#isClosed) return;
    }
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
function outOfRange(partition: Partition, request: FetchPartition): ErrorName | null {
  const isInside =
    request.fetchOffset >= partition.logStartOffset &&
    request.fetchOffset <= partition.logEndOffset;
  return isInside ? null : "OFFSET_OUT_OF_RANGE";
}

/** Where the client's log parts from ours, by the epoch of the last record that it has (KIP-595). */
function divergence(
  partition: Partition,
  request: FetchPartition,
): { epoch: number; endOffset: number } | "undetermined" | null {
  if (request.lastFetchedEpoch < 0) return null;
  const { leaderEpoch, endOffset } = partition.log.endOffsetForEpoch(request.lastFetchedEpoch);
  if (leaderEpoch < 0 || endOffset < 0) return "undetermined";
  return leaderEpoch < request.lastFetchedEpoch || endOffset < request.fetchOffset
    ? { epoch: leaderEpoch, endOffset }
    : null;
}

function exposedBytes(partitions: readonly Partition[]): number {
  let bytes = 0;
  for (const partition of partitions) bytes += partition.exposedBytes;
  return bytes;
}
