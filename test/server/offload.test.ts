import { beforeAll, describe, expect, test } from "vitest";
import { must } from "../../src/base/assert.ts";
import type { Offload } from "../../src/base/offload.ts";
import { deflateSync, loadCodec } from "../../src/protocol/records/compression.ts";
import { InlineOffload, NodeOffload } from "../../src/server/offload.ts";

const COMPRESSION_TYPES = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
const CORRUPT = expect.objectContaining({ errorName: "CORRUPT_MESSAGE" }) as Error;
let inline: InlineOffload | null = null;

beforeAll(async () => {
  await loadCodec("zstd");
  inline = await InlineOffload.open();
});

describe.each(COMPRESSION_TYPES)("inflating %s", (type) => {
  const sizes = [10, 100_000];

  function offloads(): Offload[] {
    return [new NodeOffload(), must(inline, "opened before")];
  }

  test.each(sizes)("both forms give the same %d bytes, and both keep the bound", async (size) => {
    const bytes = Buffer.alloc(size, "record");
    const packed = deflateSync(type, bytes);
    for (const offload of offloads()) {
      expect((await offload.inflate(type, packed, size)).equals(bytes)).toBe(true);
      await expect(offload.inflate(type, packed, size - 1)).rejects.toThrow(CORRUPT);
    }
  });

  test("both forms reject damage, never throw it", async () => {
    // Larger than what NodeOffload does inline.
    const bytes = Buffer.alloc(20_000, 0xee);
    for (const offload of offloads()) {
      const result = offload.inflate(type, bytes, 10_000);
      await expect(result).rejects.toThrow(CORRUPT);
    }
  });

  test("the inline form settles without waiting for anything", async () => {
    const order: string[] = [];
    const packed = deflateSync(type, Buffer.from("abc"));
    const inflated = must(inline, "opened before")
      .inflate(type, packed, 10)
      .then(() => order.push("inflated"));
    for (let turn = 0; turn < 3; turn += 1) await Promise.resolve();
    order.push("three microtasks later");
    await inflated;
    expect(order).toEqual(["inflated", "three microtasks later"]);
  });
});
