import { assert, must } from "../base/assert.ts";
import { afterForPeer, type Timer } from "../base/clock.ts";
import { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Random } from "../base/random.ts";
import { KafkaError } from "../protocol/errors.ts";
import { batchRecordCount } from "../protocol/records/batch.ts";
import { buildBatch } from "../protocol/records/batch-builder.ts";
import type { DirectoryLog } from "../storage/directory-health.ts";
import type { Log } from "../storage/log.ts";
import { epochStartBatch } from "./control-records.ts";
import type { Effect, EpochStart, QuorumState, RaftEvent, RecordsPosition } from "./core/events.ts";
import { LOG_BEGINNING, LogView } from "./core/log-view.ts";
import { RaftNode } from "./core/node.ts";
import { DEFAULT_TIMING, type RaftTiming } from "./core/state.ts";
import { isSameReplica, type ReplicaKey, VoterSet } from "./core/voters.ts";
import { Delivery, logFailed } from "./delivery.ts";
import type { DurablePoint } from "./durable-point.ts";
import { type MetadataLog, type MetadataLogPorts, openMetadataLog } from "./metadata-log.ts";
import { checkQuorumState, readQuorumState, writeQuorumState } from "./quorum-state.ts";
import type { LeaderAndEpoch, RaftAppend, RaftClient, RaftListener } from "./raft-client.ts";
import { epochsOf } from "./recovered-log.ts";
import { fetchedDamage, ReplicaLog } from "./replica-log.ts";
import type { RaftMessage, RaftTransport } from "./transport.ts";

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
  /** The rest of the quorum; without it this node is all of it. */
  readonly peers?: RaftPeers;
}

export interface RaftPeers {
  /** The driver's from now on: it closes it. */
  readonly transport: RaftTransport;
  readonly clusterId: string;
  /** Who votes as far as the log does not say (formation.ts). This node may be none of them. */
  readonly voters: readonly ReplicaKey[];
  readonly timing: RaftTiming;
  /** controller.quorum.fetch.max.bytes: one batch at least, whatever its size. */
  readonly fetchMaxBytes: number;
}

/** More than any broker has in work at a time; beyond it clients are told to come back. */
const MAX_UNCOMMITTED = 10_000;

/**
 * Drives the core (core/node.ts) over a log, a transport and a clock: it does what the core says, in
 * order, and tells it what has become of it. What is committed goes to the listener by `Delivery`.
 * Without peers the core elects this node at once: a lone voter has no timers and nobody to talk to.
 */
export class RaftDriver implements RaftClient {
  /** For whoever watches over the directory: it fails the log, and heals it. */
  readonly log: DirectoryLog & { readonly directory: string };
  readonly #log: Log;
  readonly #replicaLog: ReplicaLog;
  readonly #delivery: Delivery;
  readonly #ports: RaftDriverPorts;
  readonly #self: ReplicaKey;
  readonly #peers: RaftPeers | null;
  readonly #durablePoint: DurablePoint;
  #node: RaftNode;
  /** What has happened since the step that goes on. */
  readonly #events: RaftEvent[] = [];
  #isStepping = false;
  #tick: { readonly deadlineMs: number; readonly timer: Timer } | null = null;
  /** The last write of quorum-state, and what follows from it. */
  #persisted: Promise<void> = Promise.resolve();
  /** The first record of the epoch that is led in. */
  #epochStart: RaftAppend | null = null;
  /** The epoch in which the listener's appends are taken; null: none are. */
  #ledEpoch: number | null = null;
  /** Fetches whose records are not written yet, by who has sent them. */
  readonly #unanswered = new Map<number, RecordsPosition>();
  #failure: Error | null = null;
  /** Nothing is taken from the listener any more. */
  #isClosed = false;
  /** Nothing is done at all any more. */
  #isStopped = false;

