import type { Timer } from "../base/clock.ts";
import { DiskError } from "../base/disk.ts";
import type { Mailbox } from "../base/mailbox.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { Log } from "../storage/log.ts";
import type { RaftEvent } from "./core/events.ts";
import type { SnapshotId } from "./core/messages.ts";
import type { RaftNode } from "./core/node.ts";
import type { MetadataLogPorts } from "./metadata-log.ts";
import type { Snapshots, StoredSnapshot } from "./snapshots.ts";

export interface SnapshotSettings {
  /** metadata.log.max.record.bytes.between.snapshots */
  readonly maxBytes: number;
  /** metadata.log.max.snapshot.interval.ms; 0: time alone makes none due. */
  readonly maxIntervalMs: number;
}

/** Kafka's. */
export const DEFAULT_SNAPSHOT_SETTINGS: SnapshotSettings = {
  maxBytes: 20 * 1024 * 1024,
  maxIntervalMs: 3_600_000,
};

export interface SnapshotKeeperDependencies extends MetadataLogPorts {
  readonly log: Log;
  readonly snapshots: Snapshots;
  /** With whoever else writes beside the log. */
  readonly turns: Mailbox;
  /** null: the core is halted. */
  readonly node: () => RaftNode | null;
  readonly step: (event: RaftEvent) => void;
  readonly onDiskFailure: (error: DiskError) => void;
}

/**
 * Snapshots between the core and the disk: when one is due, taking it, dropping the log before it, and
 * what is fetched of a leader's.
 */
export class SnapshotKeeper {
  readonly #dependencies: SnapshotKeeperDependencies;
  readonly #settings: SnapshotSettings;
  #onDue: (() => void) | null = null;
  #timer: Timer | null = null;
  #newBytes = 0;
  #isTaking = false;
  /** Whole and sound, and not yet in the log's place. */
  #loaded: StoredSnapshot | null = null;

  constructor(dependencies: SnapshotKeeperDependencies, settings: SnapshotSettings) {
    this.#dependencies = dependencies;
    this.#settings = settings;
  }

  /** From now on it is told when one is due. */
  start(onDue: () => void): void {
    this.#onDue = onDue;
    this.#arm();
  }

  close(): void {
    this.#onDue = null;
    this.#timer?.cancel();
  }

  /** So much more has been delivered to the listener. */
  onDelivered(sizeBytes: number): void {
    this.#newBytes += sizeBytes;
    if (this.#newBytes >= this.#settings.maxBytes) this.#tellDue();
  }

  /** Returns whether it was taken. */
  async take(endOffset: number, timestampMs: number, records: Iterable<Buffer>): Promise<boolean> {
    const { snapshots, turns } = this.#dependencies;
    const node = this.#dependencies.node();
    const id = node?.snapshotIdAt(endOffset) ?? null;
    if (this.#isTaking || node === null || id === null) return false;
    const snapshot = { id, head: { timestampMs, voters: node.votersAt(endOffset).all } };
    this.#isTaking = true;
    try {
      await snapshots.write(snapshot, records);
      // Another's may have taken the place of the log meanwhile.
      const isKept = await turns.run(async () => {
        const isWanted = this.#dependencies.node()?.snapshotIdAt(endOffset)?.epoch === id.epoch;
        await (isWanted ? snapshots.keep(snapshot) : snapshots.discard(snapshot));
        return isWanted;
      });
      if (isKept) await this.#dropPrefix(id);
      return isKept;
    } catch (error) {
      if (error instanceof DiskError) this.#dependencies.onDiskFailure(error);
      else if (!(error instanceof KafkaError)) throw error;
      return false;
    } finally {
      this.#isTaking = false;
    }
  }

  /** The effect `writeSnapshot`. */
  async receive(id: SnapshotId, position: number, bytes: Buffer, isLast: boolean): Promise<void> {
    const { snapshots, step } = this.#dependencies;
    try {
      const received = await snapshots.receive(id, position, bytes, isLast);
      if (received === null) return;
      if (received.kind !== "snapshotLoaded") {
        step(received);
        return;
      }
      this.#loaded = received;
      step({ kind: "snapshotLoaded", id, voters: received.head.voters });
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#dependencies.onDiskFailure(error);
    }
  }

  /** The effect `resetLog`, before the log is emptied. What it takes the place of goes afterwards. */
  async install(id: SnapshotId): Promise<void> {
    const loaded = this.#loaded;
    if (loaded?.id.endOffset !== id.endOffset) return;
    this.#loaded = null;
    await this.#dependencies.snapshots.keep(loaded);
  }

  /** The log begins at the snapshot before the newest, and older ones are of no use. */
  async #dropPrefix(id: SnapshotId): Promise<void> {
    const { log, snapshots, step } = this.#dependencies;
    this.#newBytes = 0;
    step({ kind: "snapshotTaken", id });
    // So that the next but one can drop what is in it whole.
    log.rollSegment();
    const { previousId } = snapshots;
    if (previousId === null) return;
    step({ kind: "logStart", id: previousId });
    await log.advanceLogStartOffset(previousId.endOffset);
    await snapshots.removeBelow(previousId.endOffset);
  }

  #arm(): void {
    const { maxIntervalMs } = this.#settings;
    if (maxIntervalMs <= 0 || this.#onDue === null) return;
    this.#timer = this.#dependencies.timers.after(maxIntervalMs, () => {
      if (this.#newBytes > 0) this.#tellDue();
      this.#arm();
    });
  }

  #tellDue(): void {
    if (this.#isTaking) return;
    this.#newBytes = 0;
    this.#onDue?.();
  }
}
