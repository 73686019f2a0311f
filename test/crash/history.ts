import type { Uuid } from "../../src/base/ids.ts";
import { must } from "../../src/base/assert.ts";
import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchNextOffset,
  batchProducerId,
  batchRecordCount,
  isControl,
} from "../../src/protocol/records/batch.ts";
import { batchBody, iterateRecords } from "../../src/protocol/records/record.ts";
import { readEndMarker } from "../../src/storage/end-marker.ts";
import { partitionDirectoryName } from "../../src/storage/file-names.ts";
import type { PartitionId } from "../../src/storage/log-manager.ts";
import { crc32c } from "../../src/base/crc32c.ts";

/** What a workload has asked for and what it was promised, in the order of the trace. */
export type Fact =
  | {
      readonly kind: "created";
      readonly topicId: Uuid;
      readonly id: PartitionId;
      readonly compacts: boolean;
      readonly flushMessages: number;
    }
  | { readonly kind: "appended"; readonly topicId: Uuid; readonly batch: Buffer }
  /** All below is in the page cache, and durable. */
  | {
      readonly kind: "marks";
      readonly topicId: Uuid;
      readonly writtenEnd: number;
      readonly flushedEnd: number;
      /** What acknowledgements may rely on (R4). */
      readonly safeEnd: number;
    }
  /** A call was made again that had failed before on the same file. */
  | { readonly kind: "retried"; readonly what: string }
  /** The log was opened after a crash: this is what it holds from now on. */
  | { readonly kind: "recovered"; readonly topicId: Uuid; readonly endOffset: number }
  | {
      readonly kind: "truncating" | "truncated";
      readonly topicId: Uuid;
      readonly endOffset: number;
    }
  /** The log may, or must, begin there: retention, DeleteRecords. */
  | { readonly kind: "start-may" | "start-must"; readonly topicId: Uuid; readonly offset: number }
  | { readonly kind: "restarting" | "restarted"; readonly topicId: Uuid; readonly offset: number }
  | { readonly kind: "deleting" | "deleted"; readonly topicId: Uuid }
  /** A move to that log directory has begun; it takes the log's place; the log is there. */
  | { readonly kind: "move-begun" | "moved"; readonly topicId: Uuid; readonly path: string }
  | { readonly kind: "move-ending"; readonly topicId: Uuid }
  | { readonly kind: "crash"; readonly of: "process" | "power" }
  | { readonly kind: "starting" | "started" }
  | { readonly kind: "stopping" | "stopped"; readonly brokerEpoch: number }
  /** The first batch of the epoch is about to be written, or it is promised that no other is of it. */
  | { readonly kind: "leads"; readonly leaderEpoch: number }
  | { readonly kind: "proposed"; readonly baseOffset: number; readonly values: readonly Buffer[] }
  | { readonly kind: "committed"; readonly endOffset: number }
  /** It is noted that the metadata are durable up to there. */
  | { readonly kind: "metadata-noted"; readonly endOffset: number }
  /** A new leader has found so many batches of values. */
  | { readonly kind: "replayed"; readonly batchCount: number; readonly endOffset: number };

/** One batch as it was appended: offsets, epoch, and a digest of all its bytes. */
export interface KnownBatch {
  readonly offset: number;
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly digest: string;
  /** Producers' markers are not records. */
  readonly isControl: boolean;
  /** Of an uncompressed batch of a compacted topic. */
  readonly records: readonly KnownRecord[];
  readonly producerId: number;
  /** Its transaction was aborted. */
  isAborted: boolean;
}

export interface KnownRecord {
  readonly offset: number;
  readonly key: string;
  /** null: a tombstone. */
  readonly value: string | null;
}

/** What a partition's log may hold, and what it must. */
export interface ExpectedLog {
  readonly id: PartitionId;
  readonly key: string;
  readonly compacts: boolean;
  readonly flushMessages: number;
  life: "live" | "deleting" | "deleted";
  /** Beyond the ends below they may be there or not. */
  batches: KnownBatch[];
  writtenEnd: number;
  durableEnd: number;
  /** The greatest safe end that was seen (R4): acknowledgements have relied on it. */
  safeEnd: number;
  /** While the log is cut, its marks count up to there; Infinity: it is not. */
  cutTo: number;
  /** The start lies between the two. */
  startMust: number;
  startMay: number;
  /** While all is thrown away: an empty log here is right, too. */
  restartOffset: number | null;
  /** Where the log was moved; null: nowhere. */
  movedTo: string | null;
  /** Where a move has begun that must not be forgotten before the next start. */
  movingTo: string | null;
}

export class History {
  readonly logs = new Map<Uuid, ExpectedLog>();
  readonly metadata: { baseOffset: number; values: readonly string[] }[] = [];
  /** Exclusive: all that was committed of the metadata. */
  committedEnd = 0;
  /** What is damaged below it must not be taken for a torn tail (R10). */
  metadataNotedEnd = 0;
  /** The next leader's epoch is greater. */
  ledEpoch = 0;
  /** Which marks of an orderly stop may be found; null: none. */
  cleanEpochs: readonly (number | null)[] = [null];
  /** Failed calls that were made again. */
  readonly retries: string[] = [];

