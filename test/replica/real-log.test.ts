import { describe, expect, test } from "vitest";
import { type Disk, DiskError, type DiskFile, type OpenOptions } from "../../src/base/disk.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { errorName } from "../../src/protocol/errors.ts";
import { ClientBatches } from "../../src/replica/client-batches.ts";
import { ReplicaManager } from "../../src/replica/manager.ts";
import { produceHandler } from "../../src/server/handlers/00-produce.ts";
import { newFetchSessions } from "../server/support/fetch-sessions.ts";
import { fetchHandler } from "../../src/server/handlers/01-fetch.ts";
import { listOffsetsHandler } from "../../src/server/handlers/02-list-offsets.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import type { LogConfig } from "../../src/storage/log.ts";
import { LogManager } from "../../src/storage/log-manager.ts";
import { call, FakeContext, NO_OFFLOAD } from "../server/handlers/support.ts";
import { assignmentOf, batch, LOG_CONFIG, ManualClock, stateOf, TOPIC_ID } from "./support.ts";

// Replicas and handlers over the storage that production uses, on a disk that the test can hold up.

type HeldOperation = "writev" | "datasync";

/** Lets writes and syncs of segments pass only while they are not held. */
class HeldDisk extends MemoryDisk {
  readonly #held = new Map<HeldOperation, { promise: Promise<void>; release: () => void }>();
  /** Syncs fail from now on. */
  isFailing = false;

  hold(operation: HeldOperation): void {
    let release = (): void => undefined;
    const promise = new Promise<void>((resolve) => (release = resolve));
    this.#held.set(operation, { promise, release });
  }

  release(operation: HeldOperation): void {
    this.#held.get(operation)?.release();
    this.#held.delete(operation);
  }

  override async open(path: string, options?: OpenOptions): Promise<DiskFile> {
    const file = await super.open(path, options);
    if (!path.endsWith(".log")) return file;
    return {
      path,
      read: (target, position) => file.read(target, position),
      truncate: (length) => file.truncate(length),
      size: () => file.size(),
      close: () => file.close(),
      writev: async (buffers, position) => {
        await this.#held.get("writev")?.promise;
        await file.writev(buffers, position);
      },
      datasync: async () => {
        await this.#held.get("datasync")?.promise;
        if (this.isFailing) throw new DiskError("EIO", path, "datasync");
        await file.datasync();
      },
    };
  }
}

interface Running {
  readonly replicas: ReplicaManager;
  readonly clientBatches: ClientBatches;
  close(): Promise<void>;
}

async function start(disk: Disk, config: Partial<LogConfig> = {}): Promise<Running> {
  const clock = new ManualClock();
  const timers = new TimerQueue(clock);
  const logs = await LogManager.open(
    { disk, clock, random: new SeededRandom(1), logger: SILENT_LOGGER, timers },
    { logDirs: ["/data"], nodeId: 1, clusterId: null },
  );
  const replicas = new ReplicaManager({ nodeId: 1, clock, logger: SILENT_LOGGER, logs });
  await replicas.becomeLeader(assignmentOf({ config: { ...LOG_CONFIG, ...config } }));
  return {
    replicas,
    clientBatches: new ClientBatches({ clock, offload: NO_OFFLOAD }),
    close: async () => {
      await replicas.close();
      await logs.close(7);
      timers.close();
    },
  };
}

async function send(
  { replicas, clientBatches }: Running,
  records: Buffer,
  acks = -1,
): Promise<string> {
  const response = await call(
    produceHandler({ replicas, clientBatches, leaderOf: () => null }),
    new FakeContext(9),
    {
      acks,
      timeoutMs: 30_000,
      topicData: [{ name: "t", topicId: TOPIC_ID, partitionData: [{ index: 0, records }] }],
    },
  );
  if (typeof response === "symbol") throw new Error("there is no response");
  const [partition] = response.responses[0]!.partitionResponses;
  return `${errorName(partition!.errorCode)} ${partition!.baseOffset}`;
}

