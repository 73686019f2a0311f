import { assert } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { TimeSlice } from "../base/time-slice.ts";
import { KafkaError } from "../protocol/errors.ts";
import { batchNextOffset } from "../protocol/records/batch.ts";
import { buildBatch } from "../protocol/records/batch-builder.ts";
import type { DirectoryLog } from "../storage/directory-health.ts";
import type { Log } from "../storage/log.ts";
import { readCommittedBatches } from "./committed-batches.ts";
import { epochStartBatch } from "./control-records.ts";
import type { DurablePoint } from "./durable-point.ts";
import { type MetadataLog, type MetadataLogPorts, openMetadataLog } from "./metadata-log.ts";
import {
  type QuorumState,
  QuorumStateError,
  readQuorumState,
  writeQuorumState,
} from "./quorum-state.ts";
import type {
  CommittedBatch,
  LeaderAndEpoch,
  RaftAppend,
  RaftClient,
  RaftListener,
} from "./raft-client.ts";

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

/** More than any broker has in work at a time; beyond it clients are told to come back. */
const MAX_UNCOMMITTED = 10_000;
/** What one slice of the replay reads: some hundred records, about a millisecond. */
const REPLAY_SLICE_BYTES = 64 * 1024;

/**
 * The metadata quorum of one node: it elects itself at start and commits what its own disk has synced.
 * The epoch is durable before anything is appended in it (K6, K7); the start-of-epoch record is synced
 * before an older one counts (K8); nothing counts before its sync (R12, K9). All appends that wait at
 * the same time share one sync.
 */
export class RaftDriver implements RaftClient {
  readonly leader: LeaderAndEpoch;
  /** For whoever watches over the directory: it fails the log, and heals it. */
  readonly log: DirectoryLog & { readonly directory: string };
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #durablePoint: DurablePoint;
  /** In order of their offsets; the first begins at or above the high watermark. */
  readonly #uncommitted: Uncommitted[] = [];
  #highWatermark: number;
  #listener: RaftListener | null = null;
  #failure: Error | null = null;
  #isClosed = false;

