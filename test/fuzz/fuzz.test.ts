import { beforeAll, describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { codecFor } from "../../src/protocol/codec.ts";
import { InlineOffload } from "../../src/server/offload.ts";
import { fuzzBatches, loadBatches } from "./batches.ts";
import { fuzzCodecs } from "./codecs.ts";
import { growth, heldMemory, valueBytes } from "./memory.ts";
import { mutate } from "./mutate.ts";
import { Tally } from "./tally.ts";
import { type Group, loadGroups } from "./vectors.ts";

let groups: readonly Group[] = [];
let offload: InlineOffload | null = null;

beforeAll(async () => {
  groups = loadGroups();
  offload = await InlineOffload.open();
});

describe("the fuzzer", () => {
  test("finds nothing in a short run, and most of its frames reach the body", () => {
    const tally = new Tally();
    fuzzCodecs(groups, tally, { seed: "short", start: 0, count: 6000 });
    expect(tally.violations).toEqual([]);
    expect(tally.pastHeader).toBeGreaterThan(3000);
    // Values and refusals both: a mutator that only breaks would test little.
    expect(tally.outcomes.get("body: value")).toBeGreaterThan(600);
    expect(tally.outcomes.get("body: truncated")).toBeGreaterThan(600);
  });

  test("finds nothing in a short run over record batches", async () => {
    const tally = new Tally();
    await fuzzBatches(loadBatches(), tally, must(offload, "opened before"), {
      seed: "short",
      start: 0,
      count: 1000,
    });
    expect(tally.violations).toEqual([]);
    expect(tally.outcomes.get("batch: accepted from a client")).toBeGreaterThan(50);
    expect(tally.outcomes.get("records: read")).toBeGreaterThan(100);
  });

  test("reports a codec that throws anything but a typed error", () => {
    const group = must(groups[0], "there are groups");
    const broken = {
      ...group.api.request,
      get fields(): never {
        throw new RangeError("planted");
      },
    };
    const tally = new Tally();
    const planted = { ...group, isRequest: false, api: { ...group.api, response: broken } };
    fuzzCodecs([planted], tally, { seed: "planted", start: 0, count: 10 });
    expect(tally.violations.length).toBeGreaterThan(0);
    expect(tally.violations[0]).toContain("RangeError: planted");
  });

  test("makes the same frame from the same seed and index", () => {
    const { vectors } = must(groups[5], "there are groups");
    const { bytes, bodySites } = must(vectors[0], "there are vectors");
    const source = { bytes, sites: bodySites };
    const make = (seed: string): string =>
      mutate(new SeededRandom(seed), source, source).bytes.toString("hex");
    const frames = Array.from({ length: 50 }, (_, index) => make(`s/${index}`));
    expect(frames).toEqual(Array.from({ length: 50 }, (_, index) => make(`s/${index}`)));
    expect(new Set(frames).size).toBeGreaterThan(20);
  });

  test("tells what is held more than before, and does not count compiled code", async () => {
    class Kept {
      readonly next: Kept | null;
      constructor(next: Kept | null) {
        this.next = next;
      }
    }
    const before = await heldMemory();
    let kept = new Kept(null);
    for (let bytes = 0; bytes < before.totalBytes / 5; bytes += 32) kept = new Kept(kept);
    const after = await heldMemory();
    expect(growth(before, after)).toMatch(/^object Kept \d+\.\d MiB/);
    expect(growth(before, before)).toBeNull();
    expect(kept.next).not.toBeNull();
    expect([...after.bytesByKind.keys()]).toContain("array");
    expect([...after.bytesByKind.keys()]).not.toContain("code");
  }, 120_000);

  test("weighs what was decoded", () => {
    const group = must(
      groups.find(({ api, isRequest }) => isRequest && api.name === "Metadata"),
      "Metadata is known",
    );
    const codec = codecFor(group.api.request, group.version);
    const value = (topics: number): number =>
      valueBytes(
        codec.decode(
          codec.encode({ topics: Array.from({ length: topics }, () => ({ name: "t" })) }),
        ),
      );
    expect(value(1000) - value(0)).toBeGreaterThan(1000 * 32);
  });
});
