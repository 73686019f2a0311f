import { assert } from "../../src/base/assert.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import type { PartitionId } from "../../src/storage/log-manager.ts";
import type { FaultRule } from "./recorder.ts";
import type { Workload } from "./workload.ts";
import type { World } from "./world.ts";

const LOG_SYNC: FaultRule = { operation: "datasync", path: /t-0\/.*\.log$/ };

/**
 * The first such call on the log t-0 fails: what waits for it is refused, so is all that comes, and
 * the log in the other directory goes on (S8, R9).
 */
function failing(
  name: string,
  fault: FaultRule,
  before: (world: World, id: PartitionId) => Promise<void> = () => Promise.resolve(),
): Workload {
  return {
    name: `fault-${name}`,
    kind: "fault",
    setup: { logDirs: ["/one", "/two"], hasMetadata: false, configs: {} },
    script: async (world) => {
      await world.start();
      const id = await world.create("t", 0);
      const other = await world.create("t", 1);
      for (const each of [id, other]) world.append(each, { isIdempotent: true });
      await world.settle();
      await world.advance(60_000);
      await before(world, id);
      world.disk.fault = fault;
      world.disk.heldSyncs = null;
      // Enough for a new segment.
      for (let count = 0; count < 4; count += 1) {
        world.append(id, { valueBytes: 150, isIdempotent: true });
        world.append(other, { valueBytes: 150 });
      }
      await refusal(world.flush(id));
      assert(world.disk.faultCount === 1, "the call has failed");
      await world.flush(other);
      await refusal(appended(world, id));
      world.append(other);
      await world.settle();
      await world.advance(60_000);
    },
  };
}

export const FAULT_WORKLOADS: readonly Workload[] = [
  failing("write", { operation: "write", path: /t-0\/.*\.log$/ }),
  failing("sync", LOG_SYNC),
  failing("first-sync-of-two", LOG_SYNC, (world, id) => world.overlapSyncs(id)),
  failing("second-sync-of-two", { ...LOG_SYNC, skipCount: 1 }, (world, id) =>
    world.overlapSyncs(id),
  ),
  failing("index-sync", { operation: "datasync", path: /t-0\/.*\.index$/ }),
  failing("snapshot-sync", { operation: "datasync", path: /t-0\/.*\.snapshot$/ }),
  failing("directory-sync", { operation: "syncDir", path: /t-0$/ }),
];

async function appended(world: World, id: Parameters<World["append"]>[0]): Promise<void> {
  await Promise.resolve();
  world.append(id);
}

async function refusal(promise: Promise<void>): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof KafkaError && error.errorName === "KAFKA_STORAGE_ERROR") return;
    throw error;
  }
  throw new Error("S8: a call has failed, and nobody was refused");
}
