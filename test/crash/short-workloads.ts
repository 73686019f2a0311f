import { must } from "../../src/base/assert.ts";
import type { Uuid } from "../../src/base/ids.ts";
import type { PartitionId } from "../../src/storage/log-manager.ts";
import type { Setup } from "./node.ts";
import type { Image } from "./trace.ts";
import {
  COMPACTED,
  keyed,
  ONE_DIRECTORY,
  type Script,
  setupOf,
  type Workload,
} from "./workload.ts";
import type { World } from "./world.ts";

/** Of a value with which a batch fills a page: so a lost truncation can leave whole batches. */
const PAGE_VALUE_BYTES = 4023;

/** Topic t with so many batches, four of which fill a segment, stopped in order unless told. */
function prepared(count: number, isStopped = true, path = "/data"): Script {
  return async (world) => {
    await world.start();
    world.node.manager.preferPath("t", 0, path);
    const id = await world.create("t");
    for (let batch = 0; batch < count; batch += 1) {
      world.append(id, { valueBytes: 60, isIdempotent: true, producer: batch % 2 });
      if (batch === 5) world.bumpEpoch();
      await world.settle();
    }
    if (isStopped) await world.stop();
  };
}

/** The first that a world makes. */
const FIRST_PARTITION: PartitionId = {
  topic: "t",
  partitionIndex: 0,
  topicId: Buffer.alloc(16, 1).toString("base64url") as Uuid,
};

/** One bit of the topic's id has rotten: who asks for the partition by its id still gets it (E14). */
function withFlippedMetadata(image: Image): Image {
  const path = "/data/t-0/partition.metadata";
  const content = Buffer.from(must(image.files.get(path), "the partition was made"));
  content.writeUInt8(content.readUInt8(content.length - 2) ^ 1, content.length - 2);
  return { ...image, files: new Map(image.files).set(path, content) };
}

/** The log goes to another directory. A start that finds both asks the first. */
function moved(name: string, from: string, to: string): Workload {
  const setup: Setup = { logDirs: ["/one", "/two"], hasMetadata: false, configs: {} };
  return {
    name,
    kind: "short",
    hasManyRecoveries: true,
    setup,
    prepare: prepared(2, true, from),
    script: after((world, id) => world.move(id, to)),
  };
}

/** One thing done with topic t after a start. */
function after(script: (world: World, id: World["logs"][number]["id"]) => Promise<void>): Script {
  return async (world) => {
    await world.start();
    const [log] = world.logs;
    if (log !== undefined) await script(world, log.id);
    await world.settle();
  };
}

