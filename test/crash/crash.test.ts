import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { SeededRandom } from "../../src/base/random.ts";
import { choicesOf } from "./choices.ts";
import { explore, noFindings } from "./explorer.ts";
import { imageKey } from "./image.ts";
import { PowerModel } from "./power-model.ts";
import { RecordingDisk } from "./recorder.ts";
import { Prober } from "./probe.ts";
import { limitOf, record, type Recording, recordingNames, workloadOf } from "./recordings.ts";
import { EMPTY_IMAGE, type Image, type TraceEvent } from "./trace.ts";

/** Lets all that waits take effect until the script has ended. */
async function recorded(script: (disk: RecordingDisk) => Promise<void>): Promise<TraceEvent[]> {
  const disk = new RecordingDisk(EMPTY_IMAGE);
  let isOver = false;
  const running = script(disk).finally(() => {
    isOver = true;
  });
  // Set by the script.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    disk.performOne(null);
  }
  await running;
  return disk.events;
}

async function one(name: string, seed: number): Promise<Recording> {
  for await (const recording of record(name, seed)) return recording;
  throw new Error(`there is no recording ${name}`);
}

function proberOf(name: string): Prober {
  return new Prober(workloadOf(name).setup);
}

function imagesAfter(events: readonly TraceEvent[]): Image[] {
  const model = new PowerModel(EMPTY_IMAGE);
  for (const [at, event] of events.entries()) model.apply(event, at);
  const { pending } = model;
  const random = new SeededRandom(1);
  const choices = [...choicesOf(pending, { limit: 5_000, random, newest: null }).choices];
  const images = choices.map((choice) => model.image(pending, choice));
  return [...new Map(images.map((image) => [imageKey(image), image])).values()];
}

function contentsOf(images: readonly Image[], path: string): string[] {
  return [
    ...new Set(images.map(({ files }) => files.get(path)?.toString("latin1") ?? "none")),
  ].sort();
}

describe("what a power cut may leave", () => {
  test("bytes, length and name of a new file survive apart from each other", async () => {
    const events = await recorded(async (disk) => {
      const file = await disk.open("/file", { create: true });
      await file.writev([Buffer.from("ab")], 0);
    });
    const found = contentsOf(imagesAfter(events), "/file");
    expect(found).toEqual(expect.arrayContaining(["none", "", "\0\0", "ab", "a\0"]));
  });

  test("after both syncs there is one state", async () => {
    const events = await recorded(async (disk) => {
      const file = await disk.open("/file", { create: true });
      await file.writev([Buffer.from("ab")], 0);
      await file.datasync();
      await disk.syncDir("/");
    });
    expect(contentsOf(imagesAfter(events), "/file")).toEqual(["ab"]);
  });

  test("a sync covers what came before its call only", async () => {
    const events = await recorded(async (disk) => {
      const file = await disk.open("/file", { create: true });
      await disk.syncDir("/");
      const syncing = file.datasync();
      const writing = file.writev([Buffer.from("ab")], 0);
      await Promise.all([writing, syncing]);
    });
    expect(contentsOf(imagesAfter(events), "/file")).toContain("");
  });

  test("a truncation that was not synced may be lost while what was written after it is not", async () => {
    const events = await recorded(async (disk) => {
      const file = await disk.open("/file", { create: true });
      await file.writev([Buffer.alloc(8192, "o")], 0);
      await file.datasync();
      await disk.syncDir("/");
      await file.truncate(0);
      await file.writev([Buffer.alloc(4096, "n")], 0);
    });
    const found = contentsOf(imagesAfter(events), "/file");
    expect(found).toContain("n".repeat(4096) + "o".repeat(4096));
    expect(found).toContain("o".repeat(4096));
  });

  test("names of one directory survive in any order, those of one file in theirs", async () => {
    const events = await recorded(async (disk) => {
      await disk.open("/first", { create: true });
      await disk.open("/second", { create: true });
      await disk.rename("/second", "/third");
    });
    const found = new Set(imagesAfter(events).map(({ files }) => [...files.keys()].join()));
    const all = ["", "/first", "/second", "/third", "/first,/second", "/first,/third"];
    expect([...found].sort()).toEqual(all.sort());
  });

  test("what a failed sync was to keep is not kept by the next", async () => {
    const events = await recorded(async (disk) => {
      const file = await disk.open("/file", { create: true });
      await disk.syncDir("/");
      await file.writev([Buffer.from("ab")], 0);
      disk.fault = { operation: "datasync", path: /file/ };
      await expect(file.datasync()).rejects.toThrow("EIO");
      await file.datasync();
    });
    expect(contentsOf(imagesAfter(events), "/file")).toContain("");
    const facts = events.flatMap((event) => (event.kind === "fact" ? [event.fact.kind] : []));
    expect(facts).toEqual(["retried"]);
  });

  test("a rename leaves the old name or the new one, and a directory without a name takes all along", async () => {
    const events = await recorded(async (disk) => {
      await disk.open("/old", { create: true });
      await disk.syncDir("/");
      await disk.rename("/old", "/new");
      await disk.mkdir("/directory");
      await disk.open("/directory/file", { create: true });
      await disk.syncDir("/directory");
    });
    const images = imagesAfter(events);
    for (const { files } of images) expect(files.has("/old")).toBe(!files.has("/new"));
    expect(images.some(({ files }) => files.has("/directory/file"))).toBe(true);
    expect(images.some(({ directories }) => directories.length === 0)).toBe(true);
  });
});

