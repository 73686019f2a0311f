import { crc32c } from "../base/crc32c.ts";
import { type Disk, isNotFound } from "../base/disk.ts";
import { isUuid } from "../base/ids.ts";
import { readSmallFile, replaceFile } from "../storage/atomic-file.ts";
import type { ReplicaKey } from "./core/voters.ts";
import type { FormationState } from "./formation.ts";
import { QuorumStateError } from "./quorum-state.ts";

/**
 * Beside meta.properties and not in the metadata log's own directory: were that one lost alone, the node
 * must not take itself for a new one, whose vote was never given (K18).
 */
export const FORMATION_FILE = "quorum-formation";

/** Throws QuorumStateError when the file is damaged, DiskError. */
export async function readFormationState(disk: Disk, directory: string): Promise<FormationState> {
  const path = `${directory}/${FORMATION_FILE}`;
  try {
    return parseFormationState((await readSmallFile(disk, path)).toString("utf8"), path);
  } catch (error) {
    if (isNotFound(error)) return { kind: "empty" };
    throw error;
  }
}

/** Durable when this resolves; a crash on the way leaves the old state whole. Throws DiskError. */
export async function writeFormationState(
  disk: Disk,
  directory: string,
  state: FormationState,
): Promise<void> {
  await replaceFile(
    disk,
    `${directory}/${FORMATION_FILE}`,
    Buffer.from(formatFormationState(state)),
  );
  await disk.syncDir(directory);
}

export function formatFormationState(state: FormationState): string {
  const text = JSON.stringify(state);
  return `${JSON.stringify({ state, crc32c: crc32c(Buffer.from(text, "utf8")) })}\n`;
}

/** Throws QuorumStateError. */
export function parseFormationState(text: string, path: string): FormationState {
  const state = soundState(text);
  if (state !== null) return state;
  throw new QuorumStateError(
    `${path} is damaged, and this node must not take part in a quorum without it (K18, R14): restore ` +
      "it, or give this node an empty log directory",
  );
}

function soundState(text: string): FormationState | null {
  const { state, crc32c: checksum } = fieldsOf(parseJson(text));
  if (crc32c(Buffer.from(JSON.stringify(state ?? null), "utf8")) !== checksum) return null;
  const { kind, founder, voters } = fieldsOf(state);
  if (kind === "empty") return { kind };
  if (kind === "promised" && isReplica(founder)) return { kind, founder };
  if (kind !== "formed" || !Array.isArray(voters)) return null;
  const replicas: unknown[] = voters;
  return replicas.length > 0 && replicas.every(isReplica) ? { kind, voters: replicas } : null;
}

function isReplica(value: unknown): value is ReplicaKey {
  const { nodeId, directoryId } = fieldsOf(value);
  return Number.isInteger(nodeId) && typeof directoryId === "string" && isUuid(directoryId);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Handled: what is not JSON is damage, which the caller reports.
    return null;
  }
}