  private constructor(
    dependencies: MetadataLogPorts,
    { log, durablePoint }: MetadataLog,
    leader: { readonly leaderId: number; readonly leaderEpoch: number },
  ) {
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
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
        await log.heal();
      },
    };
    this.#durablePoint = durablePoint;
    this.leader = leader;
    this.#highWatermark = log.logStartOffset;
    log.setListener({
      onAdvance: () => this.#commit(),
      onFailure: (error) => this.#fail(error),
      onHealed: () => void this.#goOn(),
    });
  }

  /**
   * Opens (or makes) the log and leads it in a new epoch. When it resolves, all that the log held and
   * the new epoch's first record are committed. Throws QuorumStateError, DiskError.
   */
  static async open(
    dependencies: MetadataLogPorts,
    options: RaftDriverOptions,
  ): Promise<RaftDriver> {
    const { disk, logger } = dependencies;
    const { onDiskFailure = () => undefined } = options;
    const opened = await openMetadataLog(dependencies, options.logDirectory, onDiskFailure);
    const { log, directory } = opened;
    try {
      const state = await readQuorumState(disk, directory);
      checkOwnership(state, options, directory);
      if (state === null && log.logEndOffset > 0) {
        logger.warn({ directory }, "quorum-state is missing; its epoch is taken from the log");
      }
      const leaderEpoch = Math.max(state?.leaderEpoch ?? 0, log.latestLeaderEpoch, 0) + 1;
      // Before anything is appended in it: after a crash the epoch must not be led in twice (K7).
      await writeQuorumState(disk, directory, {
        leaderEpoch,
        leaderId: options.nodeId,
        voted: null,
      });
      const driver = new RaftDriver(dependencies, opened, {
        leaderId: options.nodeId,
        leaderEpoch,
      });
      await driver.#beginEpoch(options);
      return driver;
    } catch (error) {
      // Nothing of this attempt may reach the disk when the next one has begun.
      await opened.durablePoint.stop();
      await log.close();
      throw error;
    }
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
    if (this.#isClosed || leaderEpoch !== this.leader.leaderEpoch) {
      throw new KafkaError("NOT_CONTROLLER");
    }
    if (this.#uncommitted.length >= MAX_UNCOMMITTED) {
      throw new KafkaError(
        "THROTTLING_QUOTA_EXCEEDED",
        "too many changes of metadata wait for the disk",
      );
    }
    const timestampMs = this.#clock.wallMs();
    const batch = buildBatch({
      records: values.map((value) => ({ key: null, value })),
      leaderEpoch,
      timestampMs,
    });
    return this.#append(batch, timestampMs, values);
  }

  /** Waits for what was appended; then nothing is taken any more. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#log.close();
    this.#durablePoint.advance(this.#log.flushedEndOffset);
    await this.#durablePoint.stop();
    if (this.#log.failure === null) await this.#durablePoint.write();
    this.#rejectAll(new KafkaError("NOT_CONTROLLER", "the node is shutting down"));
  }

  async #beginEpoch(options: RaftDriverOptions): Promise<void> {
    const timestampMs = this.#clock.wallMs();
    const self = { nodeId: options.nodeId, directoryId: options.directoryId };
    const batch = epochStartBatch({
      leader: self,
      voters: [self],
      isFirst: this.#log.logEndOffset === 0,
      leaderEpoch: this.leader.leaderEpoch,
      timestampMs,
    });
    // Its sync makes all that lies before it durable, too (K8).
    await this.#append(batch, timestampMs, []).committed;
  }

  #append(batch: Buffer, timestampMs: number, records: readonly Buffer[]): RaftAppend {
    const { leaderEpoch } = this.leader;
    const { baseOffset } = this.#log.append(batch, { leaderEpoch, origin: "raft" });
    const lastOffset = batchNextOffset(batch) - 1;
    const committed = new Promise<void>((resolve, reject) => {
      this.#uncommitted.push({
        batch: { baseOffset, lastOffset, leaderEpoch, timestampMs, records },
        resolve,
        reject,
      });
    });
    return { baseOffset, lastOffset, committed };
  }

  /** A sync has covered more of the log: in a quorum of one that is a commit (K9). */
  #commit(): void {
    const syncedEndOffset = this.#log.flushedEndOffset;
    this.#durablePoint.advance(syncedEndOffset);
    const count = this.#uncommitted.findIndex(({ batch }) => batch.lastOffset >= syncedEndOffset);
    const done = this.#uncommitted.splice(0, count === -1 ? this.#uncommitted.length : count);
    const last = done.at(-1);
    if (last === undefined) return;
    this.#highWatermark = last.batch.lastOffset + 1;
    this.#listener?.onCommitted(done.map(({ batch }) => batch));
    for (const { resolve } of done) resolve();
  }

  /** Gives the listener what the log holds from the offset to the high watermark, in slices. */
  async #deliver(listener: RaftListener, startOffset: number): Promise<number> {
    let offset = startOffset;
    const timeSlice = new TimeSlice(this.#clock);
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
   * There is room again. What was refused may be in the log all the same: it is durable now, so it is
   * committed and delivered like anything else (K5), before this node decides anything on top of it.
   */
  async #goOn(): Promise<void> {
    const listener = this.#listener;
    if (listener === null || this.#isClosed) return;
    const failure = this.#failure;
    const startOffset = this.#highWatermark;
    try {
      await this.#log.flush();
      this.#highWatermark = this.#log.flushedEndOffset;
      const endOffset = await this.#deliver(listener, startOffset);
      if (this.#failure !== failure) return;
      assert(endOffset === this.#log.logEndOffset, "nothing is appended before the listener leads");
      this.#failure = null;
      this.#logger.info({ highWatermark: endOffset }, "the metadata log goes on");
      listener.onLeaderChange(this.leader);
    } catch (error) {
      // It has failed again, or is being closed: whoever waits was told.
      if (!(error instanceof KafkaError)) throw error;
    }
  }

  /** Once for each time that the log fails: after one that has healed it may fail again. */
  #fail(error: Error): void {
    const isFirst = this.#failure === null;
    this.#failure = error;
    this.#rejectAll(unavailable(error));
    if (!isFirst) return;
    this.#logger.error({ error }, "the metadata log has failed: nothing is decided until it heals");
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
