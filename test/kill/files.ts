import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { dumpLog } from "../support/dump-log.ts";
import { KEYED, PLAIN } from "./rounds.ts";

/** kafka-dump-log finds no fault in any file of any log. */
export async function expectSoundFiles(dataDirectory: string): Promise<void> {
  for (const topic of [PLAIN, KEYED]) {
    const directory = join(dataDirectory, `${topic}-0`);
    const report = await dumpLog(directory, { isCompacted: topic === KEYED });
    expect(report.complaints).toEqual([]);
    expect(report.batches).toBeGreaterThan(0);
    expect(report.indexEntries).toBeGreaterThan(0);
    expect(report.producers).toBeGreaterThan(0);
  }
  const metadata = join(dataDirectory, "__cluster_metadata-0");
  const report = await dumpLog(metadata, { decodesMetadata: true });
  expect(report.complaints).toEqual([]);
  expect(report.records.some((line) => line.includes(`"name":"${KEYED}"`))).toBe(true);
}

/** One flipped bit in a file of each kind, in turn, is found; all is put back as it was. */
export async function expectFaultsFound(dataDirectory: string): Promise<void> {
  const directory = join(dataDirectory, `${KEYED}-0`);
  const names = (await readdir(directory)).sort();
  for (const suffix of [".log", ".index", ".timeindex", ".snapshot"]) {
    for (const name of names.filter((each) => each.endsWith(suffix))) {
      const path = join(directory, name);
      const sound = await readFile(path);
      if (sound.length === 0) continue;
      const flipped = Buffer.from(sound);
      const at = suffix === ".log" ? flipped.length - 1 : flipped.length - 5;
      flipped[at] = flipped[at]! ^ 8;
      await writeFile(path, flipped);
      expect((await dumpLog(directory, { isCompacted: true })).complaints, name).not.toEqual([]);
      await writeFile(path, sound);
      break;
    }
  }
}
