import { assert } from "../base/assert.ts";
import { DiskError } from "../base/disk.ts";
import { Mailbox } from "../base/mailbox.ts";
import { batchRecordCount } from "../protocol/records/batch.ts";
import { Answers } from "./answers.ts";
import { epochStartBatch, votersBatch } from "./control-records.ts";
import type { Effect, EpochStart, QuorumState, RaftEvent, VotersAppend } from "./core/events.ts";
import type { SnapshotId } from "./core/messages.ts";
import type { RaftNode } from "./core/node.ts";
import type { ReplicaKey } from "./core/voters.ts";
import type { RaftPeers } from "./driver-options.ts";
import type { MetadataLog, MetadataLogPorts } from "./metadata-log.ts";
import { writeQuorumState } from "./quorum-state.ts";
import { ReplicaLog } from "./replica-log.ts";
import { SnapshotKeeper, type SnapshotSettings } from "./snapshot-keeper.ts";

/** Effects that need the disk. */
export type DiskEffect = Exclude<Effect, { kind: "send" | "commit" | "leaderChange" }>;

export interface DiskEffectsOptions {
  readonly self: ReplicaKey;
  readonly peers: RaftPeers | null;
  readonly snapshots: SnapshotSettings;
}

/** Who is told what has become of them. */
export interface DiskEffectsListener {
  /** null: the core is halted. */
  readonly node: () => RaftNode | null;
  readonly step: (event: RaftEvent) => void;
  readonly onEpochStart: (epochStart: EpochStart, timestampMs: number) => void;
  /** The log will begin at the end of the snapshot. */
  readonly onLogBegin: (id: SnapshotId) => void;
  /** The log's marks have moved. */
  readonly onLogAdvance: () => void;
  readonly onUnreadable: (error: Error) => void;
}

/** Does what the core wants of the disk, in its order. */
export class DiskEffects {
  readonly snapshots: SnapshotKeeper;
  /** null: nobody asks. */
  readonly answers: Answers | null;
  /** The last write of quorum-state, and what follows from it. Rejects as that does. */
  persisted: Promise<void> = Promise.resolve();
  readonly #found: MetadataLog & MetadataLogPorts;
  readonly #self: ReplicaKey;
  readonly #listener: DiskEffectsListener;
  /** Those who write small files beside the log, and cuts of the log, whose recovery removes such. */
  readonly #turns = new Mailbox();
  readonly #replicaLog: ReplicaLog;

  constructor(
    found: MetadataLog & MetadataLogPorts,
    options: DiskEffectsOptions,
    listener: DiskEffectsListener,
  ) {
    const { log } = found;
    const { node, step } = listener;
    this.#found = found;
    this.#self = options.self;
    this.#listener = listener;
    const turns = this.#turns;
    this.#replicaLog = new ReplicaLog(log, turns, listener.onLogAdvance);
    const onDiskFailure = (error: DiskError): void => log.fail(error);
    this.snapshots = new SnapshotKeeper(
      { ...found, turns, node, step, onDiskFailure },
      options.snapshots,
    );
    this.answers = this.#answersOf(options.peers);
  }

  /** Otherwise the log's marks are not yet what the core takes them for. */
  get isLogSettled(): boolean {
    return this.#replicaLog.isSettled;
  }

  do(effect: DiskEffect): void {
    switch (effect.kind) {
      case "persist":
        this.#persist(effect.state);
        break;
      case "appendEpochStart":
        this.#appendEpochStart(effect.epochStart);
        break;
      case "appendVoters":
        this.#appendVoters(effect.append);
        break;
      case "append":
        this.#replicaLog.append(effect.batch.bytes, effect.batch);
        break;
      case "appendFetched":
        effect.batches.forEach((batch) => this.#replicaLog.append(batch.bytes, batch));
        break;
      case "truncate":
        this.#replicaLog.truncate(effect.endOffset);
        break;
      case "writeSnapshot":
        void this.snapshots.receive(effect.id, effect.position, effect.bytes, effect.isLast);
        break;
      case "resetLog":
        this.#resetLog(effect.id);
        break;
      default:
        this.answers?.do(effect);
    }
  }

  /** No write of quorum-state is under way then. Whoever waits for it is told how it went. */
  async settle(): Promise<void> {
    await this.persisted.catch(ignore);
  }

  #persist(state: QuorumState): void {
    const { disk, directory, log } = this.#found;
    const hasOthers = this.#listener.node()?.voters.isOnly(this.#self) === false;
    this.persisted = this.#turns.run(async () => {
      try {
        await writeQuorumState(disk, directory, { ...state, hasOthers });
      } catch (error) {
        if (error instanceof DiskError) log.fail(error);
        throw error;
      }
      this.#listener.step({ kind: "persisted" });
    });
    this.persisted.catch(ignore);
  }

  #appendEpochStart(epochStart: EpochStart): void {
    const timestampMs = this.#found.clock.wallMs();
    const bytes = epochStartBatch(this.#self.nodeId, epochStart, timestampMs);
    const recordCount = batchRecordCount(bytes);
    assert(recordCount === epochStart.recordCount, "the core knows what an epoch begins with");
    this.#listener.onEpochStart(epochStart, timestampMs);
    this.#replicaLog.append(bytes, epochStart);
  }

  #appendVoters(append: VotersAppend): void {
    const { voters } = append;
    this.#found.logger.info({ voters }, "the voters of the metadata log change");
    this.#replicaLog.append(votersBatch(append, this.#found.clock.wallMs()), append);
  }

  #resetLog(id: SnapshotId): void {
    this.#listener.onLogBegin(id);
    this.#replicaLog.startAt(id.endOffset, () => this.snapshots.install(id));
  }

  #answersOf(peers: RaftPeers | null): Answers | null {
    if (peers === null) return null;
    const { node, onUnreadable } = this.#listener;
    return new Answers(
      {
        transport: peers.transport,
        replicaLog: this.#replicaLog,
        snapshots: this.#found.snapshots,
        isLeading: (epoch) => node()?.leadingEpoch === epoch,
        endOffset: () => node()?.endOffset ?? 0,
        onUnreadable,
      },
      { maxBytes: peers.fetchMaxBytes },
    );
  }
}

function ignore(): void {
  // Whoever waits for it is told.
}
