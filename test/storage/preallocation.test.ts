import { expect, test } from "vitest";
import type { DiskFile } from "../../src/base/disk.ts";
import { FaultyDisk } from "../../src/storage/faulty-disk.ts";
import { Log, type LogConfig } from "../../src/storage/log.ts";
import { Preallocation } from "../../src/storage/preallocation.ts";
import { batchOf, CLIENT, CONFIG, DIRECTORY, logWorld, readAll } from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";
import { ScriptedDisk } from "./support/scripted-disk.ts";

const SIZE = batchOf(1).length;
const CHUNK_BYTES = 64 * 1024;
const AHEAD: Partial<LogConfig> = { preallocate: true, flushMessages: 1 };
/** Five batches a segment, and no zeros beyond it. */
const SMALL: Partial<LogConfig> = { ...AHEAD, segmentBytes: 5 * SIZE, indexIntervalBytes: 1 };
const ZEROS_SITE = "preallocation.ts #write";

const file = (base: number): string => `${DIRECTORY}/${String(base).padStart(20, "0")}.log`;

async function append(log: Log, count: number): Promise<void> {
  for (let each = 0; each < count; each += 1) {
    log.append(batchOf(1), CLIENT);
    await log.flush();
  }
  await settle();
}

/** A disk as a killed process leaves it, and what the log held. */
async function killed(count: number, config = AHEAD) {
  const { disk, open } = logWorld();
  const log = await open(config);
  await append(log, count);
  return { disk: disk.clone(), batches: await readAll(log) };
}

/** The bytes of a log's file that lie behind so many batches. */
function behind(disk: ScriptedDisk, base: number, count: number): Buffer {
  return disk.content(file(base)).subarray(count * SIZE);
}

test("zeros lie behind the batches, and neither count nor are read", async () => {
  const { disk, open } = logWorld();
  const log = await open(AHEAD);
  await append(log, 3);
  expect(behind(disk, 0, 3)).toEqual(Buffer.alloc(CHUNK_BYTES + SIZE - 3 * SIZE));
  expect(log.sizeBytes).toBe(3 * SIZE);
  expect(await log.segmentSummaries()).toMatchObject([{ sizeBytes: 3 * SIZE }]);
  expect((await readAll(log)).length).toBe(3);
});

test("zeros are written again only where the batches have used them up", async () => {
  const { disk, open } = logWorld();
  const log = await open(AHEAD);
  await append(log, 10);
  // The first batch, the zeros, nine batches over them.
  expect(disk.count("writev", ".log")).toBe(11);
  log.append(batchOf(1, CHUNK_BYTES), CLIENT);
  await log.flush();
  await settle();
  expect(disk.count("writev", ".log")).toBe(13);
  const writtenBytes = log.sizeBytes;
  // No more than the segment holds.
  expect(disk.content(file(0)).length).toBe(2 * writtenBytes);
});

test("a batch whose sync takes long anyway gets no zeros behind it", async () => {
  const { disk, open } = logWorld();
  const log = await open(AHEAD);
  log.append(batchOf(1, 128 * 1024), CLIENT);
  await log.flush();
  await settle();
  expect(disk.content(file(0)).length).toBe(log.sizeBytes);
});

test("no zeros lie beyond the size of a segment", async () => {
  const { disk, open } = logWorld();
  await append(await open({ ...AHEAD, segmentBytes: 1_000 }), 1);
  expect(disk.content(file(0)).length).toBe(1_000);
});

test.each<[string, Partial<LogConfig>]>([
  ["it was not asked for", { flushMessages: 1 }],
  ["no count asks for syncs", { preallocate: true, flushMs: 1_000 }],
])("no zeros are written where %s", async (_name, config) => {
  const { disk, open } = logWorld();
  await append(await open(config), 2);
  expect(disk.content(file(0)).length).toBe(2 * SIZE);
});

test("a change of the setting holds from the next batch on", async () => {
  const { disk, open } = logWorld();
  const log = await open({ flushMessages: 1 });
  await append(log, 1);
  log.updateConfig({ ...CONFIG, ...AHEAD });
  await append(log, 1);
  expect(behind(disk, 0, 2).length).toBeGreaterThan(0);
  log.updateConfig({ ...CONFIG, flushMessages: 1 });
  const writeCount = disk.count("writev", ".log");
  log.append(batchOf(1, CHUNK_BYTES), CLIENT);
  await log.flush();
  await settle();
  expect(disk.count("writev", ".log")).toBe(writeCount + 1);
  await log.close();
  expect(disk.content(file(0)).length).toBe(log.sizeBytes);
});

test("a segment ends with its last batch before the next one is made, so that a kill leaves no hole (R1)", async () => {
  const { disk, open } = logWorld();
  const log = await open({ ...SMALL, segmentBytes: 5 * SIZE + 1 });
  await append(log, 6);
  expect(disk.content(file(0)).length).toBe(5 * SIZE);
  const calls = disk.calls.map(({ operation, path }) => `${operation} ${path}`);
  const trimmed = calls.indexOf(`truncate ${file(0)}`);
  expect(trimmed).toBeGreaterThan(-1);
  expect(calls.indexOf(`open ${file(5)}`)).toBeGreaterThan(trimmed);
  expect(calls.lastIndexOf(`datasync ${file(0)}`)).toBeGreaterThan(trimmed);
  await log.close();
  const again = await open(SMALL, { isClean: true, recoveryPoint: 6 });
  expect((await readAll(again)).length).toBe(6);
});

