import { assert } from "../../base/assert.ts";
import type { FetchedSnapshotEvent } from "./events.ts";
import { maybeFetch, request } from "./follower.ts";
import type { SnapshotChunk, SnapshotId } from "./messages.ts";
import type { Follower } from "./roles.ts";
import type { RaftState } from "./state.ts";
import { VoterSet } from "./voters.ts";

/** Of what is committed and not in a snapshot yet; null: it is not to be taken (K11). */
export function snapshotIdAt(state: RaftState, endOffset: number): SnapshotId | null {
  const { highWatermark, log } = state;
  if (endOffset <= log.newestSnapshot.endOffset || endOffset > highWatermark) return null;
  return { endOffset, epoch: log.epochBefore(endOffset) };
}

/** One that has been overtaken by another's, or whose log is no longer there, is of no use. */
export function onSnapshotTaken({ highWatermark, log }: RaftState, id: SnapshotId): void {
  if (id.endOffset <= log.newestSnapshot.endOffset) return;
  assert(id.endOffset <= highWatermark, "a snapshot holds what is committed (K11)");
  assert(id.epoch === log.epochBefore(id.endOffset), "a snapshot is of this log");
  log.snapshotTaken(id);
}

export function onLogStart({ log }: RaftState, id: SnapshotId): void {
  if (id.endOffset <= log.start.endOffset) return;
  assert(id.epoch === log.epochBefore(id.endOffset), "a snapshot is of this log");
  log.startAt(id);
}

/** From the leader of this epoch; taken only if it is what was asked for. */
export function onSnapshotChunk(state: RaftState, role: Follower, chunk: SnapshotChunk): void {
  const { id, position, sizeBytes, bytes } = chunk;
  const { fetch, snapshot } = role;
  if (fetch === null || snapshot === null || !isSameSnapshot(snapshot.id, id)) return;
  const endPosition = position + bytes.length;
  if (position !== snapshot.position || bytes.length === 0 || endPosition > sizeBytes) return;
  role.hasHeard = true;
  role.heardAtMs = state.nowMs;
  role.fetch = null;
  snapshot.position = endPosition;
  snapshot.isWhole = endPosition === sizeBytes;
  state.do({ kind: "writeSnapshot", id, position, bytes, isLast: snapshot.isWhole });
}

/** What became of the bytes. An election may have been held meanwhile, or another one be fetched. */
export function onSnapshotFetched(
  state: RaftState,
  role: Follower,
  event: FetchedSnapshotEvent,
): void {
  const { id } = event;
  const { fetch, snapshot } = role;
  if (fetch !== null || snapshot === null || !isSameSnapshot(snapshot.id, id)) return;
  switch (event.kind) {
    case "snapshotWritten":
      if (snapshot.isWhole || snapshot.position !== event.endPosition) return;
      role.heardAtMs = state.nowMs;
      request(state, role);
      break;
    case "snapshotLoaded":
      if (!snapshot.isWhole) return;
      role.snapshot = null;
      // All that is committed in the log is in it, and nothing else may be in a log that lacks its end.
      state.log.resetTo(id, new VoterSet(event.voters));
      state.do({ kind: "resetLog", id });
      break;
    case "snapshotRejected":
      if (snapshot.isWhole) onSnapshotLost(state, role, id);
      break;
  }
}

/** It cannot be had: a fetch tells how to go on. */
export function onSnapshotLost(state: RaftState, role: Follower, id: SnapshotId): void {
  if (role.snapshot === null || !isSameSnapshot(role.snapshot.id, id)) return;
  role.snapshot = null;
  role.fetch = null;
  maybeFetch(state, role);
}

function isSameSnapshot(a: SnapshotId, b: SnapshotId): boolean {
  return a.endOffset === b.endOffset && a.epoch === b.epoch;
}
