import { expect } from "vitest";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
const PER_CODEC = 100;

export interface ReadRecord {
  /** Partition and offset. */
  readonly place: readonly [number, number];
  readonly key: string;
  readonly value: string | null;
  readonly headers: readonly (readonly [string, string])[];
  /** How long after the first its timestamp is. */
  readonly afterMs: number;
}

/** A hundred records in each compression went, by turns, to two partitions: all of them came back as sent. */
export function expectPackedRecords(
  sent: readonly (readonly [number, number])[],
  read: readonly ReadRecord[],
): void {
  const expected = CODECS.flatMap((codec, turn) =>
    Array.from({ length: PER_CODEC }, (_, n) => ({
      place: [n % 2, (turn * PER_CODEC) / 2 + Math.floor(n / 2)],
      key: `${codec}-${n}`,
      value: n === PER_CODEC - 1 ? null : "ab".repeat(n),
      headers: [
        ["codec", codec],
        ["number", String(n)],
      ],
      afterMs: n,
    })),
  ).sort((a, b) => byPlace(a.place, b.place));
  expect([...sent].sort(byPlace)).toEqual(expected.map(({ place }) => place));
  expect([...read].sort((a, b) => byPlace(a.place, b.place))).toMatchObject(expected);
  expect(read).toHaveLength(expected.length);
}

function byPlace(a: readonly number[], b: readonly number[]): number {
  return a[0]! - b[0]! || a[1]! - b[1]!;
}
