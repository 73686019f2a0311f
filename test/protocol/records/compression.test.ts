import fc from "fast-check";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import type { CompressionType } from "../../../src/base/offload.ts";
import { KafkaError } from "../../../src/protocol/errors.ts";
import { xxHash32 } from "../../../src/protocol/records/compression-lz4.ts";
import { deflateBlock } from "../../../src/protocol/records/compression-snappy.ts";
import { deflateSync, inflateSync, loadCodec } from "../../../src/protocol/records/compression.ts";

const PACKED = ["gzip", "snappy", "lz4", "zstd"] as const;
const MIB = 1024 * 1024;

beforeAll(() => loadCodec("zstd"));

/** Runs of a few bytes between noise: matches short and long, near and far, overlapping and not. */
const repetitive = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 400 })))
  .map((runs) =>
    Buffer.concat(runs.map(([run, times]) => Buffer.concat(Array<Uint8Array>(times).fill(run)))),
  );

function outcome(type: CompressionType, bytes: Buffer, maxBytes: number): Buffer | string {
  try {
    return inflateSync(type, bytes, maxBytes);
  } catch (error) {
    expect(error).toBeInstanceOf(KafkaError);
    return (error as KafkaError).errorName;
  }
}

describe.each(PACKED)("%s", (type) => {
  test("gives back what was packed, within exactly its size", () => {
    fc.assert(
      fc.property(repetitive, (bytes) => {
        expect(inflateSync(type, deflateSync(type, bytes), bytes.length).equals(bytes)).toBe(true);
      }),
    );
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(3 * MIB, 7), randomBytes(200_000)]) {
      expect(inflateSync(type, deflateSync(type, bytes), bytes.length).equals(bytes)).toBe(true);
    }
  });

  test("packs what repeats", () => {
    const bytes = Buffer.from("a record like the one before, ".repeat(2000));
    expect(deflateSync(type, bytes).length).toBeLessThan(bytes.length / 10);
  });

  test("a bomb ends in CORRUPT_MESSAGE and costs no memory in proportion to it", () => {
    const bomb = deflateSync(type, Buffer.alloc(200 * MIB));
    const before = process.memoryUsage();
    for (let i = 0; i < 5; i += 1) expect(outcome(type, bomb, MIB)).toBe("CORRUPT_MESSAGE");
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(50 * MIB);
    expect(after.rss - before.rss).toBeLessThan(100 * MIB);
  });

  test("is damaged when it is cut off anywhere", () => {
    const packed = deflateSync(type, Buffer.from("abcdefgh".repeat(50)));
    for (let length = 0; length < packed.length; length += 1) {
      // Nothing at all is no data for the framed formats; it never becomes the data that was packed.
      const result = outcome(type, packed.subarray(0, length), MIB);
      if (result instanceof Buffer) expect(result.length).toBe(0);
      else expect(result).toBe("CORRUPT_MESSAGE");
    }
  });

  test("ends in bytes within the bound or in CORRUPT_MESSAGE, whatever is flipped", () => {
    const packed = deflateSync(type, Buffer.from("to be, or not to be; ".repeat(40)));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(packed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        (changes) => {
          const bytes = Buffer.from(packed);
          changes.forEach(([at, value]) => (bytes[at] = value));
          const result = outcome(type, bytes, 4096);
          if (result instanceof Buffer) expect(result.length).toBeLessThanOrEqual(4096);
          else expect(result).toBe("CORRUPT_MESSAGE");
        },
      ),
      { numRuns: 1500 },
    );
  });

  test("ends in bytes or in CORRUPT_MESSAGE for noise", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
        const result = outcome(type, Buffer.from(noise), 4096);
        if (!(result instanceof Buffer)) expect(result).toBe("CORRUPT_MESSAGE");
      }),
      { numRuns: 1000 },
    );
  });
});

