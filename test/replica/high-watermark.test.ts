import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  effectiveMinInsyncReplicas,
  hasEnoughInsyncReplicas,
  nextHighWatermark,
} from "../../src/replica/high-watermark.ts";

const ALONE = {
  highWatermark: 0,
  inSyncSafeEndOffsets: [7],
  committedIsrSize: 1,
  minInsyncReplicas: 1,
  replicationFactor: 1,
};

describe("the high watermark", () => {
  test("of a lone replica is its safe position (R4)", () => {
    expect(nextHighWatermark(ALONE)).toBe(7);
  });

  test("is the least safe position of all in-sync replicas (R3, R-7)", () => {
    const inputs = { ...ALONE, committedIsrSize: 3, replicationFactor: 3 };
    expect(nextHighWatermark({ ...inputs, inSyncSafeEndOffsets: [9, 4, 6] })).toBe(4);
  });

  test("never falls (R-8)", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.nat()),
        fc.nat(5),
        fc.nat(5),
        (highWatermark, inSyncSafeEndOffsets, committedIsrSize, minInsyncReplicas) => {
          const next = nextHighWatermark({
            highWatermark,
            inSyncSafeEndOffsets,
            committedIsrSize,
            minInsyncReplicas,
            replicationFactor: 3,
          });
          expect(next).toBeGreaterThanOrEqual(highWatermark);
        },
      ),
    );
  });

  test("stands still while the committed ISR is below the minimum (R6, R-15)", () => {
    const inputs = { ...ALONE, minInsyncReplicas: 2, replicationFactor: 3 };
    expect(nextHighWatermark(inputs)).toBe(0);
    expect(hasEnoughInsyncReplicas(inputs)).toBe(false);
  });

  test("asks a topic of one replica for no more than that one (R6)", () => {
    expect(nextHighWatermark({ ...ALONE, minInsyncReplicas: 2 })).toBe(7);
    expect(effectiveMinInsyncReplicas(2, 1)).toBe(1);
    expect(effectiveMinInsyncReplicas(2, 3)).toBe(2);
  });

  test("stays where it is when no position is known", () => {
    expect(nextHighWatermark({ ...ALONE, highWatermark: 5, inSyncSafeEndOffsets: [] })).toBe(5);
  });
});
