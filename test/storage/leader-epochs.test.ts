import { describe, expect, test } from "vitest";
import type { Uuid } from "../../src/base/ids.ts";
import {
  DamagedFileError,
  decodeEpochCheckpoint,
  decodeOffsetCheckpoint,
  encodeEpochCheckpoint,
  encodeOffsetCheckpoint,
} from "../../src/storage/checkpoint.ts";
import { decodeMetaProperties, encodeMetaProperties } from "../../src/storage/meta-properties.ts";
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

  test("is refused with any one bit flipped: a digit would be as good as another (E14)", () => {
    const offsets = encodeOffsetCheckpoint([
      { topic: "a-topic", partitionIndex: 0, offset: 17 },
      { topic: "a-topic", partitionIndex: 1, offset: 4096 },
    ]);
    for (const bit of Array.from({ length: 8 * offsets.length }, (_, i) => i)) {
      expect(() => decodeOffsetCheckpoint(flipped(offsets, bit)), `bit ${bit}`).toThrow();
    }
    for (const bit of Array.from({ length: 8 * whole.length }, (_, i) => i)) {
      expect(() => decodeEpochCheckpoint(flipped(whole, bit)), `bit ${bit}`).toThrow();
    }
  });

  test("of Kafka's, without a checksum, is read", () => {
    expect(decodeOffsetCheckpoint(Buffer.from("0\n1\ntopic 0 5\n"))).toEqual([
      { topic: "topic", partitionIndex: 0, offset: 5 },
    ]);
  });

  test("of offsets is refused with a line too short", () => {
    expect(() => decodeOffsetCheckpoint(Buffer.from("0\n1\ntopic 0\n"))).toThrow();
  });
});

test("meta.properties with any one bit flipped is refused, or says the same (E14)", () => {
  const meta = {
    nodeId: 1,
    directoryId: "rVOkE_ZvVwdXAkHJFrWK8g" as Uuid,
    clusterId: "mK_5vrYYRJWpInRUWtaDTg",
  };
  const bytes = encodeMetaProperties(meta);
  expect(decodeMetaProperties(bytes)).toEqual(meta);
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    let found: unknown = meta;
    try {
      found = decodeMetaProperties(flipped(bytes, bit));
    } catch (error) {
      expect(error).toBeInstanceOf(DamagedFileError);
    }
    expect(found, `bit ${bit}`).toEqual(meta);
  }
});

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy;
}

test("what ends below the log's start is forgotten, and the epoch of the start begins there", () => {
  const epochs = new LeaderEpochs([
    { epoch: 1, startOffset: 0 },
    { epoch: 3, startOffset: 10 },
    { epoch: 4, startOffset: 20 },
  ]);
  epochs.truncateFromStart(0);
  expect(epochs.isDirty).toBe(false);
  epochs.truncateFromStart(15);
  expect(epochs.isDirty).toBe(true);
  expect(epochs.entries).toEqual([
    { epoch: 3, startOffset: 15 },
    { epoch: 4, startOffset: 20 },
  ]);
  epochs.truncateFromStart(20);
  expect(epochs.entries).toEqual([{ epoch: 4, startOffset: 20 }]);
});
