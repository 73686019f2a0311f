import { ZERO_UUID } from "../base/ids.ts";
import { KafkaError } from "../protocol/errors.ts";
import { codecFor } from "../protocol/codec.ts";
import {
  kraftVersionRecord,
  leaderChangeMessage,
  snapshotFooterRecord,
  snapshotHeaderRecord,
  votersRecord,
} from "../protocol/messages/internal/raft-control-records.ts";
import { batchRecordCount, isControl } from "../protocol/records/batch.ts";
import { buildBatch, type NewRecord } from "../protocol/records/batch-builder.ts";
import { batchBody, iterateRecords } from "../protocol/records/record.ts";
import type { EpochStart, VotersAppend } from "./core/events.ts";
import type { ReplicaKey, Voter } from "./core/voters.ts";

/** Kafka's ControlRecordType. */
const LEADER_CHANGE = 2;
const SNAPSHOT_HEADER = 3;
const SNAPSHOT_FOOTER = 4;
const KRAFT_VERSION = 5;
const KRAFT_VOTERS = 6;

/** The format of the quorum itself: 1 names voters by id and directory (KIP-853). */
const KRAFT_FEATURE_LEVEL = 1;
/** 1 adds directory ids, but Kafka's own kafka-dump-log (4.3) reads every version as 0. */
const LEADER_CHANGE_VERSION = 0;

/**
 * The control batch that opens an epoch, as Kafka's leader writes it. What is committed in an epoch is
 * counted from here (K8). The very first one also says who the voters are.
 */
export function epochStartBatch(
  leaderId: number,
  { voters, grantingVoters, isFirst, leaderEpoch }: EpochStart,
  timestampMs: number,
): Buffer {
  const records = [leaderChange(leaderId, voters, grantingVoters)];
  if (isFirst) records.push(kraftVersion(), kraftVoters(voters));
  return buildBatch({ records, isControl: true, leaderEpoch, timestampMs });
}

/** A change of the voters, as Kafka's leader appends it (KIP-853). */
export function votersBatch({ voters, leaderEpoch }: VotersAppend, timestampMs: number): Buffer {
  return buildBatch({ records: [kraftVoters(voters)], isControl: true, leaderEpoch, timestampMs });
}

/** The voters that the batch names; null: it is about something else. Throws KafkaError CORRUPT_MESSAGE. */
export function votersIn(batch: Buffer): readonly Voter[] | null {
  const value = controlRecords(batch).get(KRAFT_VOTERS);
  if (value === undefined) return null;
  const { voters } = codecFor(votersRecord, 0).decode(value);
  return voters.map(({ voterId, voterDirectoryId, endpoints }) => ({
    nodeId: voterId,
    directoryId: voterDirectoryId,
    endpoints: endpoints.map(({ name, host, port }) => ({ name, host, port })),
  }));
}

/** The first batch of a snapshot: up to when the log goes that it holds, and who votes there. */
export interface SnapshotHead {
  /** Of the last record that the snapshot takes the place of. */
  readonly timestampMs: number;
  readonly voters: readonly Voter[];
}

export function snapshotHeadBatch(
  { timestampMs, voters }: SnapshotHead,
  leaderEpoch: number,
): Buffer {
  const value = codecFor(snapshotHeaderRecord, 0).encode({
    version: 0,
    lastContainedLogTimestamp: timestampMs,
  });
  const header = { key: controlKey(SNAPSHOT_HEADER), value };
  const records = [header, kraftVersion(), kraftVoters(voters)];
  return buildBatch({ records, isControl: true, leaderEpoch, timestampMs });
}

/** null: the batch is none. Throws KafkaError CORRUPT_MESSAGE. */
export function snapshotHeadIn(batch: Buffer): SnapshotHead | null {
  const header = controlRecords(batch).get(SNAPSHOT_HEADER);
  const voters = votersIn(batch);
  if (header === undefined || voters === null) return null;
  const { lastContainedLogTimestamp } = codecFor(snapshotHeaderRecord, 0).decode(header);
  return { timestampMs: lastContainedLogTimestamp, voters };
}

/** The last batch of a snapshot: without it something is missing. */
export function snapshotFootBatch(
  baseOffset: number,
  leaderEpoch: number,
  timestampMs: number,
): Buffer {
  const value = codecFor(snapshotFooterRecord, 0).encode({ version: 0 });
  const records = [{ key: controlKey(SNAPSHOT_FOOTER), value }];
  return buildBatch({ records, isControl: true, baseOffset, leaderEpoch, timestampMs });
}

export function isSnapshotFoot(batch: Buffer): boolean {
  return controlRecords(batch).has(SNAPSHOT_FOOTER);
}

/** The values of a control batch's records by their types; none of any other batch's. */
function controlRecords(batch: Buffer): ReadonlyMap<number, Buffer> {
  const values = new Map<number, Buffer>();
  if (!isControl(batch)) return values;
  for (const { key, value } of iterateRecords(batchBody(batch, 0).body, batchRecordCount(batch))) {
    if (key === null || key.length < 4 || value === null) {
      throw new KafkaError("CORRUPT_MESSAGE", "a control record has no type or no value");
    }
    values.set(key.readInt16BE(2), value);
  }
  return values;
}

function leaderChange(
  leaderId: number,
  voters: readonly ReplicaKey[],
  grantingVoters: readonly ReplicaKey[],
): NewRecord {
  const value = codecFor(leaderChangeMessage, LEADER_CHANGE_VERSION).encode({
    version: LEADER_CHANGE_VERSION,
    leaderId,
    voters: voters.map(voterOnly),
    grantingVoters: grantingVoters.map(voterOnly),
  });
  return { key: controlKey(LEADER_CHANGE), value };
}

function voterOnly({ nodeId }: ReplicaKey) {
  return { voterId: nodeId, voterDirectoryId: ZERO_UUID };
}

function kraftVersion(): NewRecord {
  const value = codecFor(kraftVersionRecord, 0).encode({
    version: 0,
    kRaftVersion: KRAFT_FEATURE_LEVEL,
  });
  return { key: controlKey(KRAFT_VERSION), value };
}

function kraftVoters(voters: readonly Voter[]): NewRecord {
  const value = codecFor(votersRecord, 0).encode({
    version: 0,
    voters: voters.map(({ nodeId, directoryId, endpoints }) => ({
      voterId: nodeId,
      voterDirectoryId: directoryId,
      endpoints: endpoints.map((endpoint) => ({ ...endpoint })),
      kRaftVersionFeature: { minSupportedVersion: 0, maxSupportedVersion: KRAFT_FEATURE_LEVEL },
    })),
  });
  return { key: controlKey(KRAFT_VOTERS), value };
}

/** Kafka's key of a control record: version 0 and the type. */
function controlKey(type: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeInt16BE(type, 2);
  return key;
}
