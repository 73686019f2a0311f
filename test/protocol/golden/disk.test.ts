import { describe, expect, test } from "vitest";
import {
  decodeEpochCheckpoint,
  decodeOffsetCheckpoint,
  encodeEpochCheckpoint,
  encodeOffsetCheckpoint,
} from "../../../src/storage/checkpoint.ts";
import { OffsetIndex } from "../../../src/storage/offset-index.ts";
import {
  decodeProducerSnapshot,
  encodeProducerSnapshot,
} from "../../../src/storage/producer-snapshot.ts";
import { TimeIndex } from "../../../src/storage/time-index.ts";
import { decodeTxnIndex, encodeTxnIndex } from "../../../src/storage/txn-index.ts";
import { readVectors } from "./vectors.ts";

interface DiskVector {
  readonly kind: string;
  readonly file: string;
  readonly baseOffset?: string;
  readonly entries: readonly Record<string, number | string>[];
  readonly hex: string;
}

interface Round {
  /** What our decoder makes of the bytes, in the words of the vectors. */
  readonly decoded: readonly Record<string, number | string>[];
  /** What our encoder makes of the vector's entries. */
  readonly encoded: Buffer;
}

type Codec = (bytes: Buffer, vector: DiskVector) => Round;

/** Our checksum is in blanks that Kafka does not see. */
const withoutChecksum = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.toString().replace(/[ \t]+\n$/, "\n"));

const number = (value: number | string | undefined): number => Number(value);

const CODECS: Readonly<Record<string, Codec>> = {
  "offset-index": (bytes, vector) => {
    const baseOffset = number(vector.baseOffset);
    const index = OffsetIndex.decode(baseOffset, bytes, Infinity);
    const made = OffsetIndex.empty(baseOffset);
    for (const entry of vector.entries)
      made.append(number(entry["offset"]), number(entry["position"]));
    return {
      decoded: Array.from({ length: index.entryCount }, (_, i) => {
        const { offset, position } = index.entry(i);
        return { offset: String(offset), position };
      }),
      encoded: made.bytes.takeUnstored().bytes,
    };
  },
  "time-index": (bytes, vector) => {
    const baseOffset = number(vector.baseOffset);
    const index = TimeIndex.decode(baseOffset, bytes);
    const made = TimeIndex.empty(baseOffset);
    for (const entry of vector.entries) {
      made.maybeAppend({
        timestampMs: number(entry["timestamp"]),
        offset: number(entry["offset"]),
      });
    }
    return {
      decoded: Array.from({ length: index.entryCount }, (_, i) => {
        const { timestampMs, offset } = index.entry(i);
        return { timestamp: String(timestampMs), offset: String(offset) };
      }),
      encoded: made.bytes.takeUnstored().bytes,
    };
  },
  "txn-index": (bytes, vector) => ({
    decoded: decodeTxnIndex(bytes).map((entry) => ({
      producerId: String(entry.producerId),
      firstOffset: String(entry.firstOffset),
      lastOffset: String(entry.lastOffset),
      lastStableOffset: String(entry.lastStableOffset),
    })),
    encoded: encodeTxnIndex(
      vector.entries.map((entry) => ({
        producerId: number(entry["producerId"]),
        firstOffset: number(entry["firstOffset"]),
        lastOffset: number(entry["lastOffset"]),
        lastStableOffset: number(entry["lastStableOffset"]),
      })),
    ),
  }),
  "leader-epoch-checkpoint": (bytes, vector) => ({
    decoded: decodeEpochCheckpoint(bytes).map(({ epoch, startOffset }) => ({
      epoch,
      startOffset: String(startOffset),
    })),
    encoded: withoutChecksum(
      encodeEpochCheckpoint(
        vector.entries.map((entry) => ({
          epoch: number(entry["epoch"]),
          startOffset: number(entry["startOffset"]),
        })),
      ),
    ),
  }),
  "offset-checkpoint": (bytes, vector) => ({
    decoded: decodeOffsetCheckpoint(bytes).map(({ topic, partitionIndex, offset }) => ({
      topic,
      partition: partitionIndex,
      offset: String(offset),
    })),
    encoded: withoutChecksum(
      encodeOffsetCheckpoint(
        vector.entries.map((entry) => ({
          topic: String(entry["topic"]),
          partitionIndex: number(entry["partition"]),
          offset: number(entry["offset"]),
        })),
      ),
    ),
  }),
  "producer-snapshot": (bytes, vector) => ({
    decoded: decodeProducerSnapshot(bytes).map((entry) => ({
      producerId: String(entry.producerId),
      producerEpoch: entry.epoch,
      lastSequence: entry.lastSequence,
      lastOffset: String(entry.lastOffset),
      offsetDelta: entry.offsetDelta,
      timestamp: String(entry.timestamp),
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnFirstOffset: String(entry.currentTxnFirstOffset),
    })),
    encoded: encodeProducerSnapshot(
      vector.entries.map((entry) => ({
        producerId: number(entry["producerId"]),
        epoch: number(entry["producerEpoch"]),
        lastSequence: number(entry["lastSequence"]),
        lastOffset: number(entry["lastOffset"]),
        offsetDelta: number(entry["offsetDelta"]),
        timestamp: BigInt(entry["timestamp"] ?? -1),
        coordinatorEpoch: number(entry["coordinatorEpoch"]),
        currentTxnFirstOffset: number(entry["currentTxnFirstOffset"]),
      })),
    ),
  }),
};

const vectors = readVectors<DiskVector>("disk");

test("there are vectors of every kind of file, and of no other", () => {
  const kinds = new Set(vectors.map(({ kind }) => kind));
  expect([...kinds].toSorted()).toEqual(Object.keys(CODECS).toSorted());
});

describe("files as Kafka's own classes write them", () => {
  test.each(vectors.map((vector, index) => ({ ...vector, index })))(
    "$kind $file (vector $index) is read, and written byte for byte",
    (vector) => {
      const { decoded, encoded } = CODECS[vector.kind]!(Buffer.from(vector.hex, "hex"), vector);
      expect(decoded).toEqual(vector.entries);
      expect(encoded.toString("hex")).toBe(vector.hex);
    },
  );
});
