import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  effectiveMinInsyncReplicas,
  hasEnoughInsyncReplicas,
  nextHighWatermark,
} from "../../src/replica/high-watermark.ts";

const ALONE = { committedIsrSize: 1, minInsyncReplicas: 1, replicationFactor: 1 };

describe("the high watermark", () => {
  test("of a lone replica is its safe position (R4)", () => {
    expect(nextHighWatermark(0, [7], ALONE)).toBe(7);
  });

  test("is the least safe position of all in-sync replicas (R3, R-7)", () => {
    const sizes = { committedIsrSize: 3, minInsyncReplicas: 2, replicationFactor: 3 };
    expect(nextHighWatermark(0, [9, 4, 6], sizes)).toBe(4);
  });

  test("never falls (R-8)", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.nat()),
        fc.nat(5),
        fc.nat(5),
        (highWatermark, endOffsets, committedIsrSize, minInsyncReplicas) => {
          const sizes = { committedIsrSize, minInsyncReplicas, replicationFactor: 3 };
          const next = nextHighWatermark(highWatermark, endOffsets, sizes);
          expect(next).toBeGreaterThanOrEqual(highWatermark);
        },
      ),
    );
  });

  test("stands still while the committed ISR is below the minimum (R6, R-15)", () => {
    const sizes = { committedIsrSize: 1, minInsyncReplicas: 2, replicationFactor: 3 };
    expect(nextHighWatermark(0, [7], sizes)).toBe(0);
    expect(hasEnoughInsyncReplicas(sizes)).toBe(false);
  });

  test("asks a topic of one replica for no more than that one (R6)", () => {
    expect(nextHighWatermark(0, [7], { ...ALONE, minInsyncReplicas: 2 })).toBe(7);
    expect(effectiveMinInsyncReplicas(2, 1)).toBe(1);
    expect(effectiveMinInsyncReplicas(2, 3)).toBe(2);
  });

  test("stays where it is when no position is known", () => {
    expect(nextHighWatermark(5, [], ALONE)).toBe(5);
  });
});