test("after an orderly stop the file ends with its last batch, durably", async () => {
  const { disk, open, said } = logWorld();
  const log = await open(AHEAD);
  await append(log, 3);
  await log.close();
  expect(behind(disk, 0, 3).length).toBe(0);
  const calls = disk.calls.filter(({ path }) => path === file(0)).map((call) => call.operation);
  expect(calls.slice(-2)).toEqual(["truncate", "datasync"]);
  const again = await open(AHEAD, { isClean: true, recoveryPoint: 3 });
  expect(again.logEndOffset).toBe(3);
  expect(said).toEqual([]);
});

test("a kill loses nothing, and zeros are no torn tail", async () => {
  const { disk, batches } = await killed(3);
  expect(behind(disk, 0, 3).length).toBeGreaterThan(0);
  for (const recoveryPoint of [0, 3]) {
    const world = logWorld(disk.clone());
    const log = await world.open(AHEAD, { recoveryPoint });
    expect(await readAll(log)).toEqual(batches);
    expect(world.said).toEqual([]);
    expect(behind(world.disk, 0, 3).length).toBe(0);
    await append(log, 1);
    expect(behind(world.disk, 0, 4).length).toBeGreaterThan(0);
  }
});

test("a batch torn over zeros is cut as any torn tail (E1)", async () => {
  const { disk } = await killed(3);
  const bytes = disk.content(file(0));
  // Up to the last byte that is not zero anyway.
  for (let length = 2 * SIZE; length < 3 * SIZE - 1; length += 1) {
    const torn = disk.clone();
    const whole = Buffer.from(bytes);
    torn.put(file(0), whole.fill(0, length));
    const { open, said, disk: after } = logWorld(torn);
    const log = await open(AHEAD);
    expect(log.logEndOffset, `torn at ${length}`).toBe(2);
    expect(after.content(file(0)).length).toBe(2 * SIZE);
    expect(said.map(({ message }) => message)).toEqual(
      whole.subarray(2 * SIZE).every((byte) => byte === 0) ? [] : ["recovery cut a torn tail"],
    );
  }
});

test("zeros where batches were durable are damage (R10, S16)", async () => {
  const { disk } = await killed(3);
  disk.put(file(0), disk.content(file(0)).fill(0, 2 * SIZE));
  const { open, said } = logWorld(disk);
  const log = await open(AHEAD, { recoveryPoint: 3 });
  expect(log.logEndOffset).toBe(3);
  expect(said).toMatchObject([{ level: "error", facts: { damagedCount: 1 } }]);
  const lost = { offset: 2, endOffset: 3, maxBytes: 1_000, minOneBatch: true };
  await expect(log.read(lost)).rejects.toMatchObject({ errorName: "CORRUPT_MESSAGE" });
  expect((await log.read({ ...lost, offset: 0, endOffset: 2 })).nextOffset).toBe(2);
  await append(log, 1);
  expect(log.logEndOffset).toBe(4);
});

test("one good batch between damage and the zeros is found again (R10)", async () => {
  const { disk, batches } = await killed(3);
  const bytes = disk.content(file(0));
  bytes.writeUInt8(bytes.readUInt8(SIZE + 70) ^ 1, SIZE + 70);
  disk.put(file(0), bytes);
  const log = await logWorld(disk).open(AHEAD, { recoveryPoint: 2 });
  expect(log.logEndOffset).toBe(3);
  expect(await readAll(log, 2)).toEqual(batches.slice(2));
});

test("a last batch whose offset has rotten is not believed because zeros follow it", async () => {
  const { disk } = await killed(3);
  const bytes = disk.content(file(0));
  bytes.writeUInt8(1, 2 * SIZE + 6);
  disk.put(file(0), bytes);
  const log = await logWorld(disk).open(AHEAD, { recoveryPoint: 2 });
  expect(log.logEndOffset).toBe(2);
});

/** A log on a disk on which one call goes wrong. */
async function openFaulty(rule: Parameters<FaultyDisk["setRules"]>[0][number]) {
  const world = logWorld();
  const disk = new FaultyDisk(world.dependencies, [rule]);
  const log = await Log.open(
    { ...world.dependencies, disk },
    { directory: DIRECTORY, config: { ...CONFIG, ...SMALL } },
  );
  return { log, disk: world.disk };
}

test.each([
  ["none", { kind: "error", code: "ENOSPC" } as const],
  ["too little", { kind: "shortWrite", bytes: 50, code: "ENOSPC" } as const],
])(
  "where there is %s room for zeros, there are none, and the log goes on",
  async (_name, fault) => {
    const { log, disk } = await openFaulty({ callSite: ZEROS_SITE, fault });
    await append(log, 4);
    expect(log.failure).toBeNull();
    expect(behind(disk, 0, 4).length).toBe(0);
    // The next segment tries again.
    await append(log, 2);
    expect(behind(disk, 5, 1).length).toBeGreaterThan(0);
    await log.close();
    expect(behind(disk, 5, 1).length).toBe(0);
  },
);

test("a disk that fails under the zeros has failed (R9)", async () => {
  const { log } = await openFaulty({ callSite: ZEROS_SITE, fault: { kind: "error", code: "EIO" } });
  log.append(batchOf(1), CLIENT);
  await settle();
  expect(log.failure?.code).toBe("EIO");
});

test("what is trimmed while zeros are on their way has none afterwards", async () => {
  const calls: string[] = [];
  let arrive = (): void => undefined;
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const slow = {
    writev: async () => {
      await arrived;
      calls.push("zeros");
    },
    truncate: (length: number) => {
      calls.push(`truncate ${length}`);
      return Promise.resolve();
    },
  } as unknown as DiskFile;
  const preallocation = new Preallocation();
  const extended = preallocation.extend(slow, 100, 1_000);
  const trimmed = preallocation.trim(slow, 100);
  arrive();
  await extended;
  expect(await trimmed).toBe(true);
  expect(calls).toEqual(["zeros", "truncate 100"]);
  expect(await preallocation.trim(slow, 100)).toBe(false);
});
