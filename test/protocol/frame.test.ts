import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BufferPool } from "../../src/base/buffer-pool.ts";
import { ProtocolError } from "../../src/protocol/errors.ts";
import { FrameDecoder } from "../../src/protocol/frame.ts";

function framed(...bodies: readonly Buffer[]): Buffer {
  return Buffer.concat(
    bodies.flatMap((body) => {
      const size = Buffer.alloc(4);
      size.writeInt32BE(body.length);
      return [size, body];
    }),
  );
}

/** As the network does it: into the decoder's own memory. */
function read(decoder: FrameDecoder, bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const copied = bytes.copy(decoder.target, 0, at);
    frames.push(...decoder.received(copied));
    at += copied;
  }
  return frames;
}

describe("frames", () => {
  test("are not touched by what is read after them", () => {
    const decoder = new FrameDecoder(100);
    const first = read(decoder, framed(Buffer.from("one"), Buffer.alloc(0), Buffer.from("three")));
    const second = read(decoder, framed(Buffer.from("other"), Buffer.from("bytes")));
    expect(first.map(String)).toEqual(["one", "", "three"]);
    expect(second.map(String)).toEqual(["other", "bytes"]);
  });

  test("come out the same wherever the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 9000, size: "max" }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 6000 }), { minLength: 1, maxLength: 40 }),
        (bodies, steps) => {
          const stream = framed(...bodies.map((body) => Buffer.from(body)));
          const decoder = new FrameDecoder(10_000);
          const pushing = new FrameDecoder(10_000);
          const frames: Buffer[] = [];
          const pushed: Buffer[] = [];
          for (let start = 0, turn = 0; start < stream.length; turn += 1) {
            const end = start + steps[turn % steps.length]!;
            frames.push(...read(decoder, stream.subarray(start, end)));
            pushed.push(...pushing.push(stream.subarray(start, end)));
            start = end;
          }
          const wanted = bodies.map((body) => Buffer.from(body).toString("hex"));
          expect(frames.map((frame) => frame.toString("hex"))).toEqual(wanted);
          expect(pushed.map((frame) => frame.toString("hex"))).toEqual(wanted);
          expect(decoder.pendingBytes).toBe(0);
        },
      ),
      { seed: 20261123 },
    );
  });

  test("that drip in byte by byte hold little more memory than has come of them", () => {
    const body = Buffer.alloc(200_000, 1);
    const stream = framed(body);
    const decoder = new FrameDecoder(body.length);
    let isLittle = true;
    for (let at = 0; at < stream.length - 1; at += 1) {
      const frames = decoder.push(stream.subarray(at, at + 1));
      isLittle &&= frames.length === 0;
      isLittle &&= decoder.placeBytes <= 1024 + 16 * decoder.pendingBytes;
    }
    expect(isLittle).toBe(true);
    const frames = decoder.push(stream.subarray(-1));
    expect(frames).toHaveLength(1);
    expect(frames[0]!.equals(body)).toBe(true);
    expect(decoder.placeBytes).toBe(0);
  });

  test("whose size alone has come cost next to nothing", () => {
    const decoder = new FrameDecoder(100 * 1024 * 1024);
    decoder.push(Buffer.from("06400000", "hex"));
    expect(decoder.placeBytes).toBe(1024);
  });

  test("that are large are read into their own place, and the next one is not", () => {
    const pool = new BufferPool({ maxFreeBytes: 1024 * 1024 });
    const decoder = new FrameDecoder(1024 * 1024, pool);
    const body = randomBytes(500_000);
    const stream = framed(body, Buffer.from("next"));
    expect(read(decoder, stream.subarray(0, 60_000))).toEqual([]);
    expect(decoder.target).toHaveLength(500_004 - 60_000);
    const [large] = read(decoder, stream.subarray(60_000, 500_004));
    expect(large!.equals(body)).toBe(true);
    expect(read(decoder, stream.subarray(500_004)).map(String)).toEqual(["next"]);
    pool.release(large!);
    expect(pool.freeBytes).toBeGreaterThan(500_000);
  });

  test("that never complete give their place back", () => {
    const pool = new BufferPool({ maxFreeBytes: 1024 * 1024 });
    const decoder = new FrameDecoder(1024 * 1024, pool);
    decoder.push(framed(Buffer.alloc(500_000)).subarray(0, 60_000));
    decoder.close();
    expect(pool.freeBytes).toBeGreaterThan(500_000);
    expect(decoder.push(framed(Buffer.from("anew"))).map(String)).toEqual(["anew"]);
  });

  test.each([
    ["ffffffff", "malformed"],
    ["80000000", "malformed"],
    ["00000065", "too-large"],
    ["7fffffff", "too-large"],
  ])("of size %s are refused as soon as the size is there: %s", (prefix, kind) => {
    const bytes = Buffer.from(prefix, "hex");
    for (const cut of [0, 1, 3]) {
      const decoder = new FrameDecoder(100);
      decoder.push(bytes.subarray(0, cut));
      let error: unknown;
      try {
        decoder.push(bytes.subarray(cut));
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(ProtocolError);
      expect(error).toMatchObject({ kind });
    }
  });

  test("of exactly the limit are taken", () => {
    expect(new FrameDecoder(100).push(framed(Buffer.alloc(100)))).toHaveLength(1);
  });
});
