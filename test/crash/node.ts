import { must } from "../../src/base/assert.ts";
import type { Clock, Timer } from "../../src/base/clock.ts";
import type { Disk } from "../../src/base/disk.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { RaftDriver } from "../../src/raft/driver.ts";
import type { CommittedBatch } from "../../src/raft/raft-client.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import type { Log } from "../../src/storage/log.ts";
import { DEFAULT_LOG_CONFIG, type LogConfig } from "../../src/storage/log-config.ts";
import { LogManager, type PartitionId } from "../../src/storage/log-manager.ts";

/** What stays the same over all lives of the machine. */
export interface Setup {
  readonly logDirs: readonly string[];
  readonly hasMetadata: boolean;
  /** By topic; a topic without gets `SMALL_CONFIG`. */
  readonly configs: Readonly<Record<string, LogConfig>>;
  /** Partitions that the cluster says are here, whatever their directories say. */
  readonly known?: readonly PartitionId[];
  /**
   * With every start and at some other times batches are of a newer leader epoch, by which what a power
   * cut brings back behind them is told (R5). Without that the log is on its own.
   */
  readonly isEpochKept?: boolean;
}

export const NODE_ID = 1;
export const CLUSTER_ID = "cluster";

const OFFLOAD = await InlineOffload.open();
const CLEANER = {
  initialDelayMs: 1_000,
  backoffMs: 15_000,
  dedupeBufferBytes: 1 << 20,
  maxBytesPerSecond: Infinity,
};

/** Segments of a few batches, every batch synced. */
export const SMALL_CONFIG: LogConfig = {
  ...DEFAULT_LOG_CONFIG,
  segmentBytes: 600,
  segmentMs: Infinity,
  indexIntervalBytes: 150,
  flushMessages: 1,
  timestampAfterMaxMs: Infinity,
  retentionMs: Infinity,
};

/** One process: its logs, and the metadata log if the machine has one. */
export class Node {
  readonly manager: LogManager;
  readonly raft: RaftDriver | null;
  /** What the metadata log has delivered: what it held first, then what was committed. */
  readonly committed: CommittedBatch[] = [];
  readonly #setup: Setup;

  private constructor(setup: Setup, manager: LogManager, raft: RaftDriver | null) {
    this.#setup = setup;
    this.manager = manager;
    this.raft = raft;
  }

  /** As the broker starts (server/broker.ts): the directories, then the metadata log, then logs. */
  static async start(
    ports: { readonly disk: Disk; readonly clock: Clock; readonly seed: string },
    setup: Setup,
  ): Promise<Node> {
    const { disk, clock } = ports;
    const random = new SeededRandom(ports.seed);
    const shared = { disk, clock, logger: SILENT_LOGGER, timers: new TimerQueue(clock) };
    const manager = await LogManager.open(
      { ...shared, random, offload: OFFLOAD },
      { logDirs: setup.logDirs, nodeId: NODE_ID, clusterId: CLUSTER_ID, cleaner: CLEANER },
    );
    const [first] = manager.directories;
    if (!setup.hasMetadata || first === undefined) return new Node(setup, manager, null);
    const raft = await RaftDriver.open(
      { ...shared, random },
      {
        logDirectory: first.path,
        nodeId: NODE_ID,
        directoryId: must(first.directoryId, "the first directory is usable"),
      },
    );
    const node = new Node(setup, manager, raft);
    await raft.start({
      onCommitted: (batches) => node.committed.push(...batches),
      onLeaderChange: () => undefined,
      onFailure: () => undefined,
    });
    return node;
  }

  configOf(topic: string): LogConfig {
    return this.#setup.configs[topic] ?? SMALL_CONFIG;
  }

  openLog(id: PartitionId): Promise<Log> {
    return this.manager.openLog(id, this.configOf(id.topic));
  }

  /** All partitions that lie on the disk, or should. */
  async openAll(): Promise<Map<Uuid, { readonly id: PartitionId; readonly log: Log }>> {
    const logs = new Map<Uuid, { id: PartitionId; log: Log }>();
    for (const id of [...this.manager.partitionsOnDisk(), ...(this.#setup.known ?? [])]) {
      logs.set(id.topicId, { id, log: await this.openLog(id) });
    }
    return logs;
  }

  async close(brokerEpoch: number | null): Promise<void> {
    await this.raft?.close();
    await this.manager.close(brokerEpoch);
  }
}

/** Time stands still, and nothing waits: for recoveries whose order of events does not matter. */
export class StillClock implements Clock {
  nowMs(): number {
    return 0;
  }

  wallMs(): number {
    return WALL_MS;
  }

  after(): Timer {
    return { cancel: () => undefined };
  }

  afterPoll(callback: () => void): void {
    queueMicrotask(callback);
  }
}

export const WALL_MS = 1_800_000_000_000;
