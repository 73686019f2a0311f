import { assert, must } from "../base/assert.ts";
import { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Random } from "../base/random.ts";
import { TimeSlice } from "../base/time-slice.ts";
import { KafkaError } from "../protocol/errors.ts";
import { batchRecordCount } from "../protocol/records/batch.ts";
import { buildBatch } from "../protocol/records/batch-builder.ts";
import type { DirectoryLog } from "../storage/directory-health.ts";
import type { Log } from "../storage/log.ts";
import { readCommittedBatches } from "./committed-batches.ts";
import { epochStartBatch } from "./control-records.ts";
import type { Effect, EpochStart, QuorumState, RaftEvent } from "./core/events.ts";
import { LOG_BEGINNING, LogView } from "./core/log-view.ts";
import { RaftNode } from "./core/node.ts";
import { DEFAULT_TIMING } from "./core/state.ts";
import { type ReplicaKey, VoterSet } from "./core/voters.ts";
import type { DurablePoint } from "./durable-point.ts";
import { type MetadataLog, type MetadataLogPorts, openMetadataLog } from "./metadata-log.ts";
import { QuorumStateError, readQuorumState, writeQuorumState } from "./quorum-state.ts";
import type {
  CommittedBatch,
  LeaderAndEpoch,
  RaftAppend,
  RaftClient,
  RaftListener,
} from "./raft-client.ts";

export interface RaftDriverPorts extends MetadataLogPorts {
  readonly random: Random;
}

export interface RaftDriverOptions {
  /** The first of the log directories; it holds `__cluster_metadata-0`. */
  readonly logDirectory: string;
  readonly nodeId: number;
  readonly directoryId: Uuid;
  /** A call on the metadata log's disk has failed: told before anybody else (R9). */
  readonly onDiskFailure?: (error: DiskError) => void;
}

/** An append that its sync has not covered yet. */
interface Uncommitted {
  readonly batch: CommittedBatch;
  readonly resolve: () => void;
  readonly reject: (error: KafkaError) => void;
}

interface BatchPosition {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
}

/** More than any broker has in work at a time; beyond it clients are told to come back. */
const MAX_UNCOMMITTED = 10_000;
/** What one slice of the replay reads: some hundred records, about a millisecond. */
const REPLAY_SLICE_BYTES = 64 * 1024;

/**
 * Drives the core (core/node.ts) of a quorum of one over a log: it does what the core says, and tells it
 * what has become durable. The core elects this node at once; a lone voter has no timers and nobody to
 * talk to. All appends that wait at the same time share one sync.
 */
export class RaftDriver implements RaftClient {
  /** For whoever watches over the directory: it fails the log, and heals it. */
  readonly log: DirectoryLog & { readonly directory: string };
  readonly #log: Log;
  readonly #ports: RaftDriverPorts;
  readonly #self: ReplicaKey;
  readonly #durablePoint: DurablePoint;
  /** In order of their offsets; the first begins at or above the high watermark. */
  readonly #uncommitted: Uncommitted[] = [];
  #node: RaftNode;
  #highWatermark: number;
  /** The last write of quorum-state, and what follows from it. */
  #persisted: Promise<void> = Promise.resolve();
  /** The first record of the epoch that is led in. */
  #epochStart: RaftAppend | null = null;
  #listener: RaftListener | null = null;
  #failure: Error | null = null;
  #isClosed = false;

  private constructor(
    ports: RaftDriverPorts,
    { log, durablePoint }: MetadataLog,
    start: { readonly self: ReplicaKey; readonly quorumState: QuorumState | null },
  ) {
    this.#ports = ports;
    this.#log = log;
    this.log = {
      directory: log.directory,
      get failure() {
        return log.failure;
      },
      fail: (error) => log.fail(error),
      heal: async () => {
        // The log's recovery removes what is half written, so nobody may be writing.
        await durablePoint.stop();
        await this.#settle();
        await log.heal();
      },
    };
    this.#durablePoint = durablePoint;
    this.#self = start.self;
    this.#node = this.#newNode(start.quorumState);
    this.#highWatermark = log.logStartOffset;
    log.setListener({
      onAdvance: () => this.#onSynced(),
      onFailure: (error) => this.#fail(error),
      onHealed: () => void this.#goOn(),
    });
  }

