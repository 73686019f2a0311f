import type { LogConfig } from "../../src/storage/log-config.ts";
import { type Setup, SMALL_CONFIG } from "./node.ts";
import type { World } from "./world.ts";

/** A script of a machine's first life, from an empty disk. */
export interface Workload {
  readonly name: string;
  readonly setup: Setup;
  readonly script: (world: World) => Promise<void>;
}

const ONE_DIRECTORY: Setup = { logDirs: ["/data"], hasMetadata: false, configs: {} };

function setupOf(config: Partial<LogConfig>): Setup {
  return { ...ONE_DIRECTORY, configs: { t: { ...SMALL_CONFIG, ...config } } };
}

export const WORKLOADS: readonly Workload[] = [
  {
    name: "append",
    setup: setupOf({ segmentBytes: 1 << 20 }),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      world.append(id);
      await world.flush(id);
      world.append(id, { valueBytes: 6000, isIdempotent: true });
      world.append(id);
      await world.steps(4);
      world.append(id, { valueBytes: 300, isIdempotent: true });
      await world.settle();
    },
  },
  {
    name: "group-commit",
    setup: setupOf({ segmentBytes: 1 << 20, flushMessages: 4 }),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let count = 0; count < 12; count += 1) {
        world.append(id, { valueBytes: 500 + 700 * (count % 3), isIdempotent: count % 2 === 0 });
        await world.steps(2);
      }
      await world.flush(id);
      world.append(id);
      await world.settle();
    },
  },
  {
    name: "roll",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let count = 0; count < 14; count += 1) {
        world.append(id, { valueBytes: 100, isIdempotent: count % 3 !== 0 });
        if (count % 2 === 0) await world.steps(3);
        if (count === 7) world.bumpEpoch();
      }
      await world.settle();
    },
  },
  {
    name: "roll-unflushed",
    setup: setupOf({ flushMessages: Infinity, segmentBytes: 5000 }),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let count = 0; count < 9; count += 1) {
        world.append(id, { valueBytes: 1500, isIdempotent: true });
        await world.steps(2);
        if (count === 3) world.bumpEpoch();
      }
      await world.settle();
      await world.flush(id);
    },
  },
  {
    name: "checkpoint",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      const other = await world.create("other");
      for (let round = 0; round < 3; round += 1) {
        for (let count = 0; count < 5; count += 1) {
          world.append(id, { valueBytes: 120, isIdempotent: true });
          world.append(other);
          await world.steps(3);
        }
        world.bumpEpoch();
        await world.advance(60_000);
      }
    },
  },
  {
    name: "stop-start",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let life = 0; life < 3; life += 1) {
        for (let count = 0; count < 4; count += 1) {
          world.append(id, { valueBytes: 150, isIdempotent: true });
        }
        await world.steps(5);
        await world.stop();
        await world.start();
      }
      world.append(id);
      await world.settle();
    },
  },
  {
    name: "delete-topic",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const kept = await world.create("kept");
      let id = await world.create("t");
      for (let round = 0; round < 3; round += 1) {
        for (let count = 0; count < 4; count += 1) {
          world.append(id, { valueBytes: 200, isIdempotent: true });
          world.append(kept);
        }
        await world.settle();
        if (round === 1) await world.advance(60_000);
        await world.delete(id);
        id = await world.create("t");
      }
      world.append(id);
      await world.settle();
    },
  },
  {
    name: "two-directories",
    setup: { logDirs: ["/one", "/two"], hasMetadata: false, configs: {} },
    script: async (world) => {
      await world.start();
      const ids = [
        await world.create("t", 0),
        await world.create("t", 1),
        await world.create("t", 2),
      ];
      for (let round = 0; round < 2; round += 1) {
        for (const id of ids) world.append(id, { valueBytes: 200, isIdempotent: true });
        await world.settle();
        await world.stop();
        await world.start();
      }
      for (const id of ids) await world.delete(id);
    },
  },
  {
    name: "metadata",
    setup: { ...ONE_DIRECTORY, hasMetadata: true },
    script: async (world) => {
      await world.start();
      for (let life = 0; life < 2; life += 1) {
        for (let count = 0; count < 4; count += 1) {
          world.propose([Buffer.from(`value ${life} ${count}`), Buffer.alloc(900, 65 + count)]);
          await world.steps(count);
        }
        await world.settle();
        if (life === 0) await world.stop();
        else world.kill();
        await world.start();
      }
      world.propose([Buffer.from("last")]);
      await world.settle();
    },
  },
];
