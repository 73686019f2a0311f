import {
  encodeMetadataRecord,
  type METADATA_RECORDS,
  type MetadataRecordKind,
} from "../../protocol/metadata-records.ts";
import type { ErrorName } from "../../protocol/errors.ts";
import { errorMessage } from "../../protocol/errors.ts";
import type { VoterChange } from "../../raft/core/voters.ts";
import type { Encodable } from "../../protocol/schema.ts";

/**
 * The controller decides, and does nothing else: each command is a pure function of (image, command)
 * that gives the records to append and the answer to give once they are committed and applied. The
 * image holds everything that was appended before, committed or not. Decisions: create-topics.ts,
 * create-partitions.ts, delete-topics.ts, elect-leaders.ts, update-features.ts, broker-registration.ts,
 * producer-id-blocks.ts.
 */
export interface ControllerResult<A> {
  /** Values for the log, as one batch: all of them or none. Empty: nothing changes. */
  readonly records: readonly Buffer[];
  readonly answer: A;
  /** Instead of records: who votes from now on. */
  readonly voterChange?: VoterChange;
}

/** Why one item of a request is refused. */
export interface ItemError {
  readonly name: ErrorName;
  readonly message: string;
}

/** Kafka's bound on what one request may change (QuorumController.MAX_RECORDS_PER_USER_OP). */
export const MAX_RECORDS_PER_REQUEST = 10_000;

/** The level of Kafka's own records that this broker writes: 4.3-IV0. */
export const METADATA_VERSION = 30;

/** The format of the quorum's own log, which names voters by id and directory (KIP-853). */
export const KRAFT_VERSION = 1;

/** Record versions of that level; 0 where it is not named. */
const RECORD_VERSIONS: Partial<Record<MetadataRecordKind, number>> = {
  registerBroker: 4,
  partition: 2,
  partitionChange: 2,
};

/** Features of this software and their levels, as a registration and ApiVersions tell them. */
export const SUPPORTED_FEATURES = [
  // Exactly one: the records above are what this broker reads and writes.
  { name: "metadata.version", minVersion: METADATA_VERSION, maxVersion: METADATA_VERSION },
  { name: "kraft.version", minVersion: 0, maxVersion: KRAFT_VERSION },
  { name: "eligible.leader.replicas.version", minVersion: 0, maxVersion: 1 },
] as const;

/** A record in the version that `METADATA_VERSION` asks for. */
export function metadataRecord<K extends MetadataRecordKind>(
  kind: K,
  record: Encodable<(typeof METADATA_RECORDS)[K]>,
): Buffer {
  return encodeMetadataRecord(kind, RECORD_VERSIONS[kind] ?? 0, record);
}

export function itemError(name: ErrorName, message = errorMessage(name)): ItemError {
  return { name, message };
}
