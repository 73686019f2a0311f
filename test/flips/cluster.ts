import { SILENT_LOGGER, type Logger } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { buildBatch, type NewBatch } from "../../src/protocol/records/batch-builder.ts";
import { RaftDriver } from "../../src/raft/driver.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import type { Log } from "../../src/storage/log.ts";
import { DEFAULT_LOG_CONFIG, type LogConfig } from "../../src/storage/log-config.ts";
import { LogManager } from "../../src/storage/log-manager.ts";
import { ManualClock } from "../storage/support/manual-clock.ts";

/** The files of a machine. */
export type Files = ReadonlyMap<string, Buffer>;

export const LOG_DIR = "/data";
export const NODE_ID = 1;
export const BROKER_EPOCH = 271;
export const NOW_MS = 1_800_000_000_000;
export const CONFIG: LogConfig = {
  ...DEFAULT_LOG_CONFIG,
  segmentBytes: 2_500,
  indexIntervalBytes: 300,
  flushMessages: 1,
};

/** The partitions of the directory: one with producers and transactions, one cut at its beginning. */
export const PARTITIONS = [
  { topic: "orders", partitionIndex: 0, topicId: "8hec4NjbRFyZI-UyG1rX7Q" as Uuid },
  { topic: "orders", partitionIndex: 1, topicId: "8hec4NjbRFyZI-UyG1rX7Q" as Uuid },
] as const;

/** One start of the broker's storage, as the composition root makes it, on files in memory. */
export class Machine {
  readonly disk = new MemoryDisk();
  readonly said: string[] = [];
  readonly clock = new ManualClock(NOW_MS);
  readonly timers = new TimerQueue(this.clock);
  readonly random = new SeededRandom(7);
  readonly logger: Logger;

  constructor(files: Files = new Map()) {
    for (const [path, content] of files) this.put(path, content);
    const say = (_facts: object, message: string): void => void this.said.push(message);
    this.logger = { ...SILENT_LOGGER, warn: say, error: say, fatal: say };
  }

  put(path: string, content: Buffer): void {
    void this.disk.mkdir(path.slice(0, path.lastIndexOf("/")));
    this.disk.openNow(path, { create: true, truncate: true }).writeNow([content], 0);
  }

  files(): Files {
    const copy = new Map<string, Buffer>();
    for (const [path, content] of this.disk.files()) copy.set(path, Buffer.from(content));
    return copy;
  }

  openLogs(): Promise<LogManager> {
    return LogManager.open(this, { logDirs: [LOG_DIR], nodeId: NODE_ID, clusterId: null });
  }

  openRaft(logs: LogManager): Promise<RaftDriver> {
    const [first] = logs.directories;
    return RaftDriver.open(this, {
      logDirectory: LOG_DIR,
      nodeId: NODE_ID,
      directoryId: first?.directoryId ?? PARTITIONS[0].topicId,
    });
  }
}

export function batch(index: number, over: Partial<NewBatch> = {}): Buffer {
  return buildBatch({
    timestampMs: NOW_MS + 10 * index,
    records: Array.from({ length: 1 + (index % 3) }, (_, i) => ({
      key: Buffer.from(`key-${index % 5}`),
      value: Buffer.from(`value ${index}.${i} ${"x".repeat((index * 7) % 40)}`),
    })),
    ...over,
  });
}

function marker(index: number, type: 0 | 1, producerId: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeInt16BE(type, 2);
  const records = [{ key, value: Buffer.alloc(6) }];
  const control = { isControl: true, isTransactional: true, baseSequence: -1 };
  return batch(index, { records, producerId, producerEpoch: 0, ...control });
}

/** What both kinds of producer have sent last: sent again, it must be known. */
export const LAST_BATCH = { producerId: 40, producerEpoch: 0, baseSequence: 29 } as const;

async function fill(log: Log, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const leaderEpoch = Math.floor(index / 12);
    const append = (bytes: Buffer, origin: "client" | "coordinator" = "client"): void => {
      log.append(bytes, { leaderEpoch, origin });
    };
    append(batch(index));
    append(
      batch(index, {
        records: [{ key: null, value: Buffer.from(`idempotent ${index}`) }],
        ...{ ...LAST_BATCH, baseSequence: index },
      }),
    );
    if (index % 6 === 2) {
      const producerId = 50 + index;
      const transactional = {
        producerId,
        producerEpoch: 0,
        baseSequence: 0,
        isTransactional: true,
      };
      append(batch(index, transactional));
      append(marker(index, index % 12 === 2 ? 0 : 1, producerId), "coordinator");
    }
    if (index % 4 === 0) await log.flush();
  }
}

export const METADATA_VALUES = Array.from({ length: 12 }, (_, i) => `metadata record ${i}`);

/** A directory with a file of each kind, as an orderly stop leaves it. */
export async function closedDirectory(): Promise<Files> {
  const machine = new Machine();
  const logs = await machine.openLogs();
  const raft = await machine.openRaft(logs);
  await raft.start({
    onCommitted: () => undefined,
    onLeaderChange: () => undefined,
    onFailure: () => undefined,
  });
  for (const value of METADATA_VALUES) {
    await raft.append(raft.leader.leaderEpoch, [Buffer.from(value)]).committed;
  }
  for (const partition of PARTITIONS) await fill(await logs.openLog(partition, CONFIG), 30);
  const [, cut] = PARTITIONS;
  const log = await logs.openLog(cut, CONFIG);
  await log.advanceLogStartOffset(log.segmentBaseOffsets[1] ?? 0);
  await logs.checkpointLogStart(log);
  await raft.close();
  await logs.close(BROKER_EPOCH);
  return machine.files();
}
