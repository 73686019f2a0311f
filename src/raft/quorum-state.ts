import { crc32c } from "../base/crc32c.ts";
import { type Disk, isNotFound } from "../base/disk.ts";
import { isUuid, type Uuid, ZERO_UUID } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { readSmallFile, replaceFile } from "../storage/atomic-file.ts";
import type { QuorumState } from "./core/events.ts";
import type { ReplicaKey } from "./core/voters.ts";

/** The state file is damaged or another node's. The message names the file and the way out. */
export class QuorumStateError extends Error {
  override readonly name = "QuorumStateError";
}

export const QUORUM_STATE_FILE = "quorum-state";

/** What an operator can do about a vote, or a promise, that is lost. */
export const START_ANEW =
  "give this node an empty log directory; as a controller it has to be removed from the quorum and " +
  "added again (kafka-metadata-quorum)";

/** Kafka's QuorumStateData: 0 names the voters by id, 1 leaves them to the log's VotersRecord. */
const DATA_VERSION = 1;
const CHECKSUM = "crc32c";
const NOBODY = -1;

/** As the file has it. */
export interface StoredQuorumState extends QuorumState {
  /** Whether there were other voters: a node that is told of none must not go on alone. */
  readonly hasOthers: boolean;
}

/** The state of the directory; null when there is no file. Throws QuorumStateError (K18). */
export async function readQuorumState(
  disk: Disk,
  directory: string,
): Promise<StoredQuorumState | null> {
  const path = `${directory}/${QUORUM_STATE_FILE}`;
  let text: string;
  try {
    text = (await readSmallFile(disk, path)).toString("utf8");
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
  return parseQuorumState(text, path);
}

/**
 * Writes the state so that it survives a power cut when this resolves, and so that a crash on the way
 * leaves the old one whole: temporary file, datasync, rename, sync of the directory (K6).
 */
export async function writeQuorumState(
  disk: Disk,
  directory: string,
  state: StoredQuorumState,
): Promise<void> {
  const path = `${directory}/${QUORUM_STATE_FILE}`;
  await replaceFile(disk, path, Buffer.from(formatQuorumState(state)));
  await disk.syncDir(directory);
}

/** What `checkQuorumState` needs to know of the node. */
export interface QuorumStateOwner {
  readonly directory: string;
  /** Whether there is no log, and there never was one as far as is known. */
  readonly isEmpty: boolean;
  readonly self: ReplicaKey;
  /** Whether there is, and was, no other voter. */
  readonly isLone: boolean;
  readonly logger: Logger;
}

/**
 * Whether the node may go on with this state. A lone voter has nobody to vote for, so the epoch of its
 * log is enough; with others a lost vote could be given twice (K18). Throws QuorumStateError.
 */
export function checkQuorumState(state: StoredQuorumState | null, owner: QuorumStateOwner): void {
  const { directory, isEmpty, isLone, self, logger } = owner;
  const path = `${directory}/${QUORUM_STATE_FILE}`;
  if (state === null) {
    if (isEmpty) return;
    if (!isLone) {
      throw new QuorumStateError(
        `${path} is missing, and this node must not vote without it (K18): restore it, or ${START_ANEW}`,
      );
    }
    logger.warn({ directory }, "quorum-state is missing; its epoch is taken from the log");
    return;
  }
  if (!isLone) return;
  // Another node's files would make this one lead in epochs that are not its own.
  const otherId = state.leaderId ?? state.voted?.nodeId ?? self.nodeId;
  if (otherId !== self.nodeId) {
    throw new QuorumStateError(
      `${path} is of a quorum that node ${otherId} led, and this is node ${self.nodeId}: ` +
        "set node.id to the node that the directory belongs to, or use an empty directory",
    );
  }
  if (state.hasOthers) {
    throw new QuorumStateError(
      `${path} is of a quorum with other voters, which this node must not go on without: ` +
        "set controller.quorum.voters, or use an empty directory",
    );
  }
}

/** As Kafka 4 writes it, one line of JSON, with a checksum of the other fields, which Kafka skips. */
export function formatQuorumState(state: StoredQuorumState): string {
  const { leaderEpoch, leaderId, voted, hasOthers } = state;
  const fields = {
    leaderId: leaderId ?? NOBODY,
    leaderEpoch,
    votedId: voted?.nodeId ?? NOBODY,
    votedDirectoryId: voted?.directoryId ?? ZERO_UUID,
    data_version: DATA_VERSION,
    ...(hasOthers ? { hasOthers } : {}),
  };
  return JSON.stringify({ ...fields, [CHECKSUM]: checksumOf(fields) });
}

function checksumOf(fields: object): number {
  return crc32c(Buffer.from(JSON.stringify(fields), "utf8"));
}

/** Kafka's files, and those of the first release, have none. */
function isChecksumWrong(fields: Readonly<Record<string, unknown>> | null): boolean {
  if (fields === null || !(CHECKSUM in fields)) return false;
  const { [CHECKSUM]: checksum, ...others } = fields;
  return checksum !== checksumOf(others);
}

/** Reads both versions that Kafka has. Throws QuorumStateError. */
export function parseQuorumState(text: string, path: string): StoredQuorumState {
  const fields = parseObject(text);
  const { data_version: version, leaderEpoch, leaderId, votedId } = fields ?? {};
  if (
    isChecksumWrong(fields) ||
    (version !== 0 && version !== DATA_VERSION) ||
    !isInt32(leaderEpoch, 0) ||
    !isInt32(leaderId, NOBODY) ||
    !isInt32(votedId, NOBODY)
  ) {
    throw new QuorumStateError(
      `${path} is damaged, and this node must not vote without it (K18): restore it; if this node ` +
        "is the only controller, remove it, and the epoch is taken from the log beside it; " +
        `otherwise ${START_ANEW}`,
    );
  }
  return {
    leaderEpoch,
    leaderId: leaderId === NOBODY ? null : leaderId,
    voted: votedId === NOBODY ? null : { nodeId: votedId, directoryId: directoryIdOf(fields) },
    hasOthers: fields?.["hasOthers"] === true,
  };
}

/** Version 0 has no directory ids. */
function directoryIdOf(fields: Readonly<Record<string, unknown>> | null): Uuid {
  const directoryId = fields?.["votedDirectoryId"];
  return typeof directoryId === "string" && isUuid(directoryId) ? directoryId : ZERO_UUID;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : null;
  } catch {
    // Handled: what is not JSON is damage, which the caller reports.
    return null;
  }
}

function isInt32(value: unknown, min: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value < 2 ** 31;
}
