import { assert, must } from "../base/assert.ts";
import type { Segment } from "./segment.ts";

/**
 * The segments of a log, oldest first. Every change makes a new list, so a reader that took one sees
 * it through: a segment that left the log meanwhile stays open for those who hold it.
 */
export class LogSegments {
  /** Invariant: base offsets strictly increase; only the last one is active. */
  #list: readonly Segment[];

  constructor(list: readonly Segment[]) {
    assert(list.length > 0, "a log has a segment");
    this.#list = list;
  }

  get list(): readonly Segment[] {
    return this.#list;
  }

  get active(): Segment {
    return must(this.#list.at(-1), "there is an active segment");
  }

  get firstBaseOffset(): number {
    return must(this.#list[0], "there is a segment").baseOffset;
  }

  /** From the segment that holds the offset on. */
  from(offset: number): readonly Segment[] {
    const index = this.#list.findLastIndex((segment) => segment.baseOffset <= offset);
    return this.#list.slice(Math.max(0, index));
  }

  /** Where the segment ends: where the next one begins, or the log ends. */
  endOffsetOf(segment: Segment, logEndOffset: number): number {
    const index = this.#list.indexOf(segment);
    assert(index !== -1, "the segment is one of the log's");
    return this.#list[index + 1]?.baseOffset ?? logEndOffset;
  }

  push(segment: Segment): void {
    assert(segment.baseOffset > this.active.baseOffset, "base offsets rise");
    this.#list = [...this.#list, segment];
  }

  replaceAll(list: readonly Segment[]): void {
    assert(list.length > 0, "a log has a segment");
    this.#list = list;
  }
}
