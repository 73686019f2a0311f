import { ZERO_UUID } from "../base/ids.ts";
import { codecFor } from "../protocol/codec.ts";
import {
  kraftVersionRecord,
  leaderChangeMessage,
  votersRecord,
} from "../protocol/messages/internal/raft-control-records.ts";
import { buildBatch, type NewRecord } from "../protocol/records/batch-builder.ts";
import type { EpochStart } from "./core/events.ts";
import type { ReplicaKey } from "./core/voters.ts";

/** Kafka's ControlRecordType. */
const LEADER_CHANGE = 2;
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

function kraftVoters(voters: readonly ReplicaKey[]): NewRecord {
  const value = codecFor(votersRecord, 0).encode({
    version: 0,
    voters: voters.map(({ nodeId, directoryId }) => ({
      voterId: nodeId,
      voterDirectoryId: directoryId,
      // A lone node opens no controller port; voters that join later bring their own.
      endpoints: [],
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
