import { assert } from "../base/assert.ts";

/** A part of a segment's file where no good batch lies (R10). It is kept as it is. */
export interface DamagedStretch {
  readonly position: number;
  /** Exclusive: a good batch begins there, or the file ends. */
  readonly endPosition: number;
  /** The offset after the good batch before. */
  readonly offset: number;
  /** Exclusive: where the good batch after it begins, or the segment ends. */
  readonly endOffset: number;
  readonly reason: string;
}

/**
 * What is known to be damaged in one segment: recovery notes what it finds below the durable point,
 * rebuilt indexes and readers what they meet later. Offsets inside answer CORRUPT_MESSAGE, the batches
 * before and after are served.
 */
export class DamagedStretches {
  /** Ascending, apart from each other. */
  #stretches: readonly DamagedStretch[] = [];

  get all(): readonly DamagedStretch[] {
    return this.#stretches;
  }

  /** One that overlaps or touches others takes them in. */
  add(stretch: DamagedStretch): void {
    // One without bytes: its batches are missing.
    assert(
      stretch.position <= stretch.endPosition,
      "a damaged stretch does not end before it begins",
    );
    const apart = this.#stretches.filter(
      (one) => one.endPosition < stretch.position || one.position > stretch.endPosition,
    );
    const joined = this.#stretches.filter((one) => !apart.includes(one));
    const whole = joined.reduce(
      (all, one) => ({
        position: Math.min(all.position, one.position),
        endPosition: Math.max(all.endPosition, one.endPosition),
        offset: Math.min(all.offset, one.offset),
        endOffset: Math.max(all.endOffset, one.endOffset),
        reason: all.reason,
      }),
      stretch,
    );
    this.#stretches = [...apart, whole].sort((a, b) => a.position - b.position);
  }

  /** The stretch in whose range of offsets it lies. */
  at(offset: number): DamagedStretch | null {
    return this.#stretches.find((one) => one.offset <= offset && offset < one.endOffset) ?? null;
  }

  /** The stretch that holds the byte at the position. */
  atPosition(position: number): DamagedStretch | null {
    const holds = (one: DamagedStretch): boolean =>
      one.position <= position && position < one.endPosition;
    return this.#stretches.find(holds) ?? null;
  }
}
