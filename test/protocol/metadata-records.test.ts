import { describe, expect, test } from "vitest";
import type { Uuid } from "../../src/base/ids.ts";
import { ProtocolError } from "../../src/protocol/errors.ts";
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  METADATA_RECORDS,
} from "../../src/protocol/metadata-records.ts";

const TOPIC_ID = "kkmFPrmCTjyINmcV9XFUGA" as Uuid;

describe("a metadata record", () => {
  test("has frame version, key and version before it, as on Kafka's disk", () => {
    const feature = encodeMetadataRecord("featureLevel", 0, {
      name: "metadata.version",
      featureLevel: 30,
    });
    expect(feature.subarray(0, 3).toString("hex")).toBe("010c00");
    const begin = encodeMetadataRecord("beginTransaction", 0, { name: "x" });
    expect(begin.subarray(0, 3).toString("hex")).toBe("011700");
  });

  test("comes back with its kind", () => {
    const record = { name: "a-topic", topicId: TOPIC_ID };
    expect(decodeMetadataRecord(encodeMetadataRecord("topic", 0, record))).toEqual({
      kind: "topic",
      record,
    });
    const decoded = decodeMetadataRecord(
      encodeMetadataRecord("partition", 1, {
        partitionId: 4,
        topicId: TOPIC_ID,
        replicas: [1],
        isr: [1],
        removingReplicas: [],
        addingReplicas: [],
        leader: 1,
        leaderEpoch: 0,
        partitionEpoch: 0,
        directories: [TOPIC_ID],
      }),
    );
    expect(decoded.kind === "partition" && decoded.record.eligibleLeaderReplicas).toBeNull();
    expect(decoded.record).toMatchObject({ partitionId: 4, replicas: [1], leaderRecoveryState: 0 });
  });

  test("of another frame version or an unknown key is refused", () => {
    for (const hex of ["020c00", "016300", "01", "010c05", ""]) {
      expect(() => decodeMetadataRecord(Buffer.from(hex, "hex"))).toThrow(ProtocolError);
    }
  });

  test("has a key of its own", () => {
    const keys = Object.values(METADATA_RECORDS).map(({ apiKey }) => apiKey);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
