import type { Batch, SnapshotId } from "../../../src/raft/core/messages.ts";
import type { Voter } from "../../../src/raft/core/voters.ts";
import { isSameBatch } from "./model-disk.ts";

/** The state machine of the model: what all batches below an offset, in their order, come to. */
export interface State {
  readonly endOffset: number;
  readonly hash: number;
}

export const EMPTY_STATE: State = { endOffset: 0, hash: 0x811c9dc5 };

export function applyBatch(state: State, { endOffset, leaderEpoch, bytes }: Batch): State {
  let { hash } = state;
  for (const byte of Buffer.concat([Buffer.from(`${endOffset}@${leaderEpoch} `), bytes])) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return { endOffset, hash };
}

/** A state, and who votes as of it. */
export interface Snapshot {
  readonly id: SnapshotId;
  readonly hash: number;
  readonly voters: readonly Voter[];
}

export function encodeSnapshot(snapshot: Snapshot): Buffer {
  return Buffer.from(JSON.stringify(snapshot));
}

export function decodeSnapshot(bytes: Buffer): Snapshot {
  return JSON.parse(bytes.toString()) as Snapshot;
}

const COMMAND = "command-";

/** What a client has offered. */
export function commandBytes(count: number): Buffer {
  return Buffer.from(`${COMMAND}${count}`);
}

const VOTERS = "voters=";

export function votersBytes(prefix: string, voters: readonly Voter[]): Buffer {
  return Buffer.from(`${prefix}${VOTERS}${JSON.stringify(voters)}`);
}

const known = new WeakMap<Buffer, readonly Voter[] | null>();

/** Who votes from the end of the batch on; null: it does not say. */
export function votersIn(bytes: Buffer): readonly Voter[] | null {
  let voters = known.get(bytes);
  if (voters === undefined) {
    const place = bytes.indexOf(VOTERS);
    const text = bytes.toString("utf8", place + VOTERS.length);
    voters = place === -1 ? null : (JSON.parse(text) as Voter[]);
    known.set(bytes, voters);
  }
  return voters;
}

/** What was committed, on whichever node first. Never forgotten, whatever happens to the nodes. */
export class CommittedLog {
  readonly batches: Batch[] = [];
  /** The epoch in which each was committed. */
  readonly #epochs: number[] = [];
  readonly #indexes = new Map<number, number>();
  /** What the quorum itself appends is none. */
  commandCount = 0;
  readonly #states = new Map<number, State & { readonly epoch: number }>([
    [0, { ...EMPTY_STATE, epoch: 0 }],
  ]);

  get endOffset(): number {
    return this.batches.at(-1)?.endOffset ?? 0;
  }

  /** Takes it for committed, unless another one is; returns whether it is. */
  commit(batch: Batch, epoch: number): boolean {
    const index = this.#indexes.get(batch.baseOffset);
    if (index !== undefined) {
      this.#epochs[index] = Math.min(this.#epochs[index] ?? epoch, epoch);
      return isSameBatch(this.batches[index], batch);
    }
    if (batch.baseOffset !== this.endOffset) return false;
    const before = this.#states.get(batch.baseOffset) ?? EMPTY_STATE;
    this.#indexes.set(batch.baseOffset, this.batches.length);
    this.batches.push(batch);
    if (batch.bytes.toString().startsWith(COMMAND)) this.commandCount += 1;
    this.#epochs.push(epoch);
    const state = { ...applyBatch(before, batch), epoch: batch.leaderEpoch };
    this.#states.set(batch.endOffset, state);
    return true;
  }

  has(batch: Batch): boolean {
    const index = this.#indexes.get(batch.baseOffset);
    return index !== undefined && isSameBatch(this.batches[index], batch);
  }

  /** Those that were committed in an epoch before that one. */
  before(epoch: number): readonly Batch[] {
    return this.batches.filter((_, index) => (this.#epochs[index] ?? 0) < epoch);
  }

  /** What replaying all below the offset comes to; undefined: no committed batch ends there. */
  stateAt(endOffset: number): (State & { readonly epoch: number }) | undefined {
    return this.#states.get(endOffset);
  }

  hasEpoch(epoch: number): boolean {
    return this.batches.some(({ leaderEpoch }) => leaderEpoch === epoch);
  }
}
