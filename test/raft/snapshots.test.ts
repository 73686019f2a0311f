import { describe, expect, test } from "vitest";
import type { Uuid } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import {
  readSnapshotFile,
  SnapshotError,
  snapshotFileName,
  snapshotIdOf,
  writeSnapshotFile,
} from "../../src/raft/snapshot-file.ts";
import { Snapshots } from "../../src/raft/snapshots.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { logWorld } from "../storage/support/log-world.ts";

const ID = { endOffset: 1234, epoch: 7 };
const HEAD = {
  timestampMs: 99,
  voters: [
    {
      nodeId: 1,
      directoryId: "rVOkE_ZvVwdXAkHJFrWK8g" as Uuid,
      endpoints: [{ name: "CONTROLLER", host: "localhost", port: 9093 }],
    },
  ],
};
const VALUES = Array.from({ length: 3_000 }, (_, index) => Buffer.from(`value ${index}`.repeat(9)));

async function written(values: Iterable<Buffer> = VALUES) {
  const { dependencies } = logWorld();
  const disk = new MemoryDisk();
  await disk.mkdir("/data");
  const ports = { disk, clock: dependencies.clock, logger: SILENT_LOGGER };
  const path = `/data/${snapshotFileName(ID)}`;
  await writeSnapshotFile(ports, path, { id: ID, head: HEAD }, values);
  return { disk, ports, path };
}

async function valuesIn({ ports, path }: Awaited<ReturnType<typeof written>>): Promise<string[]> {
  const values: string[] = [];
  await readSnapshotFile(ports, path, ID, (_head, batch) => values.push(...batch.map(String)));
  return values;
}

describe("a snapshot's file", () => {
  test("has Kafka's name (KIP-630)", () => {
    expect(snapshotFileName(ID)).toBe("00000000000000001234-0000000007.checkpoint");
    expect(snapshotIdOf(snapshotFileName(ID))).toEqual(ID);
    expect(snapshotIdOf("recovery-point-offset-checkpoint")).toBeNull();
    expect(snapshotIdOf(`${snapshotFileName(ID)}.part`)).toBeNull();
  });

  test("gives back what was put in, and who votes", async () => {
    const world = await written();
    expect(await valuesIn(world)).toEqual(VALUES.map(String));
    const { path, ports } = world;
    expect(await readSnapshotFile(ports, path, ID, () => undefined)).toEqual(HEAD);
    expect(await valuesIn(await written([]))).toEqual([]);
  });

  test("E14: is damaged when a bit is flipped or its end is missing, wherever that is", async () => {
    const world = await written(VALUES.slice(0, 20));
    const file = world.disk.openNow(world.path);
    const whole = Buffer.from(world.disk.files().get(world.path) ?? Buffer.alloc(0));
    for (let position = 0; position < whole.length; position += 7) {
      const flipped = Buffer.from(whole);
      flipped.writeUInt8(flipped.readUInt8(position) ^ (1 << (position % 8)), position);
      file.writeNow([flipped], 0);
      await expect(valuesIn(world), `position ${position}`).rejects.toThrow(SnapshotError);
    }
    file.writeNow([whole], 0);
    expect(await valuesIn(world)).toHaveLength(20);
    for (let length = whole.length - 1; length > 0; length -= 11) {
      file.truncateNow(length);
      await expect(valuesIn(world), `length ${length}`).rejects.toThrow(SnapshotError);
    }
  });

  test("a start takes the newest sound one, and removes what is not whole", async () => {
    const world = await written();
    const { disk, ports, path } = world;
    await writeSnapshotFile(
      ports,
      `/data/${snapshotFileName({ ...ID, endOffset: 2_000 })}.part`,
      {
        id: ID,
        head: HEAD,
      },
      [],
    );
    const damaged = `/data/${snapshotFileName({ ...ID, endOffset: 1_500 })}`;
    disk.openNow(damaged, { create: true }).writeNow([Buffer.from("damaged")], 0);
    const snapshots = await Snapshots.open(ports, "/data");
    expect(snapshots.newest).toEqual({ id: ID, head: HEAD });
    expect([...disk.files().keys()].sort()).toEqual([damaged, path].sort());
  });
});