  apply(fact: Fact): void {
    switch (fact.kind) {
      case "created":
        this.#create(fact);
        return;
      case "retried":
        this.retries.push(fact.what);
        return;
      case "crash":
        if (fact.of === "process") return;
        for (const log of this.logs.values()) loseUnsynced(log);
        return;
      case "starting":
        this.cleanEpochs = [...new Set([...this.cleanEpochs, null])];
        for (const log of this.logs.values()) log.movingTo = null;
        return;
      case "started":
        this.cleanEpochs = [null];
        return;
      case "stopping":
        this.cleanEpochs = [null, fact.brokerEpoch];
        return;
      case "stopped":
        this.cleanEpochs = [fact.brokerEpoch];
        return;
      case "leads":
        this.ledEpoch = Math.max(this.ledEpoch, fact.leaderEpoch);
        return;
      case "proposed":
        this.metadata.push({
          baseOffset: fact.baseOffset,
          values: fact.values.map((value) => value.toString("latin1")),
        });
        return;
      case "replayed":
        this.metadata.splice(fact.batchCount);
        this.committedEnd = fact.endOffset;
        return;
      case "committed":
        this.committedEnd = fact.endOffset;
        return;
      case "metadata-noted":
        this.metadataNotedEnd = fact.endOffset;
        return;
      default:
        applyToLog(must(this.logs.get(fact.topicId), "a fact is about a known log"), fact);
    }
  }

  #create({ id, compacts, flushMessages }: Extract<Fact, { readonly kind: "created" }>): void {
    this.logs.set(id.topicId, {
      id,
      key: partitionDirectoryName(id.topic, id.partitionIndex),
      compacts,
      flushMessages,
      life: "live",
      batches: [],
      writtenEnd: 0,
      durableEnd: 0,
      safeEnd: 0,
      cutTo: Infinity,
      startMust: 0,
      startMay: 0,
      restartOffset: null,
      movedTo: null,
      movingTo: null,
    });
  }
}

/** What was safe may go as far as the flush policy allows (R4). */
function loseUnsynced(log: ExpectedLog): void {
  log.writtenEnd = log.durableEnd;
  log.safeEnd = Math.max(log.durableEnd, log.safeEnd - (log.flushMessages - 1));
}

type LogFact = Extract<Fact, { readonly topicId: Uuid }>;

function applyToLog(log: ExpectedLog, fact: Exclude<LogFact, { readonly kind: "created" }>): void {
  switch (fact.kind) {
    case "appended":
      log.batches.push(knownBatch(fact.batch, log.compacts));
      markAborted(log.batches, fact.batch);
      return;
    case "marks":
      log.writtenEnd = Math.min(fact.writtenEnd, log.cutTo);
      log.durableEnd = Math.min(fact.flushedEnd, log.cutTo);
      log.safeEnd = Math.max(log.safeEnd, Math.min(fact.safeEnd, log.cutTo));
      return;
    case "recovered":
    case "truncated":
      log.safeEnd = Math.min(log.safeEnd, fact.endOffset);
      log.cutTo = Infinity;
      log.batches = log.batches.filter(({ endOffset }) => endOffset <= fact.endOffset);
      return;
    case "truncating":
      log.cutTo = fact.endOffset;
      log.writtenEnd = Math.min(log.writtenEnd, fact.endOffset);
      log.durableEnd = Math.min(log.durableEnd, fact.endOffset);
      log.safeEnd = Math.min(log.safeEnd, fact.endOffset);
      return;
    case "start-may":
      log.startMay = Math.max(log.startMay, fact.offset);
      return;
    case "start-must":
      log.startMust = fact.offset;
      return;
    case "restarting":
      log.writtenEnd = log.durableEnd = log.safeEnd = log.cutTo = 0;
      log.startMay = log.restartOffset = fact.offset;
      return;
    case "restarted":
      log.batches = [];
      log.cutTo = Infinity;
      log.startMust = fact.offset;
      log.restartOffset = null;
      return;
    case "move-begun":
      log.movingTo = fact.path;
      return;
    case "move-ending":
      log.movingTo = log.movedTo = null;
      return;
    case "moved":
      log.movedTo = fact.path;
      return;
    case "deleting":
    case "deleted":
      log.life = fact.kind;
  }
}

export function knownBatch(bytes: Buffer, hasRecords: boolean): KnownBatch {
  const offset = batchBaseOffset(bytes);
  return {
    offset,
    endOffset: batchNextOffset(bytes),
    leaderEpoch: batchLeaderEpoch(bytes),
    digest: `${bytes.length}/${crc32c(bytes, 0)}`,
    isControl: isControl(bytes),
    records: hasRecords ? recordsOf(bytes, offset) : [],
    producerId: batchProducerId(bytes),
    isAborted: false,
  };
}

function recordsOf(bytes: Buffer, baseOffset: number): KnownRecord[] {
  const { body } = batchBody(bytes, 0);
  return [...iterateRecords(body, batchRecordCount(bytes))].map(({ offsetDelta, key, value }) => ({
    offset: baseOffset + offsetDelta,
    key: key?.toString("latin1") ?? "",
    value: value?.toString("latin1") ?? null,
  }));
}

/** A marker that aborts does so for all that its producer has written since the marker before. */
function markAborted(batches: readonly KnownBatch[], marker: Buffer): void {
  if (!isControl(marker) || readEndMarker(marker, 0)?.isAbort !== true) return;
  const own = batches
    .filter(({ producerId }) => producerId === batchProducerId(marker))
    .slice(0, -1);
  for (const batch of own.slice(own.findLastIndex((each) => each.isControl) + 1)) {
    batch.isAborted = true;
  }
}
