import { describe, expect, test } from "vitest";
import {
  decodeEpochCheckpoint,
  decodeOffsetCheckpoint,
  encodeEpochCheckpoint,
} from "../../src/storage/checkpoint.ts";
import { LeaderEpochs } from "../../src/storage/leader-epochs.ts";

function epochs(...entries: readonly [epoch: number, startOffset: number][]): LeaderEpochs {
  return new LeaderEpochs(entries.map(([epoch, startOffset]) => ({ epoch, startOffset })));
}

describe("where an epoch ends (KIP-101, KIP-279)", () => {
  const known = epochs([2, 0], [4, 10], [7, 30]);
  test.each([
    ["the latest ends at the log's end", 7, { leaderEpoch: 7, endOffset: 50 }],
    ["an earlier one where the next begins", 4, { leaderEpoch: 4, endOffset: 30 }],
    ["one without batches as the greatest below it", 5, { leaderEpoch: 4, endOffset: 30 }],
    ["one older than all where the first begins", 1, { leaderEpoch: 1, endOffset: 0 }],
    ["one newer than all is not known", 8, { leaderEpoch: -1, endOffset: -1 }],
    ["-1 is no epoch", -1, { leaderEpoch: -1, endOffset: -1 }],
  ])("%s", (_name, epoch, expected) => {
    expect(known.endOffsetFor(epoch, 50)).toEqual(expected);
  });

  test("nothing is known of an empty log", () => {
    expect(epochs().endOffsetFor(0, 0)).toEqual({ leaderEpoch: -1, endOffset: -1 });
    expect(epochs().latestEpoch).toBe(-1);
  });
});

test("each offset belongs to the epoch that wrote it", () => {
  const known = epochs([2, 0], [4, 10]);
  expect([0, 9, 10, 99].map((offset) => known.epochAt(offset))).toEqual([2, 2, 4, 4]);
  expect(epochs([2, 5]).epochAt(4)).toBe(-1);
});

test("an epoch that falls is a bug of the caller", () => {
  expect(() => epochs([4, 10]).assign(3, 20)).toThrow(/never fall/);
});

test("entries at or beyond the end of the log are forgotten (S10)", () => {
  const known = epochs([2, 0], [4, 10], [7, 30]);
  known.truncateFromEnd(30);
  expect(known.entries.map(({ epoch }) => epoch)).toEqual([2, 4]);
  expect(known.isDirty).toBe(true);
});

describe("a checkpoint file", () => {
  const whole = encodeEpochCheckpoint([
    { epoch: 0, startOffset: 0 },
    { epoch: 3, startOffset: 17 },
  ]);

  test("is refused when it is cut off anywhere", () => {
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => decodeEpochCheckpoint(whole.subarray(0, length))).toThrow();
    }
  });

  test.each([
    ["zeros", "\0\0\0\0"],
    ["another version", "1\n0\n"],
    ["too few entries", "0\n2\n0 0\n"],
    ["a negative offset", "0\n1\n0 -1\n"],
    ["epochs that do not rise", "0\n2\n3 0\n3 5\n"],
    ["offsets that do not rise", "0\n2\n3 5\n4 5\n"],
  ])("is refused with %s", (_name, text) => {
    expect(() => decodeEpochCheckpoint(Buffer.from(text))).toThrow();
  });

  test("of offsets is refused with a line too short", () => {
    expect(() => decodeOffsetCheckpoint(Buffer.from("0\n1\ntopic 0\n"))).toThrow();
  });
});