describe("the explorer", () => {
  test("the same name and seed give the same trace", async () => {
    const hashes: string[] = [];
    for (let run = 0; run < 2; run += 1) {
      const { world } = await one("roll/crash", 3);
      hashes.push(world.trace.events.map((event) => event.kind).join(" "));
    }
    expect(hashes[0]).toBe(hashes[1]);
  });

  test.each(["append", "group-commit"])("nothing is lost in %s", async (name) => {
    const recording = await one(name, 0);
    const found = await explore(recording, { limit: 10, maxViolations: 1, prober: proberOf(name) });
    expect(found.violations).toEqual([]);
    expect(found.hashes.size).toBeGreaterThan(50);
  });

  test("every state of a short trace is looked at, and every one of each recovery from those", async () => {
    const prober = proberOf("short-truncate");
    for (const name of ["short-truncate", "short-truncate/recovery"]) {
      const findings = noFindings();
      for await (const recording of record(name, 0)) {
        await explore(recording, { limit: limitOf(name), maxViolations: 1, prober }, findings);
        if (findings.recordingCount === 5) break;
      }
      expect(findings.violations).toEqual([]);
      expect(findings.exhaustedCount).toBe(findings.momentCount);
    }
  });

  test("syncs that are turned off are looked for in recordings that there are", () => {
    const text = readFileSync(new URL("found-by.json", import.meta.url), "utf8");
    const places = Object.values(JSON.parse(text) as Record<string, string>);
    const known = new Set(recordingNames());
    expect(places.filter((place) => !known.has(place.replace(/@.*/, "")))).toEqual([]);
  });

  test("a sync that is left out is missed, and the state can be told by its id", async () => {
    const recording = await one("append", 0);
    const { events } = recording.world.disk;
    // As if the product had not synced its log: it believes that it has.
    for (const [at, { kind, where }] of events.entries()) {
      if (kind !== "datasync" || !where().includes(".log")) continue;
      events[at] = { kind: "fact", fact: { kind: "starting" }, where };
    }
    const options = { limit: 20, prober: proberOf("append") };
    const found = await explore(recording, { ...options, maxViolations: 1 });
    const [violation] = found.violations;
    expect(violation?.texts.join()).toMatch(/S4/);
    const again = await explore(recording, {
      ...options,
      maxViolations: 1,
      state: violation!.state,
    });
    expect(again.violations).toEqual([violation]);
  });
});
