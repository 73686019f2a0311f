import { must } from "../../src/base/assert.ts";
import { DiskError } from "../../src/base/disk.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { batchSizeBytes } from "../../src/protocol/records/batch.ts";
import { buildBatch, type NewBatch } from "../../src/protocol/records/batch-builder.ts";
import { batchBody, iterateRecords } from "../../src/protocol/records/record.ts";
import { CopyAbortedError } from "../../src/storage/log-copy.ts";
import type { Log } from "../../src/storage/log.ts";
import { DEFAULT_LOG_CONFIG, type LogConfig } from "../../src/storage/log-config.ts";
import { DirectoryError, type PartitionId } from "../../src/storage/log-manager.ts";
import { DIRECTORIES, type Life, type Machine } from "./machine.ts";

const CONFIG: LogConfig = {
  ...DEFAULT_LOG_CONFIG,
  segmentBytes: 420,
  segmentMs: Infinity,
  indexIntervalBytes: 100,
  flushMessages: 1,
  timestampAfterMaxMs: Infinity,
  retentionMs: Infinity,
  minCleanableDirtyRatio: 0,
};
/** With zeros behind the batches. */
const PREALLOCATED: LogConfig = { ...CONFIG, preallocate: true };
const COMPACTED: LogConfig = { ...CONFIG, cleanupPolicy: { compacts: true, deletes: false } };

const WALL_MS = 1_800_000_000_000;
const PRODUCER_ID = 7;

/** Parts of the script in which the same call means something else to those who wait for it. */
export type Stage = "first start" | "service" | "cuts" | "stop" | "restart" | "recovery";

/** A partition of the workload, and what a client was promised of it. */
interface Shelf {
  readonly id: PartitionId;
  readonly config: LogConfig;
  /** Offset -> value of what was acknowledged; only of partitions that keep everything. */
  readonly acked: Map<number, string>;
  log: Log | null;
  sequence: number;
  producerEpoch: number;
}

function uuid(index: number): Uuid {
  return Buffer.alloc(16, index + 1).toString("base64url") as Uuid;
}

/**
 * Everything that the storage of a node does, in three lives: topics are made, filled, rolled, flushed,
 * checkpointed, cut, compacted, moved, deleted; stopped in order, started, robbed of its power, recovered. A
 * refusal by the disk is borne at any step; `afterStep` looks at what it has led to.
 */
export class Workload {
  readonly machine: Machine;
  readonly shelves: Shelf[] = [];
  /** Values of the metadata log that were committed. */
  readonly ackedMetadata = new Set<string>();
  /** What no disk may be the reason of. */
  readonly bugs: unknown[] = [];
  refusedStartCount = 0;
  /** What is left of the script is not run. */
  isOver = false;
  life: Life | null = null;
  /** Where in the script it is. */
  stage: Stage = "first start";
  readonly #afterStep: () => Promise<void>;
  #valueCount = 0;

  constructor(machine: Machine, afterStep: () => Promise<void>) {
    this.machine = machine;
    this.#afterStep = afterStep;
    const kinds = [
      ["t", PREALLOCATED],
      ["x", PREALLOCATED],
      ["c", COMPACTED],
      ["d", CONFIG],
    ] as const;
    for (const [topic, config] of kinds) {
      for (const partitionIndex of [0, 1]) this.#shelf(topic, partitionIndex, config);
    }
  }

