import { must } from "../base/assert.ts";
import { afterForPeer, type Timer } from "../base/clock.ts";
import { DiskError } from "../base/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import { buildBatch } from "../protocol/records/batch-builder.ts";
import type { DirectoryLog } from "../storage/directory-health.ts";
import type { Log } from "../storage/log.ts";
import { votersIn } from "./control-records.ts";
import type { Effect, EpochStart, QuorumState, RaftEvent } from "./core/events.ts";
import { LogView, type RecoveredLog } from "./core/log-view.ts";
import { RaftNode } from "./core/node.ts";
import { DEFAULT_TIMING } from "./core/state.ts";
import type { ReplicaKey, Voter, VoterChange } from "./core/voters.ts";
import { Delivery } from "./delivery.ts";
import { DiskEffects } from "./disk-effects.ts";
import type { RaftDriverOptions, RaftDriverPorts, RaftPeers } from "./driver-options.ts";
import { type MetadataLog, openMetadataLog } from "./metadata-log.ts";
import { checkQuorumState, readQuorumState } from "./quorum-state.ts";
import { appendRefusal, voterChangeError } from "./refusals.ts";
import type {
  LeaderAndEpoch,
  QuorumDescription,
  RaftAppend,
  RaftClient,
  RaftListener,
} from "./raft-client.ts";
import { recoveredLog, recoveredLoneLog } from "./recovered-log.ts";
import { fetchedDamage } from "./replica-log.ts";
import { DEFAULT_SNAPSHOT_SETTINGS } from "./snapshot-keeper.ts";
import type { RaftMessage } from "./transport.ts";

interface Start extends MetadataLog {
  readonly self: ReplicaKey;
  readonly view: RecoveredLog;
  readonly quorumState: QuorumState | null;
}

/**
 * Drives the core (core/node.ts) over a log, a transport and a clock: it does what the core says, in
 * order, and tells it what has become of it. What is committed goes to the listener by `Delivery`.
 * Without peers the core elects this node at once: a lone voter has no timers and nobody to talk to.
 */
export class RaftDriver implements RaftClient {
  /** For whoever watches over the directory: it fails the log, and heals it. */
  readonly log: DirectoryLog & { readonly directory: string };
  readonly #log: Log;
  readonly #found: MetadataLog;
  readonly #effects: DiskEffects;
  readonly #delivery: Delivery;
  readonly #ports: RaftDriverPorts;
  readonly #self: ReplicaKey;
  readonly #peers: RaftPeers | null;
  #node: RaftNode;
  /** What has happened since the step that goes on. */
  readonly #events: RaftEvent[] = [];
  #isStepping = false;
  #tick: { readonly deadlineMs: number; readonly timer: Timer } | null = null;
  /** The first record of the epoch that is led in. */
  #epochStart: RaftAppend | null = null;
  /** The epoch in which the listener's appends are taken; null: none are. */
  #ledEpoch: number | null = null;
  #failure: Error | null = null;
  /** Nothing is taken from the listener any more. */
  #isClosed = false;
  /** Nothing is done at all any more. */
  #isStopped = false;

