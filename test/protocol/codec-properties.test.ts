import fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { type Codec, makeCodec } from "../../src/protocol/codec.ts";
import { ProtocolError } from "../../src/protocol/errors.ts";
import { planMessage } from "../../src/protocol/plan.ts";
import type { Message } from "../../src/protocol/schema.ts";
import { everyMessage, structArbitrary } from "./arbitrary.ts";

/** The same draws in every run: what is found by chance belongs to the fuzzer. */
const RUNS = { seed: 20261123, numRuns: 8 };

/** More than this many cuts or flips of one message are spread over it evenly. */
const MAX_POSITIONS = 60;

describe.each(everyMessage())("$message.name v$version", ({ message, version }) => {
  const compiled: Codec<Message> = makeCodec(message, version);
  const interpreted: Codec<Message> = makeCodec(message, version, { interpreted: true });
  const values = structArbitrary(planMessage(message, version, "shipped"));

  test("decoding what was encoded gives the value, with both codecs, which agree", () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = compiled.encode(value as never);
        expect(interpreted.encode(value as never).equals(bytes)).toBe(true);
        for (const codec of [compiled, interpreted]) {
          const decoded = codec.decode(bytes);
          if (!isDeepStrictEqual(decoded, value)) expect(decoded).toStrictEqual(value);
        }
      }),
      RUNS,
    );
  });

  test("a message that is cut anywhere, or too long, is a ProtocolError", () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = compiled.encode(value as never);
        for (const length of positionsIn(bytes.length)) {
          for (const codec of [compiled, interpreted]) {
            expect(outcome(codec, bytes.subarray(0, length)), `cut at ${length}`).toBe("refused");
          }
        }
        const longer = Buffer.concat([bytes, Buffer.of(0)]);
        expect(outcome(compiled, longer)).toBe("refused");
        expect(outcome(interpreted, longer)).toBe("refused");
      }),
      { ...RUNS, numRuns: 2 },
    );
  });

  test("a message with any byte changed is a value or a ProtocolError, the same for both", () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 255 }), (value, difference) => {
        const bytes = compiled.encode(value as never);
        for (const position of positionsIn(bytes.length)) {
          const damaged = Buffer.from(bytes);
          damaged[position]! ^= difference;
          const [one, other] = [outcome(compiled, damaged), outcome(interpreted, damaged)];
          if (!isDeepStrictEqual(one, other)) expect(one, `byte ${position}`).toStrictEqual(other);
        }
      }),
      { ...RUNS, numRuns: 2 },
    );
  });
});

function positionsIn(length: number): number[] {
  const step = Math.max(1, length / MAX_POSITIONS);
  const count = Math.min(length, MAX_POSITIONS);
  return Array.from({ length: count }, (_, index) => Math.floor(index * step));
}

/** The decoded value, or "refused"; anything else that is thrown fails the test. */
function outcome(codec: Codec<Message>, bytes: Buffer): unknown {
  try {
    return codec.decode(bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return "refused";
    throw error;
  }
}
