import { isUuid, type Uuid } from "../base/ids.ts";
import { DamagedFileError } from "./checkpoint.ts";

/** partition.metadata: which topic the directory belongs to. Two lines, the second without an end. */
export function encodePartitionMetadata(topicId: Uuid): Buffer {
  return Buffer.from(`version: 0\ntopic_id: ${topicId}`, "utf8");
}

/** Throws DamagedFileError. */
export function decodePartitionMetadata(bytes: Buffer): Uuid {
  const match = /^version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n?$/.exec(bytes.toString("utf8"));
  const topicId = match?.[1] ?? "";
  if (!isUuid(topicId)) throw new DamagedFileError("there is no topic id");
  return topicId;
}

/**
 * Whether the bytes are the topic's file with one bit flipped. Two topics' ids differ in some sixty bits,
 * so it is no other's; to take it for a stray would lead the partition empty.
 */
export function isDamagedMetadataOf(topicId: Uuid, bytes: Buffer): boolean {
  const expected = encodePartitionMetadata(topicId);
  if (bytes.length !== expected.length) return false;
  const differing = expected.map((byte, index) => byte ^ bytes.readUInt8(index)).filter(Boolean);
  const [only = 0] = differing;
  return differing.length === 1 && (only & (only - 1)) === 0;
}
