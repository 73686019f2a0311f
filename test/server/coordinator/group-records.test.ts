import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { KafkaError } from "../../../src/protocol/errors.ts";
import {
  decodeGroupRecord,
  encodeGroupRecord,
  type GroupRecord,
} from "../../../src/server/coordinator/group-records.ts";
import { subscribedTopicsOf } from "../../../src/server/coordinator/subscription.ts";

interface Vector {
  readonly name: string;
  readonly version: number;
  readonly variant: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly prefixedHex: string;
}

const directory = process.env["HOLDFAST_GOLDEN_DIR"] ?? "test/golden";

function vectors(file: string, name: string): Vector[] {
  return gunzipSync(readFileSync(`${directory}/${file}`))
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Vector)
    .filter((vector) => vector.name === name);
}

const OFFSET: GroupRecord = {
  kind: "offset",
  groupId: "g",
  topic: "t",
  partitionIndex: 3,
  value: {
    offset: 7,
    leaderEpoch: 2,
    metadata: "m",
    commitTimestampMs: 11,
    expireTimestampMs: null,
    topicId: ZERO_UUID,
  },
};

describe("records of __consumer_offsets", () => {
  test("keys are written byte for byte as Kafka writes them", () => {
    for (const { json, prefixedHex } of vectors("internal-records.jsonl.gz", "OffsetCommitKey")) {
      if (!prefixedHex.startsWith("0001")) continue;
      const { group, topic, partition } = json as {
        group: string;
        topic: string;
        partition: number;
      };
      const record = { ...OFFSET, groupId: group, topic, partitionIndex: partition };
      expect(encodeGroupRecord(record).key.toString("hex")).toBe(prefixedHex);
    }
    for (const { json, prefixedHex } of vectors("internal-records.jsonl.gz", "GroupMetadataKey")) {
      const record: GroupRecord = { kind: "group", groupId: json["group"] as string, value: null };
      expect(encodeGroupRecord(record).key.toString("hex")).toBe(prefixedHex);
    }
  });

  test("Kafka's values of the versions that are written come back byte for byte", () => {
    let count = 0;
    const check = (key: Buffer, prefixedHex: string): void => {
      const value = Buffer.from(prefixedHex, "hex");
      let record: GroupRecord | null;
      try {
        record = decodeGroupRecord(key, value);
      } catch (error) {
        // Extreme integers that are not computed with safely, or unknown tags: refused, never misread.
        expect(error).toBeInstanceOf(KafkaError);
        return;
      }
      count += 1;
      expect(encodeGroupRecord(record!).value!.toString("hex")).toBe(prefixedHex);
    };
    const { key: offsetKey } = encodeGroupRecord(OFFSET);
    for (const vector of vectors("internal-records.jsonl.gz", "OffsetCommitValue")) {
      const isWritten =
        (vector.version === 4 && !vector.variant.endsWith("Tags")) ||
        (vector.version === 1 && vector.json["expireTimestamp"] !== "-1");
      if (isWritten) check(offsetKey, vector.prefixedHex);
    }
    const { key: groupKey } = encodeGroupRecord({ kind: "group", groupId: "g", value: null });
    for (const vector of vectors("internal-records.jsonl.gz", "GroupMetadataValue")) {
      if (vector.version === 3) check(groupKey, vector.prefixedHex);
    }
    expect(count).toBeGreaterThanOrEqual(12);
  });

  test("values of every version that Kafka has written are read", () => {
    const { key } = encodeGroupRecord(OFFSET);
    const versions = new Set<number>();
    for (const vector of vectors("internal-records.jsonl.gz", "OffsetCommitValue")) {
      const { offset, commitTimestamp, metadata } = vector.json;
      if (![offset, commitTimestamp].every((value) => Number.isSafeInteger(Number(value))))
        continue;
      const record = decodeGroupRecord(key, Buffer.from(vector.prefixedHex, "hex"));
      expect(record!.value).toMatchObject({
        offset: Number(offset),
        commitTimestampMs: Number(commitTimestamp),
        metadata,
      });
      versions.add(vector.version);
    }
    expect([...versions].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  test("offsets are version 4, those with an expiry of their own version 1, groups version 3", () => {
    expect(encodeGroupRecord(OFFSET).value!.readInt16BE()).toBe(4);
    const expiring: GroupRecord = {
      ...OFFSET,
      value: { ...OFFSET.value!, expireTimestampMs: 99n },
    };
    const { key, value } = encodeGroupRecord(expiring);
    expect(value!.readInt16BE()).toBe(1);
    expect(decodeGroupRecord(key, value)).toMatchObject({
      value: { offset: 7, expireTimestampMs: 99n },
    });
    const group = encodeGroupRecord({
      kind: "group",
      groupId: "g",
      value: {
        protocolType: "",
        generation: 0,
        protocol: null,
        leader: null,
        currentStateTimestamp: 5,
        members: [],
      },
    });
    expect(group.value!.readInt16BE()).toBe(3);
  });

  test("tombstones have a null value, and come back as such", () => {
    const { key, value } = encodeGroupRecord({ ...OFFSET, value: null });
    expect(value).toBeNull();
    expect(decodeGroupRecord(key, null)).toMatchObject({ kind: "offset", value: null });
  });

  test("keys of other types are none of ours; damaged ones are refused", () => {
    expect(decodeGroupRecord(Buffer.from([0, 3, 0, 0]), null)).toBeNull();
    expect(decodeGroupRecord(Buffer.alloc(0), null)).toBeNull();
    expect(() => decodeGroupRecord(Buffer.from([0, 2, 0, 9]), null)).toThrow(KafkaError);
  });
});

describe("subscriptions", () => {
  test("topics are read from every version of Kafka's own bytes", () => {
    const all = vectors("consumer-protocol.jsonl.gz", "ConsumerProtocolSubscription");
    expect(all.length).toBeGreaterThan(10);
    for (const { json, prefixedHex } of all) {
      expect(subscribedTopicsOf(Buffer.from(prefixedHex, "hex"))).toEqual(json["topics"]);
    }
  });

  test("other bytes are not taken for topics", () => {
    for (const bytes of [
      [],
      [0, 0],
      [0, 0, 0, 0, 0, 1],
      [0, 0, 0, 0, 0, 1, 0, 9, 65],
      [255, 255, 0, 0, 0, 0],
    ]) {
      expect(subscribedTopicsOf(Buffer.from(bytes))).toBeNull();
    }
    expect(subscribedTopicsOf(Buffer.from([0, 0, 127, 255, 255, 255]))).toBeNull();
  });
});