describe("what other producers write", () => {
  const text = Buffer.from("snappy ".repeat(100));

  test("none is bounded as well", () => {
    expect(inflateSync("none", text, text.length)).toBe(text);
    expect(outcome("none", text, text.length - 1)).toBe("CORRUPT_MESSAGE");
  });

  test("one raw snappy block, without xerial's framing (sarama, franz-go)", () => {
    expect(inflateSync("snappy", deflateBlock(text), MIB).equals(text)).toBe(true);
  });

  test("several xerial streams in a row", () => {
    const twice = Buffer.concat([deflateSync("snappy", text), deflateSync("snappy", text)]);
    expect(inflateSync("snappy", twice, MIB).equals(Buffer.concat([text, text]))).toBe(true);
    expect(outcome("snappy", twice, 2 * text.length - 1)).toBe("CORRUPT_MESSAGE");
  });

  test("snappy copies with a four-byte distance and literals of each length form", () => {
    const long = randomBytes(70_000);
    const block = Buffer.concat([
      Buffer.from("f5a204", "hex"), // 70,005
      Buffer.from("f86f1101", "hex"), // 70,000 literals, length in three bytes
      long,
      Buffer.from("13", "hex"), // five bytes from a four-byte distance
      Buffer.from("70110100", "hex"),
    ]);
    const expected = Buffer.concat([long, long.subarray(0, 5)]);
    expect(inflateSync("snappy", block, MIB).equals(expected)).toBe(true);
  });

  test("gzip members, lz4 frames and zstd frames in a row are one stream", () => {
    expect(inflateSync("gzip", Buffer.concat([gzipSync(text), gzipSync(text)]), MIB).length).toBe(
      2 * text.length,
    );
    for (const type of ["lz4", "zstd"] as const) {
      const packed = deflateSync(type, text);
      const twice = Buffer.concat([packed, packed]);
      expect(inflateSync(type, twice, MIB).equals(Buffer.concat([text, text]))).toBe(true);
      expect(outcome(type, twice, 2 * text.length - 1)).toBe("CORRUPT_MESSAGE");
    }
  });

  test("an lz4 frame of dependent blocks with every checksum and its size", () => {
    const first = Buffer.from("0123456789abcdef");
    // 19 bytes from 16 back, which lie in the block before; then five literals.
    const second = Buffer.concat([Buffer.from("0f10000050", "hex"), Buffer.from("ghijk")]);
    const content = Buffer.from("0123456789abcdef" + "0123456789abcdef012" + "ghijk");
    const descriptor = Buffer.alloc(10);
    descriptor[0] = 0x40 | 0x10 | 0x08 | 0x04;
    descriptor[1] = 0x40;
    descriptor.writeBigUInt64LE(BigInt(content.length), 2);
    const frame = Buffer.concat([
      Buffer.from("04224d18", "hex"),
      descriptor,
      hashOf(descriptor).subarray(1, 2),
      uint32(first.length + 0x80000000),
      first,
      hashOf(first),
      uint32(second.length),
      second,
      hashOf(second),
      uint32(0),
      hashOf(content),
    ]);
    expect(inflateSync("lz4", frame, MIB).toString()).toBe(content.toString());
    const damaged = Buffer.from(frame);
    damaged[frame.indexOf("ghijk")]! ^= 1;
    expect(outcome("lz4", damaged, MIB)).toBe("CORRUPT_MESSAGE");
  });

  test("xxHash32 is the published one", () => {
    const hash = (text: string): number => xxHash32(Buffer.from(text), 0, text.length);
    expect(hash("")).toBe(0x02cc5d05);
    expect(hash("abc")).toBe(0x32d153ff);
    expect(hash("Nobody inspects the spammish repetition")).toBe(0xe2293b2f);
  });

  test("a zstd frame that announces more than its blocks can hold is refused before allocating", () => {
    // Single segment, eight bytes of size, one empty raw block.
    const frame = Buffer.from("28b52ffde0" + "0000004000000000" + "010000", "hex");
    expect(outcome("zstd", frame, 2 ** 31)).toBe("CORRUPT_MESSAGE");
  });
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function hashOf(bytes: Buffer): Buffer {
  return uint32(xxHash32(bytes, 0, bytes.length));
}