/** One trace for each thing that changes files: every state of it, and every recovery from those. */
export const SHORT_WORKLOADS: readonly Workload[] = [
  {
    name: "short-format",
    kind: "short",
    // Below one that is made as well.
    setup: { ...ONE_DIRECTORY, logDirs: ["/srv/data"] },
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      world.append(id);
      await world.settle();
    },
  },
  {
    name: "short-create",
    kind: "short",
    setup: setupOf({}),
    prepare: async (world) => {
      await world.start();
      await world.stop();
    },
    script: async (world) => {
      await world.start();
      const id = await world.create("t");
      world.append(id);
      await world.settle();
    },
  },
  {
    name: "short-append",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(1),
    script: after(async (world, id) => {
      world.append(id, { isIdempotent: true });
      await world.flush(id);
      world.append(id, { valueBytes: 90 });
    }),
  },
  {
    name: "short-append-unflushed",
    kind: "short",
    setup: setupOf({ flushMessages: 2 }),
    prepare: prepared(1),
    script: after(async (world, id) => {
      for (let count = 0; count < 3; count += 1) {
        world.append(id);
        await world.steps(2);
      }
    }),
  },
  {
    // The second of two syncs counts with the first, whichever ends before the other.
    name: "short-two-syncs",
    kind: "short",
    setup: setupOf({ segmentBytes: 1200 }),
    prepare: prepared(1),
    script: after(async (world, id) => {
      // The new epoch's file is synced with the first batch, alone.
      world.append(id);
      await world.settle();
      for (const isNewestFirst of [false, true]) {
        await world.overlapSyncs(id);
        world.disk.isNewestFirst = isNewestFirst;
        world.disk.heldSyncs = null;
        await world.settle();
      }
      world.disk.isNewestFirst = false;
    }),
  },
  {
    name: "short-roll",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(3),
    script: after(async (world, id) => {
      for (let count = 0; count < 2; count += 1) {
        world.append(id, { valueBytes: 100, isIdempotent: true });
        await world.settle();
      }
    }),
  },
  {
    // The zeros behind the batches go before the next segment comes.
    name: "short-preallocate-roll",
    kind: "short",
    setup: setupOf({ preallocate: true }),
    prepare: prepared(3),
    script: after(async (world, id) => {
      for (let count = 0; count < 2; count += 1) {
        world.append(id, { valueBytes: 60 });
        await world.settle();
      }
    }),
  },
  {
    // They go with an orderly stop, before its mark comes.
    name: "short-preallocate-stop",
    kind: "short",
    setup: setupOf({ preallocate: true }),
    prepare: prepared(1),
    script: after(async (world, id) => {
      world.append(id);
      await world.settle();
      await world.stop();
    }),
  },
  {
    name: "short-snapshot",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(1),
    script: after(async (world, id) => {
      world.append(id, { isIdempotent: true });
      await world.settle();
      await world.stop();
    }),
  },
  {
    name: "short-checkpoint",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(1),
    script: after(async (world, id) => {
      world.append(id);
      await world.settle();
      await world.advance(60_000);
    }),
  },
  {
    name: "short-roll-unflushed",
    kind: "short",
    setup: { ...setupOf({ flushMessages: Infinity }), isEpochKept: true },
    prepare: prepared(3),
    script: after((world, id) => {
      world.append(id, { valueBytes: 60, isIdempotent: true });
      world.append(id, { valueBytes: 60, isIdempotent: true });
      return Promise.resolve();
    }),
  },
  {
    name: "short-whole-pages",
    kind: "short",
    setup: {
      ...setupOf({ flushMessages: Infinity, segmentBytes: 1 << 20 }),
      isEpochKept: true,
    },
    batchValueBytes: PAGE_VALUE_BYTES,
    prepare: async (world) => {
      await world.start();
      await world.create("t");
      await world.stop();
    },
    script: after((world, id) => {
      for (let count = 0; count < 2; count += 1) {
        world.append(id, { valueBytes: PAGE_VALUE_BYTES });
      }
      return Promise.resolve();
    }),
  },
  {
    name: "short-transactions",
    kind: "short",
    setup: setupOf({ segmentBytes: 400 }),
    prepare: prepared(0),
    recoveryLimit: 150,
    script: after(async (world, id) => {
      world.append(id, { isTransactional: true, valueBytes: 60 });
      await world.settle();
      world.endTransaction(id, "abort");
      await world.settle();
      world.append(id, { valueBytes: 90 });
    }),
  },
  {
    name: "short-truncate",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(5),
    // Up to where the segment began that was removed, in no newer epoch.
    script: after(async (world, id) => {
      await world.truncate(id, 2);
      for (let count = 0; count < 2; count += 1) world.append(id, { isIdempotent: true });
    }),
  },
  {
    name: "short-truncate-unclean",
    kind: "short",
    setup: setupOf({}),
    prepare: async (world) => {
      await prepared(5, false)(world);
      world.kill();
    },
    script: after(async (world, id) => {
      await world.truncate(id, 2);
      for (let count = 0; count < 2; count += 1) world.append(id, { isIdempotent: true });
    }),
  },
  {
    name: "short-restart",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(3),
    script: after(async (world, id) => {
      await world.restartAt(id, 20);
      world.append(id);
    }),
  },
  {
    // A follower's that has nothing yet: its directory is not made.
    name: "short-restart-empty",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(0),
    script: after(async (world, id) => {
      await world.restartAt(id, 20);
      world.append(id);
    }),
  },
  {
    name: "short-delete-records",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(7),
    script: after(async (world, id) => {
      await world.deleteRecords(id, 6);
      await world.advance(60_000);
    }),
  },
  {
    name: "short-retention",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(5),
    script: after(async (world, id) => {
      await world.removeSegments(id, 5);
    }),
  },
  {
    // Names of a removed segment go in any order: one without its .txnindex has no aborted transactions.
    name: "short-retention-aborted",
    kind: "short",
    setup: setupOf({}),
    prepare: async (world) => {
      await world.start();
      const id = await world.create("t");
      world.append(id, { isTransactional: true, valueBytes: 60 });
      world.endTransaction(id, "abort");
      for (let count = 0; count < 4; count += 1) world.append(id, { valueBytes: 60 });
      await world.settle();
      await world.stop();
    },
    script: after(async (world, id) => {
      await world.removeSegments(id, 5);
    }),
  },
  {
    name: "short-compaction",
    kind: "short",
    setup: setupOf(COMPACTED),
    prepare: async (world) => {
      await world.start();
      const id = await world.create("t");
      for (let count = 0; count < 10; count += 1) {
        world.append(id, { records: keyed(`${count % 2}`, `${count}`, 70) });
      }
      await world.settle();
      await world.stop();
    },
    // A round of the cleaner, and the end of what it has replaced.
    script: after(async (world) => {
      for (let turn = 0; turn < 5; turn += 1) await world.advance(20_000);
    }),
  },
  {
    // Of two segments that become one only the second has a .txnindex.
    name: "short-compaction-aborted",
    kind: "short",
    setup: setupOf({ ...COMPACTED, segmentMs: 1_000 }),
    prepare: async (world) => {
      await world.start();
      const id = await world.create("t");
      // The cleaner has looked, and does not look again before the stop.
      await world.advance(1_500);
      world.append(id, { records: keyed("a", "1", 30) });
      await world.advance(2_000);
      world.append(id, { isTransactional: true, producer: 1, records: keyed("b", "2", 30) });
      world.endTransaction(id, "abort", 1);
      await world.advance(2_000);
      world.append(id, { records: keyed("a", "3", 30) });
      await world.settle();
      await world.stop();
    },
    script: after(async (world) => {
      for (let turn = 0; turn < 3; turn += 1) await world.advance(20_000);
    }),
  },
  {
    name: "short-delete-topic",
    kind: "short",
    setup: setupOf({}),
    prepare: prepared(1),
    script: after(async (world, id) => {
      await world.delete(id);
    }),
  },
  {
    name: "short-metadata",
    kind: "short",
    setup: { ...ONE_DIRECTORY, hasMetadata: true },
    prepare: async (world) => {
      await world.start();
      world.propose([Buffer.from("one")]);
      await world.settle();
      await world.stop();
    },
    script: async (world) => {
      await world.start();
      world.propose([Buffer.from("two")]);
      await world.settle();
      await world.advance(1_000);
      world.noteDurablePoint();
    },
  },
  {
    name: "short-repair",
    kind: "short",
    setup: { ...setupOf({}), known: [FIRST_PARTITION] },
    prepare: prepared(1),
    damage: withFlippedMetadata,
    script: after((world, id) => {
      world.append(id);
      return Promise.resolve();
    }),
  },
  moved("short-move", "/one", "/two"),
  moved("short-move-back", "/two", "/one"),
];