  async run(): Promise<void> {
    await this.#step(async () => {
      await this.start();
      this.life?.manager.finishStart();
    });
    for (const shelf of this.shelves) await this.#step(() => this.open(shelf));
    this.stage = "service";
    for (let round = 0; round < 5; round += 1) {
      for (const topic of ["t", "d"]) await this.#appendAll(topic);
      await this.#step(() => this.propose());
    }
    await this.#transactions();
    await this.#pass(5_000);
    await this.#compaction();
    this.stage = "cuts";
    await this.#structure();
    await this.#moves();
    await this.#deletion();
    await this.#pass(60_000);
    await this.#appendAll("t");
    this.stage = "stop";
    await this.#step(() => this.stop());
    this.stage = "restart";
    await this.#secondLife();
    this.stage = "recovery";
    await this.#thirdLife();
  }

  /** The process that runs serves: every log that can be open is, in the directory if one is named. */
  async serves(directory?: string): Promise<string | null> {
    if (this.life === null) return null;
    for (const shelf of this.shelves) {
      if (shelf.log === null) await this.open(shelf).catch(() => undefined);
      const { log, id } = shelf;
      const name = `${id.topic}-${id.partitionIndex}`;
      if (log === null) {
        if (directory === undefined) return `${name} cannot be opened`;
        continue;
      }
      if (directory !== undefined && !log.directory.startsWith(`${directory}/`)) continue;
      if (log.failure !== null) return `${name}: ${log.failure.message}`;
      if (id.topic === "t") {
        try {
          await this.append(shelf);
        } catch (error) {
          return `${name} takes nothing: ${String(error)}`;
        }
      }
    }
    return null;
  }

  async start(): Promise<void> {
    try {
      this.life = await this.machine.start();
    } catch (error) {
      this.life = null;
      this.refusedStartCount += 1;
      throw error;
    }
  }

  async open(shelf: Shelf): Promise<void> {
    if (this.life === null) return;
    shelf.log = await this.machine.run(this.life.manager.openLog(shelf.id, shelf.config));
  }

  async append(shelf: Shelf, batch: Partial<NewBatch> = {}): Promise<void> {
    const { log } = shelf;
    if (log === null) return;
    this.#valueCount += 1;
    const value = `value-${this.#valueCount}`.padEnd(60, ".");
    const bytes = buildBatch({
      timestampMs: WALL_MS,
      producerId: PRODUCER_ID,
      producerEpoch: shelf.producerEpoch,
      baseSequence: shelf.sequence,
      records: [{ key: null, value: Buffer.from(value) }],
      ...batch,
    });
    const { baseOffset } = log.append(bytes, {
      leaderEpoch: 0,
      origin: batch.isControl === true ? "coordinator" : "client",
    });
    shelf.sequence += 1;
    try {
      await this.machine.run(log.flush());
    } catch (error) {
      // Whether it is there is not known, and this producer does not ask: it begins a new epoch.
      this.#beginEpoch(shelf);
      throw error;
    }
    if (shelf.id.topic === "t") shelf.acked.set(baseOffset, value);
  }

  async propose(): Promise<void> {
    if (this.life === null) return;
    this.#valueCount += 1;
    const value = `metadata-${this.#valueCount}`;
    const { raft } = this.life;
    await this.machine.run(raft.append(raft.leader.leaderEpoch, [Buffer.from(value)]).committed);
    this.ackedMetadata.add(value);
  }

  async stop(): Promise<void> {
    const { life } = this;
    this.#forgetLife();
    if (life !== null) await this.machine.stop(life);
  }

  async cutPower(): Promise<void> {
    this.#forgetLife();
    await this.machine.cutPower();
  }

  /** What is missing of what was acknowledged. */
  async missing(): Promise<string[]> {
    const missing: string[] = [];
    for (const { id, log, acked } of this.shelves) {
      if (acked.size === 0) continue;
      const name = `${id.topic}-${id.partitionIndex}`;
      if (log === null) {
        missing.push(`${name} is not open`);
        continue;
      }
      const found = await this.#readAll(log);
      for (const [offset, value] of acked) {
        if (found.get(offset) !== value) missing.push(`${name}@${offset}`);
      }
    }
    for (const value of this.ackedMetadata) {
      if (this.life?.committed.has(value) !== true) missing.push(value);
    }
    return missing;
  }

  async #transactions(): Promise<void> {
    for (const shelf of this.#of("x")) {
      for (const isAbort of [true, false, true]) {
        await this.#step(() => this.append(shelf, { isTransactional: true }));
        await this.#step(() => this.append(shelf, { isTransactional: true }));
        await this.#step(() => this.#endTransaction(shelf, isAbort));
      }
    }
  }

  async #endTransaction(shelf: Shelf, isAbort: boolean): Promise<void> {
    const key = Buffer.from([0, 0, 0, isAbort ? 0 : 1]);
    const record = { key, value: Buffer.alloc(6) };
    await this.append(shelf, {
      isTransactional: true,
      isControl: true,
      baseSequence: -1,
      records: [record],
    });
    shelf.sequence -= 1;
  }

  async #compaction(): Promise<void> {
    for (let round = 0; round < 6; round += 1) {
      for (const shelf of this.#of("c")) {
        await this.#step(() => this.append(shelf, { records: [keyed(round % 3)] }));
      }
    }
    for (const shelf of this.#of("c")) {
      await this.#step(() => this.append(shelf, { isTransactional: true, records: [keyed(1)] }));
      await this.#step(() => this.#endTransaction(shelf, true));
      for (let round = 0; round < 3; round += 1) {
        await this.#step(() => this.append(shelf, { records: [keyed(round)] }));
      }
    }
    for (let look = 0; look < 4; look += 1) await this.#pass(1_000);
  }

  async #structure(): Promise<void> {
    const { machine } = this;
    for (const shelf of this.#of("x")) {
      await this.#step(async () => {
        if (shelf.log === null) return;
        shelf.log.rollSegment();
        await this.append(shelf);
      });
      await this.#step(async () => {
        if (shelf.log === null || this.life === null) return;
        await machine.run(shelf.log.advanceLogStartOffset(4));
        await machine.run(this.life.manager.checkpointLogStart(shelf.log));
        await machine.run(shelf.log.removeSegmentsBelow(5, "retention"));
      });
      await this.#step(async () => {
        if (shelf.log === null) return;
        await machine.run(shelf.log.truncateTo(Math.max(shelf.log.logEndOffset - 5, 0)));
      });
      await this.#step(async () => {
        this.#beginEpoch(shelf);
        await this.append(shelf);
      });
      await this.#step(async () => {
        if (shelf.log === null) return;
        await machine.run(shelf.log.truncateFullyAndStartAt(100));
      });
      await this.#step(() => this.append(shelf));
    }
  }

  /** Logs move to the other directory, while retention takes what is already copied. */
  async #moves(): Promise<void> {
    for (const shelf of this.#of("x")) {
      for (let round = 0; round < 8; round += 1) await this.#step(() => this.append(shelf));
      await this.#step(() => this.#move(shelf));
      await this.#step(() => this.append(shelf));
    }
  }

  async #move(shelf: Shelf): Promise<void> {
    const { machine, life } = this;
    const { log, id } = shelf;
    if (log === null || life === null) return;
    const other = DIRECTORIES.find((each) => !log.directory.startsWith(`${each}/`));
    const move = await machine.run(life.manager.beginMove(id, must(other, "there are two")));
    try {
      await machine.run(move.copy());
      const second = must(log.segments.list[1], "it has several segments").baseOffset;
      await machine.run(log.advanceLogStartOffset(second));
      await machine.run(log.removeSegmentsBelow(second, "retention"));
      shelf.log = null;
      const served = { highWatermark: () => log.logEndOffset, assign: () => Promise.resolve() };
      shelf.log = await machine.run(move.complete(served));
    } catch (error) {
      await machine.run(move.giveUp());
      // It is where it was, if its directory still takes anything.
      if (shelf.log === null) await this.open(shelf);
      throw error;
    }
  }

  async #deletion(): Promise<void> {
    for (const shelf of this.#of("d")) {
      await this.#step(async () => {
        if (this.life === null) return;
        const { topic, partitionIndex } = shelf.id;
        shelf.log = null;
        await this.machine.run(this.life.manager.deleteLog(topic, partitionIndex));
        await this.machine.turns(60);
      });
      const again = this.#shelf("d", shelf.id.partitionIndex, CONFIG);
      this.shelves.splice(this.shelves.indexOf(shelf), 1);
      await this.#step(() => this.open(again));
      await this.#step(() => this.append(again));
    }
  }

  /** After an orderly stop; it ends with the power. */
  async #secondLife(): Promise<void> {
    await this.#step(() => this.start());
    for (const shelf of this.shelves) await this.#step(() => this.open(shelf));
    this.life?.manager.finishStart();
    // Several segments beyond the recovery point.
    for (let round = 0; round < 5; round += 1) await this.#appendAll("t");
    for (const topic of ["x", "c"]) await this.#appendAll(topic);
    await this.#step(() => this.propose());
    await this.#step(() => this.cutPower());
    this.#tearTails();
  }

  /** Recovers; a topic is not known any more. */
  async #thirdLife(): Promise<void> {
    await this.#step(() => this.start());
    for (const shelf of this.shelves) {
      if (shelf.id.topic !== "x") await this.#step(() => this.open(shelf));
    }
    await this.#step(async () => {
      this.life?.manager.finishStart();
      await this.machine.turns(200);
    });
    for (const topic of ["t", "c"]) await this.#appendAll(topic);
    await this.#step(() => this.stop());
  }

  /** A batch that a power cut has left in part, in the last segment and behind an older one. */
  #tearTails(): void {
    for (const [path, bytes] of this.machine.platter.files()) {
      if (!/\/c-\d\/partition\.metadata$/.test(path) || bytes.length === 0) continue;
      const at = bytes.length - 2;
      const flipped = Buffer.from([bytes.readUInt8(at) ^ 1]);
      this.machine.platter.openNow(path).writeNow([flipped], at);
    }
    const torn = buildBatch({ timestampMs: WALL_MS, records: [keyed(0)] }).subarray(0, 50);
    const paths = [...this.machine.platter.files().keys()].filter((path) =>
      /\/[tcx]-\d\/\d{20}\.log$/.test(path),
    );
    const directories = new Set(paths.map((path) => path.slice(0, -25)));
    for (const directory of directories) {
      const last = paths
        .filter((path) => path.startsWith(`${directory}/`))
        .sort()
        .at(-1);
      if (last === undefined) continue;
      const file = this.machine.platter.openNow(last);
      file.writeNow([torn], this.machine.platter.files().get(last)?.length ?? 0);
      // A segment that was made and never named durably before the one in front of it was whole.
      const base = String(Number(last.slice(-24, -4)) + 50).padStart(20, "0");
      this.machine.platter
        .openNow(`${directory}/${base}.log`, { create: true })
        .writeNow([torn], 0);
    }
  }

  async #appendAll(topic: string): Promise<void> {
    for (const shelf of this.#of(topic)) await this.#step(() => this.append(shelf));
  }

  async #pass(ms: number): Promise<void> {
    await this.#step(() => this.machine.pass(ms));
  }

  /** One step; the disk may refuse it, nothing else. */
  async #step(task: () => Promise<void>): Promise<void> {
    if (this.isOver) return;
    try {
      await task();
    } catch (error) {
      if (!isRefusal(error)) this.bugs.push(error);
    }
    await this.#afterStep();
  }

  #of(topic: string): Shelf[] {
    return this.shelves.filter(({ id }) => id.topic === topic);
  }

  #shelf(topic: string, partitionIndex: number, config: LogConfig): Shelf {
    const id = { topic, partitionIndex, topicId: uuid(this.#valueCount + this.shelves.length) };
    const shelf = { id, config, acked: new Map(), log: null, sequence: 0, producerEpoch: 0 };
    this.shelves.push(shelf);
    return shelf;
  }

  #forgetLife(): void {
    this.life = null;
    for (const shelf of this.shelves) {
      shelf.log = null;
      // What was not acknowledged may or may not be there: a new epoch begins anew.
      this.#beginEpoch(shelf);
    }
  }

  #beginEpoch(shelf: Shelf): void {
    shelf.producerEpoch += 1;
    shelf.sequence = 0;
  }

  async #readAll(log: Log): Promise<Map<number, string>> {
    const values = new Map<number, string>();
    for (let offset = log.logStartOffset; offset < log.writtenEndOffset;) {
      const { records, nextOffset } = await this.machine.run(
        log.read({ offset, endOffset: log.logEndOffset, maxBytes: 10_000, minOneBatch: true }),
      );
      for (let at = 0; at < records.length; at += batchSizeBytes(records, at)) {
        const { body } = batchBody(records, at);
        for (const { offsetDelta, value } of iterateRecords(body, 1)) {
          values.set(Number(records.readBigInt64BE(at)) + offsetDelta, String(value));
        }
      }
      if (nextOffset === offset) break;
      offset = nextOffset;
    }
    return values;
  }
}

function keyed(key: number): { key: Buffer; value: Buffer } {
  return { key: Buffer.from(`key-${key}`), value: Buffer.alloc(60, key + 65) };
}

function isRefusal(error: unknown): boolean {
  if (error instanceof DiskError || error instanceof DirectoryError) return true;
  // What was to be copied has failed.
  if (error instanceof CopyAbortedError) return true;
  return (
    error instanceof KafkaError &&
    // The last ones: a batch before was refused, or a transaction's end.
    [
      "KAFKA_STORAGE_ERROR",
      "NOT_LEADER_OR_FOLLOWER",
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
      "INVALID_TXN_STATE",
    ].includes(error.errorName)
  );
}