  private constructor(
    ports: RaftDriverPorts,
    { log, durablePoint }: MetadataLog,
    start: {
      readonly self: ReplicaKey;
      readonly peers: RaftPeers | null;
      readonly quorumState: QuorumState | null;
    },
  ) {
    this.#ports = ports;
    this.#log = log;
    this.#durablePoint = durablePoint;
    this.#self = start.self;
    this.#peers = start.peers;
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
    this.#replicaLog = new ReplicaLog(log, () => this.#onLogAdvance());
    this.#delivery = new Delivery(
      {
        clock: ports.clock,
        read: (options) => log.read(options),
        onUnreadable: (cause) => log.fail(new DiskError("EIO", log.directory, "read", { cause })),
      },
      log.logStartOffset,
    );
    this.#node = this.#newNode(start.quorumState);
    log.setListener({
      onAdvance: () => this.#onLogAdvance(),
      onFailure: (error) => this.#fail(error),
      onHealed: () => void this.#goOn(),
    });
    this.#peers?.transport.setListener({
      onMessage: (from, message) => this.#onMessage(from, message),
      onUnreachable: (nodeId) => this.#step({ kind: "unreachable", nodeId }),
    });
  }

  /**
   * Opens (or makes) the log. A lone voter leads it in a new epoch: when it resolves then, all that the
   * log held and the new epoch's first record are committed. Otherwise this node takes part in the
   * quorum from now on. Throws QuorumStateError, DirectoryError, DiskError.
   */
  static async open(ports: RaftDriverPorts, options: RaftDriverOptions): Promise<RaftDriver> {
    const { nodeId, directoryId, logDirectory, onDiskFailure = ignore, peers = null } = options;
    const self = { nodeId, directoryId };
    const isLone = peers === null;
    const opened = await openMetadataLog(ports, { logDirectory, isLone, onDiskFailure });
    const { log, directory, durablePoint } = opened;
    try {
      const quorumState = await readQuorumState(ports.disk, directory);
      checkQuorumState(quorumState, { ...opened, self, isLone, logger: ports.logger });
      const driver = new RaftDriver(ports, opened, { self, peers, quorumState });
      driver.#step({ kind: "start" });
      if (isLone) await driver.#leading();
      return driver;
    } catch (error) {
      // Nothing of this attempt may reach the disk when the next one has begun.
      await durablePoint.stop();
      await log.close();
      throw error;
    }
  }

  get leader(): LeaderAndEpoch {
    return { leaderId: this.#node.leaderId, leaderEpoch: this.#node.epoch };
  }

  get nextOffset(): number {
    return this.#node.endOffset;
  }

  get highWatermark(): number {
    return this.#delivery.highWatermark;
  }

  async start(listener: RaftListener): Promise<void> {
    await this.#delivery.start(listener);
  }

  append(leaderEpoch: number, values: readonly Buffer[]): RaftAppend {
    if (this.#failure !== null) throw logFailed(this.#failure);
    if (this.#isClosed || leaderEpoch !== this.#ledEpoch) throw new KafkaError("NOT_CONTROLLER");
    if (this.#delivery.uncommittedCount >= MAX_UNCOMMITTED) {
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
    const baseOffset = this.nextOffset;
    const lastOffset = baseOffset + values.length - 1;
    const append = this.#delivery.expect({
      ...{ baseOffset, lastOffset, leaderEpoch, timestampMs },
      records: values,
    });
    this.#step({ kind: "propose", recordCount: values.length, bytes });
    return append;
  }

  /**
   * A leader among others resigns; a lone one waits for what was appended. Then nothing is taken any
   * more. Idempotent.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#hasOthers) {
      this.#step({ kind: "resign" });
      this.#stop();
    }
    await this.#settle();
    await this.#log.close();
    this.#stop();
    this.#durablePoint.advance(this.#log.flushedEndOffset);
    await this.#durablePoint.stop();
    if (this.#log.failure === null) await this.#durablePoint.write();
    this.#delivery.close();
    await this.#peers?.transport.close();
  }

  /** The core goes no further. */
  #stop(): void {
    this.#isStopped = true;
    this.#armTick();
  }

  get #hasOthers(): boolean {
    return (
      this.#peers !== null && this.#peers.voters.some((voter) => !isSameReplica(voter, this.#self))
    );
  }

  /** As after a start of the process, which a log that was recovered in place is for its quorum. */
  #newNode(quorumState: QuorumState | null): RaftNode {
    const { logEndOffset: endOffset, flushedEndOffset } = this.#log;
    return new RaftNode({
      self: this.#self,
      timing: this.#peers?.timing ?? DEFAULT_TIMING,
      random: this.#ports.random,
      log: new LogView({
        start: LOG_BEGINNING,
        newestSnapshot: LOG_BEGINNING,
        endOffset,
        flushedEndOffset,
        epochs: epochsOf(this.#log),
        voterHistory: [
          {
            endOffset: 0,
            voters: new VoterSet(
              (this.#peers?.voters ?? [this.#self]).map((key) => ({ ...key, endpoints: [] })),
            ),
          },
        ],
      }),
      votersIn: () => null,
      quorumState,
    });
  }

  /** Of a lone voter. What lies below its first record is committed with it (K8). */
  async #leading(): Promise<void> {
    await this.#persisted;
    await must(this.#epochStart, "a lone voter leads when its epoch is durable").committed;
  }

  #onMessage(from: ReplicaKey, message: RaftMessage): void {
    switch (message.kind) {
      case "askPromise":
      case "askFormed":
        this.#tellFormed(from);
        break;
      case "promised":
      case "formed":
        // Late answers: this node is past its formation.
        break;
      case "fetchAnswer": {
        const damage = fetchedDamage(message);
        if (damage === null) this.#step({ kind: "message", from, message });
        else this.#ports.logger.warn({ from, damage }, "records of the metadata log were damaged");
        break;
      }
      default:
        this.#step({ kind: "message", from, message });
    }
  }

  /** This node's cluster is formed: whoever asks has to join it (R14). */
  #tellFormed(to: ReplicaKey): void {
    const { transport, clusterId, voters } = must(this.#peers, "only peers send messages");
    transport.send(to.nodeId, { kind: "formed", clusterId, voters });
  }

  /** The events are taken one after the other; what the listener does follows when all is done. */
  #step(event: RaftEvent): void {
    this.#events.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      if (this.#isHalted && next.kind !== "resign") continue;
      for (const effect of this.#node.step(next, this.#ports.clock.nowMs())) this.#do(effect);
    }
    this.#isStepping = false;
    this.#noteLeadership();
    this.#armTick();
    this.#delivery.run();
  }

  /** Nothing that the core says can be made durable any more, so it must not go on. */
  get #isHalted(): boolean {
    return this.#failure !== null || this.#isStopped;
  }

  #do(effect: Effect): void {
    switch (effect.kind) {
      case "send":
        must(this.#peers, "a lone voter has nobody to talk to").transport.send(
          effect.to,
          effect.message,
        );
        break;
      case "commit":
        this.#delivery.commit(effect.highWatermark);
        break;
      case "leaderChange":
        this.#onLeaderChange(effect);
        break;
      default:
        // A disk that has failed in the middle of a step takes nothing any more.
        if (this.#failure === null) this.#doOnDisk(effect);
    }
  }

  #doOnDisk(effect: Exclude<Effect, { kind: "send" | "commit" | "leaderChange" }>): void {
    switch (effect.kind) {
      case "persist":
        this.#persisted = this.#persist(effect.state);
        this.#persisted.catch(ignore);
        break;
      case "appendEpochStart":
        this.#appendEpochStart(effect.epochStart);
        break;
      case "append":
        this.#replicaLog.append(effect.batch.bytes, effect.batch);
        break;
      case "appendFetched":
        for (const batch of effect.batches) this.#replicaLog.append(batch.bytes, batch);
        break;
      case "truncate":
        this.#replicaLog.truncate(effect.endOffset);
        break;
      case "sendRecords":
        void this.#sendRecords(effect.to, effect.position);
        break;
    }
  }

  async #persist(state: QuorumState): Promise<void> {
    try {
      await writeQuorumState(this.#ports.disk, this.log.directory, state);
    } catch (error) {
      if (error instanceof DiskError) this.#log.fail(error);
      throw error;
    }
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
    const lastOffset = baseOffset + recordCount - 1;
    const batch = { baseOffset, lastOffset, leaderEpoch, timestampMs, records: [] };
    this.#epochStart = this.#delivery.expect(batch);
    this.#epochStart.committed.catch(ignore);
    this.#replicaLog.append(bytes, epochStart);
    // It decides on nothing before it has been given all that may have been committed before (K5).
    const { nodeId: leaderId } = this.#self;
    this.#delivery.leaderChange({ leaderId, leaderEpoch }, lastOffset + 1);
  }

  #onLeaderChange({ leaderId, leaderEpoch }: LeaderAndEpoch): void {
    // Of its own leadership it hears when the epoch has begun.
    if (leaderId === this.#self.nodeId) return;
    this.#delivery.leaderChange({ leaderId, leaderEpoch }, this.highWatermark);
  }

  #noteLeadership(): void {
    const { leadingEpoch } = this.#node;
    if (leadingEpoch === this.#ledEpoch) return;
    if (this.#ledEpoch !== null) this.#delivery.leadershipLost();
    this.#ledEpoch = leadingEpoch;
  }

  /** With what is written by now: a leader's answers do not wait for its own sync. */
  async #sendRecords(to: number, position: RecordsPosition): Promise<void> {
    const { transport, fetchMaxBytes } = must(this.#peers, "only peers fetch");
    const node = this.#node;
    const { fetchOffset } = position;
    try {
      const batches = await this.#replicaLog.read(fetchOffset, fetchMaxBytes);
      if (node !== this.#node || this.#isHalted || node.leadingEpoch !== position.epoch) return;
      if (batches.length === 0 && fetchOffset < node.endOffset) {
        this.#unanswered.set(to, position);
        return;
      }
      const outcome = { kind: "records", batches } as const;
      transport.send(to, { kind: "fetchAnswer", ...position, outcome });
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      this.#onUnreadable(error);
    }
  }

  /** Another replica may have it whole: with this one's log nobody else is to be led (R10). */
  #onUnreadable(error: KafkaError): void {
    if (error.errorName !== "CORRUPT_MESSAGE") return;
    this.#log.fail(new DiskError("EIO", this.#log.directory, "read", { cause: error }));
  }

  /** More of the log is written or synced. */
  #onLogAdvance(): void {
    // In the middle of a cut its marks are not yet those of what is left.
    if (!this.#replicaLog.isSettled) return;
    const { flushedEndOffset: endOffset } = this.#log;
    this.#durablePoint.advance(endOffset);
    const unanswered = [...this.#unanswered];
    this.#unanswered.clear();
    for (const [to, position] of unanswered) void this.#sendRecords(to, position);
    if (endOffset > this.#node.flushedEndOffset) this.#step({ kind: "flushed", endOffset });
    else if (!this.#isStepping) this.#delivery.run();
  }

  #armTick(): void {
    const deadlineMs = this.#isHalted ? Infinity : this.#node.deadlineMs;
    if (this.#tick?.deadlineMs === deadlineMs) return;
    this.#tick?.timer.cancel();
    this.#tick = null;
    if (deadlineMs === Infinity) return;
    const { clock } = this.#ports;
    const delayMs = Math.max(0, deadlineMs - clock.nowMs());
    const timer = afterForPeer(clock, delayMs, () => {
      this.#tick = null;
      this.#step({ kind: "tick" });
    });
    this.#tick = { deadlineMs, timer };
  }

  /**
   * There is room again. What was refused may be in the log all the same, or be lost although somebody
   * has read it: so this node begins anew, as after a start, and a lone one leads in a new epoch. What is
   * committed then is delivered like anything else (K5), before this node decides anything on top of it.
   */
  async #goOn(): Promise<void> {
    try {
      const quorumState = await readQuorumState(this.#ports.disk, this.log.directory);
      if (this.#isClosed || this.#log.failure !== null) return;
      this.#failure = null;
      this.#delivery.resume();
      this.#node = this.#newNode(quorumState);
      this.#ports.logger.info({ highWatermark: this.highWatermark }, "the metadata log goes on");
      this.#step({ kind: "start" });
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#log.fail(error);
    }
  }

  #fail(error: Error): void {
    const isFirst = this.#failure === null;
    this.#failure = error;
    this.#unanswered.clear();
    this.#delivery.fail(error);
    if (!isFirst) return;
    this.#ports.logger.error(
      { error },
      "the metadata log has failed: nothing is decided until it heals",
    );
    // Others need not wait until its silence is noticed (R13).
    if (this.#hasOthers) this.#step({ kind: "resign" });
  }
}

function ignore(): void {
  // See above.
}
