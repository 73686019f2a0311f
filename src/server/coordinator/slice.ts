import type { GroupRecord } from "./group-records.ts";
import type { GroupsState } from "./group-state.ts";
import type { GroupTurn } from "./group-turn.ts";
import { writeGroupRecord } from "./replay.ts";

/** One command looks at this many offsets at most, and writes about this many bytes: then the next. */
const SLICE_OFFSETS = 10_000;
const SLICE_BYTES = 128 * 1024;
/** What a tombstone costs besides its names. */
const TOMBSTONE_BYTES = 64;

/** What one command that removes many things has looked at and written so far. */
export class Slice {
  readonly #state: GroupsState;
  readonly #turn: GroupTurn;
  readonly #maxBytes: number;
  #looked = 0;
  #bytes = 0;

  constructor(state: GroupsState, turn: GroupTurn, maxBytes = SLICE_BYTES) {
    this.#state = state;
    this.#turn = turn;
    // Where only small batches are taken, the slices are small as well.
    this.#maxBytes = Math.min(maxBytes, turn.options.maxBatchBytes / 2);
  }

  get nowMs(): number {
    return this.#turn.nowMs;
  }

  get retentionMs(): number {
    return this.#turn.options.offsetsRetentionMs;
  }

  /** The records make a batch that is large enough. */
  get isFull(): boolean {
    return this.#bytes >= this.#maxBytes;
  }

  /** Time for others, between two groups. */
  get isDone(): boolean {
    return this.isFull || this.#looked >= SLICE_OFFSETS;
  }

  look(): void {
    this.#looked += 1;
  }

  removeOffset(groupId: string, topic: string, partitionIndex: number): void {
    this.write({ kind: "offset", groupId, topic, partitionIndex, value: null });
    this.#bytes += 3 * topic.length;
  }

  write(record: GroupRecord): void {
    this.#bytes += TOMBSTONE_BYTES + 3 * record.groupId.length;
    writeGroupRecord(this.#state, this.#turn, record);
  }
}
