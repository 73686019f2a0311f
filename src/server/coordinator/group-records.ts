import type { Uuid } from "../../base/ids.ts";
import { codecFor } from "../../protocol/codec.ts";
import { KafkaError, ProtocolError } from "../../protocol/errors.ts";
import {
  groupMetadataKey,
  type GroupMetadataValue,
  groupMetadataValue,
} from "../../protocol/messages/internal/group-metadata.ts";
import {
  offsetCommitKey,
  offsetCommitValue,
} from "../../protocol/messages/internal/group-offsets.ts";
import type { Message } from "../../protocol/schema.ts";
import type { KeyValue } from "./core.ts";

/** An offset as it was committed. */
export interface CommittedOffset {
  readonly offset: number;
  /** -1: not given. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimestampMs: number;
  /** Asked for by the client (OffsetCommit 2 to 4); null: the broker's retention applies. */
  readonly expireTimestampMs: bigint | null;
  /** ZERO_UUID in records that do not have it. */
  readonly topicId: Uuid;
}

/** A record of __consumer_offsets. A null value is a tombstone. */
export type GroupRecord =
  | {
      readonly kind: "offset";
      readonly groupId: string;
      readonly topic: string;
      readonly partitionIndex: number;
      readonly value: CommittedOffset | null;
    }
  | {
      readonly kind: "group";
      readonly groupId: string;
      readonly value: GroupMetadataValue | null;
    };

/** Versions of keys and values as Kafka 4.4 writes them, and Burrow reads them (protocol.md). */
const OFFSET_KEY_VERSION = 1;
const LEGACY_OFFSET_KEY_VERSION = 0;
const GROUP_KEY_VERSION = 2;
const OFFSET_VALUE_VERSION = 4;
const OFFSET_VALUE_VERSION_WITH_EXPIRY = 1;
const GROUP_VALUE_VERSION = 3;

/** Key and value, each with its int16 version first. */
export function encodeGroupRecord(record: GroupRecord): KeyValue {
  if (record.kind === "group") {
    return {
      key: prefixed(GROUP_KEY_VERSION, groupMetadataKey, 0, { group: record.groupId }),
      value:
        record.value === null
          ? null
          : prefixed(GROUP_VALUE_VERSION, groupMetadataValue, GROUP_VALUE_VERSION, record.value),
    };
  }
  const { groupId: group, topic, partitionIndex: partition, value } = record;
  return {
    key: prefixed(OFFSET_KEY_VERSION, offsetCommitKey, 0, { group, topic, partition }),
    value: value === null ? null : encodeOffset(value),
  };
}

/**
 * The record; null when its key is of a type that is not kept here (the newer group protocols).
 * Throws KafkaError CORRUPT_MESSAGE when it is not what its version says.
 */
export function decodeGroupRecord(key: Buffer, value: Buffer | null): GroupRecord | null {
  try {
    switch (key.length < 2 ? -1 : key.readInt16BE()) {
      case LEGACY_OFFSET_KEY_VERSION:
      case OFFSET_KEY_VERSION:
        return decodeOffset(key, value);
      case GROUP_KEY_VERSION:
        return {
          kind: "group",
          groupId: codecFor(groupMetadataKey, 0).decode(key, 2).group,
          value:
            value === null ? null : codecFor(groupMetadataValue, versionOf(value)).decode(value, 2),
        };
      default:
        return null;
    }
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new KafkaError("CORRUPT_MESSAGE", `a group record is damaged: ${cause.message}`, {
      cause,
    });
  }
}

function encodeOffset(value: CommittedOffset): Buffer {
  const expires = value.expireTimestampMs !== null;
  const version = expires ? OFFSET_VALUE_VERSION_WITH_EXPIRY : OFFSET_VALUE_VERSION;
  return prefixed(version, offsetCommitValue, version, {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestamp: value.commitTimestampMs,
    expireTimestamp: value.expireTimestampMs ?? -1n,
    topicId: value.topicId,
  });
}

function decodeOffset(key: Buffer, value: Buffer | null): GroupRecord {
  const { group: groupId, topic, partition } = codecFor(offsetCommitKey, 0).decode(key, 2);
  const place = { kind: "offset", groupId, topic, partitionIndex: partition } as const;
  if (value === null) return { ...place, value: null };
  const decoded = codecFor(offsetCommitValue, versionOf(value)).decode(value, 2);
  return {
    ...place,
    value: {
      offset: decoded.offset,
      leaderEpoch: decoded.leaderEpoch,
      metadata: decoded.metadata,
      commitTimestampMs: decoded.commitTimestamp,
      expireTimestampMs: decoded.expireTimestamp === -1n ? null : decoded.expireTimestamp,
      topicId: decoded.topicId,
    },
  };
}

function versionOf(value: Buffer): number {
  if (value.length < 2) throw new ProtocolError("truncated", "a value without its version");
  return value.readInt16BE();
}

function prefixed<M extends Message>(
  prefix: number,
  message: M,
  version: number,
  value: Parameters<ReturnType<typeof codecFor<M>>["encode"]>[0],
): Buffer {
  const head = Buffer.alloc(2);
  head.writeInt16BE(prefix);
  return Buffer.concat([head, codecFor(message, version).encode(value)]);
}
