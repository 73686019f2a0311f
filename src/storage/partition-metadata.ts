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