  private constructor(ports: RaftDriverPorts, options: RaftDriverOptions, start: Start) {
    const { log, snapshots } = start;
    this.#ports = ports;
    this.#log = log;
    this.#found = start;
    this.#self = start.self;
    this.#peers = options.peers ?? null;
    this.log = {
      directory: log.directory,
      get failure() {
        return log.failure;
      },
      fail: (error) => log.fail(error),
      heal: () => this.#heal(),
    };
    this.#delivery = new Delivery({
      clock: ports.clock,
      read: (given) => log.read(given),
      readSnapshot: (id, visit) => snapshots.read(id, visit),
      onDelivered: (sizeBytes) => this.#effects.snapshots.onDelivered(sizeBytes),
      onUnreadable: (error) => this.#onUnreadable(error),
    });
    this.#effects = new DiskEffects(
      { ...ports, ...start },
      {
        self: this.#self,
        peers: this.#peers,
        snapshots: options.snapshots ?? DEFAULT_SNAPSHOT_SETTINGS,
      },
      {
        node: () => (this.#isHalted ? null : this.#node),
        step: (event) => this.#step(event),
        onEpochStart: (epochStart, timestampMs) => this.#onEpochStart(epochStart, timestampMs),
        onLogBegin: (id) => this.#delivery.beginAt(id),
        onLogAdvance: () => this.#onLogAdvance(),
        onUnreadable: (error) => this.#onUnreadable(error),
      },
    );
    this.#node = this.#newNode(start);
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
    const { nodeId, directoryId, logDirectory, onDiskFailure = ignore, peers } = options;
    const self = { nodeId, directoryId };
    const isLone = peers === undefined;
    const found = await openMetadataLog(ports, { logDirectory, isLone, onDiskFailure });
    try {
      const quorumState = await readQuorumState(ports.disk, found.directory);
      const isEmpty = found.log.logEndOffset === 0;
      checkQuorumState(quorumState, { ...found, isEmpty, self, isLone, logger: ports.logger });
      const view = await viewOf(found, ports, { self, peers });
      const driver = new RaftDriver(ports, options, { ...found, self, view, quorumState });
      driver.#step({ kind: "start" });
      if (isLone) await driver.#leading();
      return driver;
    } catch (error) {
      // Nothing of this attempt may reach the disk when the next one has begun.
      await found.durablePoint.stop();
      await found.log.close();
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

  get quorum(): QuorumDescription {
    const { endOffset, flushedEndOffset, replicas, voters } = this.#node;
    return {
      ...this.leader,
      ...{ endOffset, flushedEndOffset, highWatermark: this.highWatermark },
      voters: voters.all,
      replicas: replicas.map(({ key, ...progress }) => ({ ...key, ...progress })),
    };
  }

  async start(listener: RaftListener): Promise<void> {
    await this.#delivery.start(listener);
    this.#effects.snapshots.start(() => listener.onSnapshotDue?.());
  }

  append(leaderEpoch: number, values: readonly Buffer[]): RaftAppend {
    this.#refuseUnlessLeading(leaderEpoch);
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

  changeVoters(change: VoterChange): RaftAppend {
    this.#refuseUnlessLeading(this.#ledEpoch);
    const refusal = this.#node.voterChangeRefusal(change, this.#ports.clock.nowMs());
    if (refusal !== null) throw voterChangeError(refusal);
    const leaderEpoch = must(this.#ledEpoch, "it leads");
    const timestampMs = this.#ports.clock.wallMs();
    const offset = this.nextOffset;
    const append = this.#delivery.expect({
      ...{ baseOffset: offset, lastOffset: offset, leaderEpoch, timestampMs },
      records: [],
    });
    this.#step({ kind: "proposeVoters", change });
    return append;
  }

  createSnapshot(
    endOffset: number,
    timestampMs: number,
    records: Iterable<Buffer>,
  ): Promise<boolean> {
    return this.#effects.snapshots.take(endOffset, timestampMs, records);
  }

  /**
   * A leader among others resigns; a lone one waits for what was appended. Then nothing is taken any
   * more. Idempotent.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#effects.snapshots.close();
    if (this.#hasOthers) {
      this.#step({ kind: "resign" });
      this.#stop();
    }
    await this.#effects.settle();
    await this.#log.close();
    this.#stop();
    const { durablePoint } = this.#found;
    durablePoint.advance(this.#log.flushedEndOffset);
    await durablePoint.stop();
    if (this.#log.failure === null) await durablePoint.write();
    this.#delivery.close();
    await this.#peers?.transport.close();
  }

  /** The core goes no further. */
  #stop(): void {
    this.#isStopped = true;
    this.#armTick();
  }

  get #hasOthers(): boolean {
    return !this.#node.voters.isOnly(this.#self);
  }

  /** The core takes an append for done: whatever refuses it must do so before. */
  #refuseUnlessLeading(leaderEpoch: number | null): void {
    const isLeading = !this.#isClosed && leaderEpoch !== null && leaderEpoch === this.#ledEpoch;
    const { uncommittedCount } = this.#delivery;
    const refusal = appendRefusal({ failure: this.#failure, isLeading, uncommittedCount });
    if (refusal !== null) throw refusal;
    this.#log.refuseUnlessUsable();
  }

  /** As after a start of the process, which a log that was recovered in place is for its quorum. */
  #newNode({ view, quorumState }: Pick<Start, "view" | "quorumState">): RaftNode {
    this.#delivery.beginAt(view.newestSnapshot);
    this.#delivery.commit(view.newestSnapshot.endOffset);
    return new RaftNode({
      self: this.#self,
      timing: this.#peers?.timing ?? DEFAULT_TIMING,
      random: this.#ports.random,
      log: new LogView(view),
      votersIn,
      quorumState,
    });
  }

  /** Of a lone voter. What lies below its first record is committed with it (K8). */
  async #leading(): Promise<void> {
    await this.#effects.persisted;
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
    const { transport, clusterId } = must(this.#peers, "only peers send messages");
    transport.send(to.nodeId, { kind: "formed", clusterId, voters: this.#node.voters.all });
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
      case "send": {
        const { transport } = must(this.#peers, "a lone voter has nobody to talk to");
        transport.send(effect.to, effect.message);
        break;
      }
      case "commit":
        this.#delivery.commit(effect.highWatermark);
        break;
      case "leaderChange":
        this.#onLeaderChange(effect);
        break;
      default:
        // A disk that has failed in the middle of a step takes nothing any more.
        if (this.#failure === null) this.#effects.do(effect);
    }
  }

  /** The first record of an epoch that this node leads is being appended. */
  #onEpochStart({ baseOffset, leaderEpoch, recordCount }: EpochStart, timestampMs: number): void {
    const lastOffset = baseOffset + recordCount - 1;
    const batch = { baseOffset, lastOffset, leaderEpoch, timestampMs, records: [] };
    this.#epochStart = this.#delivery.expect(batch);
    this.#epochStart.committed.catch(ignore);
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

  /** Another replica may have it whole: with this one's log nobody is to be led (R10). */
  #onUnreadable(cause: Error): void {
    const error = new DiskError("EIO", this.#log.directory, "read", { cause });
    this.#log.fail(cause instanceof DiskError ? cause : error);
  }

  /** More of the log is written or synced. */
  #onLogAdvance(): void {
    // In the middle of a cut its marks are not yet those of what is left.
    if (!this.#effects.isLogSettled || this.#log.failure !== null) return;
    const { flushedEndOffset: endOffset } = this.#log;
    this.#found.durablePoint.advance(endOffset);
    this.#effects.answers?.retry();
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
    const timer = afterForPeer(clock, Math.max(0, deadlineMs - clock.nowMs()), () => {
      this.#tick = null;
      this.#step({ kind: "tick" });
    });
    this.#tick = { deadlineMs, timer };
  }

  async #heal(): Promise<void> {
    // The log's recovery removes what is half written, so nobody may be writing.
    await this.#found.durablePoint.stop();
    await this.#effects.settle();
    await this.#log.heal();
  }

  /**
   * There is room again. What was refused may be in the log all the same, or be lost although somebody
   * has read it: so this node begins anew, as after a start, and a lone one leads in a new epoch. What is
   * committed then is delivered like anything else (K5), before this node decides anything on top of it.
   */
  async #goOn(): Promise<void> {
    try {
      const quorumState = await readQuorumState(this.#ports.disk, this.log.directory);
      const of = { self: this.#self, peers: this.#peers ?? undefined };
      const view = await viewOf(this.#found, this.#ports, of);
      if (this.#isClosed || this.#log.failure !== null) return;
      this.#failure = null;
      this.#delivery.resume();
      this.#node = this.#newNode({ view, quorumState });
      this.#ports.logger.info({ highWatermark: this.highWatermark }, "the metadata log goes on");
      this.#step({ kind: "start" });
    } catch (error) {
      if (error instanceof DiskError) this.#log.fail(error);
      // It has failed again: its listener was told.
      else if (!(error instanceof KafkaError)) throw error;
    }
  }

  #fail(error: Error): void {
    const isFirst = this.#failure === null;
    this.#failure = error;
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

/** What the core is told of the log as it lies there now. */
async function viewOf(
  found: MetadataLog,
  { clock }: RaftDriverPorts,
  of: { readonly self: ReplicaKey; readonly peers: RaftPeers | undefined },
): Promise<RecoveredLog> {
  const self: Voter = { ...of.self, endpoints: [] };
  if (of.peers === undefined) return recoveredLoneLog(found, [self]);
  return recoveredLog(found, clock, of.peers.voters);
}

function ignore(): void {
  // See above.
}
