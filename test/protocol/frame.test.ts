import fc from "fast-check";
import { describe, expect, test } from "vitest";
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

describe("frames", () => {
  test("within one chunk are slices of it", () => {
    const chunk = framed(Buffer.from("one"), Buffer.alloc(0), Buffer.from("three"));
    const frames = new FrameDecoder(100).push(chunk);
    expect(frames.map(String)).toEqual(["one", "", "three"]);
    expect(frames.every(({ buffer }) => buffer === chunk.buffer)).toBe(true);
  });

  test("come out the same wherever the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 9000 }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 6000 }), { minLength: 1, maxLength: 40 }),
        (bodies, steps) => {
          const stream = framed(...bodies.map((body) => Buffer.from(body)));
          const decoder = new FrameDecoder(10_000);
          const frames: Buffer[] = [];
          for (let start = 0, turn = 0; start < stream.length; turn += 1) {
            const end = start + steps[turn % steps.length]!;
            frames.push(...decoder.push(stream.subarray(start, end)));
            start = end;
          }
          expect(frames.map((frame) => frame.toString("hex"))).toEqual(
            bodies.map((body) => Buffer.from(body).toString("hex")),
          );
          expect(decoder.pendingBytes).toBe(0);
        },
      ),
      { seed: 20261123 },
    );
  });

  test("that drip in byte by byte cost no more than their bytes", () => {
    const body = Buffer.alloc(200_000, 1);
    const stream = framed(body);
    const decoder = new FrameDecoder(body.length);
    const frames: Buffer[] = [];
    for (let at = 0; at < stream.length - 1; at += 1) {
      frames.push(...decoder.push(stream.subarray(at, at + 1)));
    }
    expect(frames).toHaveLength(0);
    expect(decoder.pendingChunks).toBeLessThan(250);
    frames.push(...decoder.push(stream.subarray(-1)));
    expect(frames).toHaveLength(1);
    expect(frames[0]!.equals(body)).toBe(true);
    expect(decoder.pendingChunks).toBe(0);
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