  /**
   * Opens (or makes) the log and leads it in a new epoch. When it resolves, all that the log held and
   * the new epoch's first record are committed. Throws QuorumStateError, DiskError.
   */
  static async open(ports: RaftDriverPorts, options: RaftDriverOptions): Promise<RaftDriver> {
    const { disk, logger } = ports;
    const { nodeId, directoryId, onDiskFailure = () => undefined } = options;
    const opened = await openMetadataLog(ports, options.logDirectory, onDiskFailure);
    const { log, directory } = opened;
    try {
      const quorumState = await readQuorumState(disk, directory);
      checkOwnership(quorumState, options, directory);
      if (quorumState === null && log.logEndOffset > 0) {
        logger.warn({ directory }, "quorum-state is missing; its epoch is taken from the log");
      }
      const self = { nodeId, directoryId };
      const driver = new RaftDriver(ports, opened, { self, quorumState });
      await driver.#beginEpoch();
      return driver;
    } catch (error) {
      // Nothing of this attempt may reach the disk when the next one has begun.
      await opened.durablePoint.stop();
      await log.close();
      throw error;
    }
  }

  get leader(): LeaderAndEpoch {
    return { leaderId: this.#node.leaderId, leaderEpoch: this.#node.epoch };
  }

  get nextOffset(): number {
    return this.#log.logEndOffset;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  async start(listener: RaftListener): Promise<void> {
    assert(this.#listener === null, "the log is delivered once");
    const replayedOffset = await this.#deliver(listener, this.#log.logStartOffset);
    // Nothing is appended before the listener leads, so the replay has seen all there is.
    assert(replayedOffset === this.#highWatermark, "the replay ends where appends begin");
    this.#listener = listener;
    listener.onLeaderChange(this.leader);
    if (this.#failure !== null) listener.onFailure(this.#failure);
  }

  append(leaderEpoch: number, values: readonly Buffer[]): RaftAppend {
    if (this.#failure !== null) throw unavailable(this.#failure);
    if (this.#isClosed || leaderEpoch !== this.#node.leadingEpoch) {
      throw new KafkaError("NOT_CONTROLLER");
    }
    if (this.#uncommitted.length >= MAX_UNCOMMITTED) {
      throw new KafkaError(
        "THROTTLING_QUOTA_EXCEEDED",
        "too many changes of metadata wait for the disk",
      );
    }
    // The core takes an append for done: whatever refuses it must do so before.
    this.#log.refuseUnlessUsable();
    const timestampMs = this.#ports.clock.wallMs();
    const bytes = buildBatch({
      records: values.map((value) => ({ key: null, value })),
      leaderEpoch,
      timestampMs,
    });
    const append = this.#expect({ baseOffset: this.nextOffset, leaderEpoch, timestampMs }, values);
    this.#step({ kind: "propose", recordCount: values.length, bytes });
    return append;
  }

  /** Waits for what was appended; then nothing is taken any more. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#settle();
    await this.#log.close();
    this.#durablePoint.advance(this.#log.flushedEndOffset);
    await this.#durablePoint.stop();
    if (this.#log.failure === null) await this.#durablePoint.write();
    this.#rejectAll(new KafkaError("NOT_CONTROLLER", "the node is shutting down"));
  }

  /** As after a start of the process, which a log that was recovered in place is for its quorum. */
  #newNode(quorumState: QuorumState | null): RaftNode {
    const { logEndOffset: endOffset, flushedEndOffset } = this.#log;
    return new RaftNode({
      self: this.#self,
      timing: DEFAULT_TIMING,
      random: this.#ports.random,
      log: new LogView({
        start: LOG_BEGINNING,
        newestSnapshot: LOG_BEGINNING,
        endOffset,
        flushedEndOffset,
        epochs: epochsOf(this.#log),
        voterHistory: [{ endOffset: 0, voters: new VoterSet([{ ...this.#self, endpoints: [] }]) }],
      }),
      // A lone voter fetches nothing.
      votersIn: () => null,
      quorumState,
    });
  }

  /** Leads in a new epoch, durably; what lies below its first record is committed with it (K8). */
  async #beginEpoch(): Promise<void> {
    this.#step({ kind: "start" });
    await this.#persisted;
    await must(this.#epochStart, "a lone voter leads when its epoch is durable").committed;
  }

  #step(event: RaftEvent): void {
    for (const effect of this.#node.step(event, this.#ports.clock.nowMs())) this.#do(effect);
  }

  #do(effect: Effect): void {
    switch (effect.kind) {
      case "persist":
        this.#persisted = this.#persist(effect.state);
        break;
      case "appendEpochStart":
        this.#appendEpochStart(effect.epochStart);
        break;
      case "append":
        this.#write(effect.batch.bytes, effect.batch);
        break;
      case "commit":
        this.#commit(effect.highWatermark);
        break;
      case "leaderChange":
        // The listener is told when all that was committed before has been delivered.
        break;
      case "send":
      case "sendRecords":
      case "appendFetched":
      case "appendVoters":
      case "truncate":
      case "sendSnapshotChunk":
      case "writeSnapshot":
      case "resetLog":
        assert(false, "a lone voter has nobody to talk to", () => effect.kind);
    }
  }

  async #persist(state: QuorumState): Promise<void> {
    await writeQuorumState(this.#ports.disk, this.log.directory, state);
    this.#step({ kind: "persisted" });
  }

  /** No write of quorum-state is under way then. Whoever waits for it is told how it went. */
  async #settle(): Promise<void> {
    await this.#persisted.catch(ignore);
  }

  #appendEpochStart(epochStart: EpochStart): void {
    const { baseOffset, leaderEpoch, recordCount } = epochStart;
    const timestampMs = this.#ports.clock.wallMs();
    const bytes = epochStartBatch(this.#self.nodeId, epochStart, timestampMs);
    assert(batchRecordCount(bytes) === recordCount, "the core knows what an epoch begins with");
    this.#write(bytes, epochStart);
    const position = { baseOffset, leaderEpoch, timestampMs };
    this.#epochStart = this.#expect(position, [], recordCount);
  }

  #write(batch: Buffer, { baseOffset, leaderEpoch }: BatchPosition): void {
    const appended = this.#log.append(batch, { leaderEpoch, origin: "raft" });
    assert(appended.baseOffset === baseOffset, "core and log have the same end");
  }

  #expect(
    position: BatchPosition & { readonly timestampMs: number },
    records: readonly Buffer[],
    recordCount = records.length,
  ): RaftAppend {
    const { baseOffset } = position;
    const lastOffset = baseOffset + recordCount - 1;
    const committed = new Promise<void>((resolve, reject) => {
      this.#uncommitted.push({ batch: { ...position, lastOffset, records }, resolve, reject });
    });
    return { baseOffset, lastOffset, committed };
  }

  /** A sync has covered more of the log. */
  #onSynced(): void {
    const { flushedEndOffset: endOffset } = this.#log;
    this.#durablePoint.advance(endOffset);
    if (endOffset > this.#node.flushedEndOffset) this.#step({ kind: "flushed", endOffset });
  }

  #commit(highWatermark: number): void {
    assert(highWatermark >= this.#highWatermark, "what was committed stays so (K9)");
    this.#highWatermark = highWatermark;
    const count = this.#uncommitted.findIndex(({ batch }) => batch.lastOffset >= highWatermark);
    const done = this.#uncommitted.splice(0, count === -1 ? this.#uncommitted.length : count);
    // After a failure the listener is given everything from the log, in its order.
    if (this.#failure === null) this.#listener?.onCommitted(done.map(({ batch }) => batch));
    for (const { resolve } of done) resolve();
  }

  /** Gives the listener what the log holds from the offset to the high watermark, in slices. */
  async #deliver(listener: RaftListener, startOffset: number): Promise<number> {
    let offset = startOffset;
    const timeSlice = new TimeSlice(this.#ports.clock);
    while (offset < this.#highWatermark) {
      const slice = await this.#log.read({
        offset,
        endOffset: this.#highWatermark,
        maxBytes: REPLAY_SLICE_BYTES,
        minOneBatch: true,
      });
      assert(slice.nextOffset > offset, "a read below the high watermark brings a batch");
      listener.onCommitted(readCommittedBatches(slice.records));
      offset = slice.nextOffset;
      if (timeSlice.isOver) await timeSlice.next();
    }
    return offset;
  }

  /**
   * There is room again. What was refused may be in the log all the same, or be lost although somebody
   * has read it: so this node leads in a new epoch, and what is in the log then is committed with it and
   * delivered like anything else (K5), before this node decides anything on top of it.
   */
  async #goOn(): Promise<void> {
    const listener = this.#listener;
    if (listener === null || this.#isClosed) return;
    const failure = this.#failure;
    const startOffset = this.#highWatermark;
    const { nodeId: leaderId } = this.#self;
    this.#node = this.#newNode({ leaderEpoch: this.#node.epoch, leaderId, voted: null });
    try {
      await this.#beginEpoch();
      const endOffset = await this.#deliver(listener, startOffset);
      if (this.#failure !== failure) return;
      assert(endOffset === this.#log.logEndOffset, "nothing is appended before the listener leads");
      this.#failure = null;
      this.#ports.logger.info({ highWatermark: endOffset }, "the metadata log goes on");
      listener.onLeaderChange(this.leader);
    } catch (error) {
      if (error instanceof DiskError) this.#log.fail(error);
      // It has failed again, or is being closed: whoever waits was told.
      else if (!(error instanceof KafkaError)) throw error;
    }
  }

  /** Once for each time that the log fails: after one that has healed it may fail again. */
  #fail(error: Error): void {
    const isFirst = this.#failure === null;
    this.#failure = error;
    this.#rejectAll(unavailable(error));
    if (!isFirst) return;
    this.#ports.logger.error(
      { error },
      "the metadata log has failed: nothing is decided until it heals",
    );
    this.#listener?.onFailure(error);
  }

  #rejectAll(error: KafkaError): void {
    for (const { reject } of this.#uncommitted.splice(0)) reject(error);
  }
}

/** Another node's files would make this one lead in epochs that are not its own. */
function checkOwnership(
  state: QuorumState | null,
  { nodeId }: RaftDriverOptions,
  directory: string,
): void {
  const otherId = state?.leaderId ?? state?.voted?.nodeId ?? nodeId;
  if (otherId === nodeId) return;
  throw new QuorumStateError(
    `${directory}/quorum-state is of a quorum that node ${otherId} led, and this is node ${nodeId}: ` +
      "set node.id to the node that the directory belongs to, or use an empty directory",
  );
}

function unavailable(cause: Error): KafkaError {
  return new KafkaError("KAFKA_STORAGE_ERROR", "the metadata log has failed", { cause });
}

/** Which epoch wrote what, newest last. */
function epochsOf(log: Log): { epoch: number; startOffset: number }[] {
  const epochs: { epoch: number; startOffset: number }[] = [];
  let epoch = log.latestLeaderEpoch;
  while (epoch > 0) {
    // Where the one before it ends.
    const { leaderEpoch, endOffset: startOffset } = log.endOffsetForEpoch(epoch - 1);
    epochs.unshift({ epoch, startOffset });
    if (startOffset <= log.logStartOffset) break;
    epoch = leaderEpoch;
  }
  return epochs;
}

function ignore(): void {
  // See above.
}
