import { COMPACTED, keyed, ONE_DIRECTORY, setupOf, type Workload } from "./workload.ts";

/** Traces too long for every state of them: samples, and lives after crashes. */
export const LONG_WORKLOADS: readonly Workload[] = [
  {
    name: "append",
    kind: "long",
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
    kind: "long",
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
    kind: "long",
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
    kind: "long",
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
    kind: "long",
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
    kind: "long",
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
    name: "preallocate",
    kind: "long",
    setup: setupOf({ preallocate: true, flushMessages: 3, segmentBytes: 900 }),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let life = 0; life < 3; life += 1) {
        for (let count = 0; count < 7; count += 1) {
          world.append(id, { valueBytes: 90, isIdempotent: true });
          await world.steps(life);
        }
        await world.settle();
        if (life === 1) await world.truncate(id, world.log(id).logEndOffset - 3);
        world.bumpEpoch();
        if (life === 0) await world.stop();
        else world.kill();
        await world.start();
      }
      world.append(id);
      await world.settle();
    },
  },
  {
    name: "delete-topic",
    kind: "long",
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
    kind: "long",
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
    kind: "long",
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
  {
    name: "truncate",
    kind: "long",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (const endOffset of [9, 5, 3]) {
        for (let count = 0; count < 6; count += 1) {
          world.append(id, { valueBytes: 120, isIdempotent: true, producer: count % 2 });
          if (count === 3) world.bumpEpoch();
        }
        await world.settle();
        if (endOffset === 5) await world.advance(60_000);
        await world.truncate(id, Math.min(endOffset, world.log(id).logEndOffset - 2));
        world.bumpEpoch();
      }
      world.append(id);
      await world.settle();
      await world.restartAt(id, 40);
      world.append(id);
      await world.settle();
    },
  },
  {
    name: "delete-records",
    kind: "long",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      const appendSome = async (): Promise<void> => {
        for (let count = 0; count < 7; count += 1) {
          world.append(id, { valueBytes: 120, isIdempotent: true, producer: count });
        }
        await world.settle();
      };
      await appendSome();
      await world.deleteRecords(id, 2);
      await appendSome();
      await world.deleteRecords(id, 8);
      await world.advance(60_000);
      await appendSome();
      await world.deleteRecords(id, world.log(id).logEndOffset);
      await world.stop();
      await world.start();
      await appendSome();
    },
  },
  {
    name: "retention",
    kind: "long",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let round = 0; round < 3; round += 1) {
        for (let count = 0; count < 9; count += 1) {
          world.append(id, { valueBytes: 120, isIdempotent: true, producer: round });
          if (count === 5) world.bumpEpoch();
        }
        await world.settle();
        await world.removeSegments(id, 9 * round + 6);
        if (round === 1) await world.advance(60_000);
      }
      await world.advance(60_000);
    },
  },
  {
    name: "compaction",
    kind: "long",
    setup: setupOf(COMPACTED),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let round = 0; round < 2; round += 1) {
        for (let count = 0; count < 14; count += 1) {
          world.append(id, {
            isIdempotent: count % 3 === 0,
            producer: count % 2,
            records: keyed(`${count % 4}`, `${round} ${count}`, 70),
          });
          if (count === 7) world.bumpEpoch();
        }
        await world.settle();
        // Checkpoints, a round of the cleaner, and the end of what it has replaced.
        for (let turn = 0; turn < 6; turn += 1) await world.advance(20_000);
      }
      world.append(id, { records: keyed("1", "end", 10) });
      await world.settle();
    },
  },
  {
    name: "compacted-transactions",
    kind: "long",
    setup: setupOf(COMPACTED),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let count = 0; count < 8; count += 1) {
        for (const key of ["a", "b"]) {
          const records = keyed(key, `${count}`, 50);
          world.append(id, { isTransactional: true, producer: count % 3, records });
        }
        world.endTransaction(id, count % 3 === 0 ? "abort" : "commit", count % 3);
        world.append(id, { records: keyed("c", `${count}`, count === 6 ? -1 : 20) });
      }
      world.append(id, { isTransactional: true, producer: 4, records: keyed("d", "open", 20) });
      for (let turn = 0; turn < 6; turn += 1) await world.advance(20_000);
      world.endTransaction(id, "commit", 4);
      for (let turn = 0; turn < 6; turn += 1) await world.advance(20_000);
    },
  },
  {
    // What recovery has made of segments that were never known to be durable is below a recovery point.
    name: "killed",
    kind: "long",
    setup: setupOf({ flushMessages: Infinity }),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let count = 0; count < 4; count += 1) {
        world.append(id, { isTransactional: true, valueBytes: 90 });
        world.endTransaction(id, "abort");
      }
      // Before the first segment has its indexes.
      while (world.log(id).writtenEndOffset < 5) await world.step();
      world.kill();
      await world.start();
      await world.advance(60_000);
    },
  },
  {
    name: "transactions",
    kind: "long",
    setup: setupOf({}),
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let count = 0; count < 7; count += 1) {
        const producer = count % 2;
        world.append(id, { isTransactional: true, producer, valueBytes: 90 });
        world.append(id, { isTransactional: true, producer: 3, valueBytes: 60 });
        world.endTransaction(id, count % 3 === 1 ? "commit" : "abort", producer);
        await world.steps(count);
        if (count === 4) await world.advance(60_000);
      }
      await world.settle();
      world.endTransaction(id, "abort", 3);
      await world.settle();
      await world.stop();
      await world.start();
    },
  },
];
