import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  coordinatorPartition,
  javaStringHash,
} from "../../../src/server/coordinator/group-partition.ts";

interface Vector {
  readonly id: string;
  readonly hashCode: number;
  readonly partition: Readonly<Record<string, number>>;
}

test("every id goes to the partition that Kafka's own client computes (G8)", () => {
  const directory = process.env["HOLDFAST_GOLDEN_DIR"] ?? "test/golden";
  const lines = gunzipSync(readFileSync(`${directory}/coordinator-hash.jsonl.gz`)).toString();
  const vectors = lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Vector);
  expect(vectors.length).toBeGreaterThan(100);
  for (const { id, hashCode, partition } of vectors) {
    expect(javaStringHash(id)).toBe(hashCode);
    for (const [count, expected] of Object.entries(partition)) {
      expect(coordinatorPartition(id, Number(count))).toBe(expected);
    }
  }
});