async function fetch({ replicas }: Running, offset: number): Promise<Buffer | string> {
  const handler = fetchHandler(
    { replicas, sessions: newFetchSessions(), leaderOf: () => null },
    { fetchMaxBytes: 57_671_680 },
  );
  const response = await call(handler, new FakeContext(11), {
    replicaId: -1,
    maxWaitMs: 500,
    minBytes: 1,
    topics: [
      {
        topic: "t",
        partitions: [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 1_048_576 }],
      },
    ],
    forgottenTopicsData: [],
  });
  if (typeof response === "symbol") throw new Error("there is no response");
  const [partition] = response.responses[0]!.partitions;
  return partition!.errorCode === 0
    ? (partition!.records ?? "null")
    : errorName(partition!.errorCode);
}

async function list({ replicas }: Running, timestamp: bigint): Promise<object> {
  const handler = listOffsetsHandler({ replicas, offload: NO_OFFLOAD });
  const response = await call(handler, new FakeContext(7), {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: "t", partitions: [{ partitionIndex: 0, timestamp }] }],
  });
  if (typeof response === "symbol") throw new Error("there is no response");
  return response.topics[0]!.partitions[0]!;
}

describe("over real logs", () => {
  test.each([-1, 1])(
    "acks=%i without a flush policy waits for the write, and not for a sync (R1)",
    async (acks) => {
      const disk = new HeldDisk();
      const running = await start(disk);
      disk.hold("writev");
      disk.hold("datasync");
      const sent = send(running, batch(2), acks);
      expect(await stateOf(sent)).toBe("pending");
      disk.release("writev");
      expect(await sent).toBe("NONE 0");
      disk.release("datasync");
      await running.close();
    },
  );

  test.each([-1, 1])("acks=%i with flush 1 waits for the sync (R4, S5)", async (acks) => {
    const disk = new HeldDisk();
    const running = await start(disk, { flushMessages: 1 });
    disk.hold("datasync");
    const sent = send(running, batch(2), acks);
    const fetched = fetch(running, 0);
    expect(await stateOf(sent)).toBe("pending");
    expect(await stateOf(fetched)).toBe("pending");
    disk.release("datasync");
    expect(await sent).toBe("NONE 0");
    expect(await fetched).toHaveLength(batch(2).length);
    await running.close();
  });

  test("what was acknowledged is there after a restart, and a repeat finds its old offset (X2)", async () => {
    const disk = new HeldDisk();
    const options = { producerId: 9, producerEpoch: 0, baseSequence: 0, timestampMs: 5_000 };
    const before = await start(disk);
    expect(await send(before, batch(3, options))).toBe("NONE 0");
    expect(await send(before, batch(1, { timestampMs: 7_000 }))).toBe("NONE 3");
    await before.close();

    const after = await start(disk);
    expect(after.replicas.partition("t", 0)!.highWatermark).toBe(4);
    expect(await send(after, batch(3, options))).toBe("NONE 0");
    expect(await send(after, batch(1, { timestampMs: 6_000 }))).toBe("NONE 4");
    expect(await fetch(after, 1)).toHaveLength(batch(3).length + 2 * batch(1).length);
    expect(await list(after, -1n)).toMatchObject({ offset: 5, leaderEpoch: 3 });
    expect(await list(after, -2n)).toMatchObject({ offset: 0, leaderEpoch: 3 });
    expect(await list(after, -3n)).toMatchObject({ offset: 3, timestamp: 7_000n });
    expect(await list(after, 5_001n)).toMatchObject({ offset: 3, timestamp: 7_000n });
    expect(await list(after, 7_001n)).toMatchObject({ offset: -1, timestamp: -1n });
    await after.close();
  });

  test("a failed sync is never acknowledged, and the partition refuses everybody after it (R9, S8)", async () => {
    const disk = new HeldDisk();
    const running = await start(disk, { flushMessages: 1 });
    disk.isFailing = true;
    const fetched = fetch(running, 0);
    expect(await send(running, batch())).toBe("KAFKA_STORAGE_ERROR -1");
    expect(await fetched).toBe("KAFKA_STORAGE_ERROR");
    expect(await send(running, batch())).toBe("KAFKA_STORAGE_ERROR -1");
    await running.close();
  });

  test("a deleted topic leaves nothing to the next of its name (E16)", async () => {
    const disk = new HeldDisk();
    const running = await start(disk);
    await send(running, batch(3));
    await running.replicas.remove("t", 0);
    expect(await send(running, batch())).toBe("UNKNOWN_TOPIC_OR_PARTITION -1");
    await running.replicas.becomeLeader(assignmentOf());
    expect(await send(running, batch())).toBe("NONE 0");
    await running.close();
  });
});
