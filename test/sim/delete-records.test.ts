import { expect, test } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { ReplicaManager } from "../../src/replica/manager.ts";
import { ProcessClock } from "../../src/sim/sim-clock.ts";
import { LogManager } from "../../src/storage/log-manager.ts";
import { assignmentOf, batch, LOG_CONFIG } from "../replica/support.ts";
import { DIRECTORY, diskWorld } from "./support/world.ts";

// The records are of 1970.
const CONFIG = { ...LOG_CONFIG, flushMessages: 1, segmentBytes: 500, retentionMs: Infinity };

test.each(Array.from({ length: 20 }, (_, seed) => seed))(
  "what DeleteRecords has answered for does not come back when the power goes: seed %i",
  async (seed) => {
    const { clock, disk, run } = diskWorld(seed, 50);
    const start = async () => {
      const processClock = new ProcessClock(clock);
      const process = disk.process();
      const timers = new TimerQueue(processClock);
      const dependencies = { clock: processClock, logger: SILENT_LOGGER };
      const logs = await run(
        LogManager.open(
          { ...dependencies, disk: process, random: new SeededRandom(seed), timers },
          { logDirs: [DIRECTORY], nodeId: 1, clusterId: null },
        ),
      );
      const replicas = new ReplicaManager({ nodeId: 1, ...dependencies, logs });
      const partition = await run(replicas.becomeLeader(assignmentOf({ config: CONFIG })));
      const cut = (): void => {
        processClock.kill();
        process.kill();
        disk.cutPower();
      };
      return { replicas, partition, cut };
    };
    let answered = 0;
    for (let life = 0; life < 4; life += 1) {
      const { replicas, partition, cut } = await start();
      expect(partition.logStartOffset).toBeGreaterThanOrEqual(answered);
      for (let i = 0; i < 6; i += 1) {
        const options = { requiredAcks: -1, origin: "client" } as const;
        await run(partition.appendAsLeader(batch(3, { valueBytes: 40 }), options).acked);
      }
      const offset = partition.logStartOffset + 5 + (seed % 3);
      answered = await run(replicas.deleteRecords(partition, offset));
      expect(answered).toBe(offset);
      // Begun, and not answered for: it may come to pass or not.
      replicas.deleteRecords(partition, -1).catch(() => undefined);
      cut();
    }
    const { partition } = await start();
    expect(partition.logStartOffset).toBeGreaterThanOrEqual(answered);
    expect(partition.logEndOffset).toBe(4 * 18);
  },
);
