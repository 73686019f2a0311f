import type { Point } from "./report.ts";

/** So many points does a series have at most. */
export const MAX_POINTS = 1024;

/**
 * What rises and falls in the course of a run, in a bounded number of points: where it has more, each
 * stands for several, with the greatest of their values. The last one is always as it was added.
 */
export class Series {
  #points: Point[] = [];
  /** How many of what was added make one point. */
  #width = 1;
  #inPoint = 0;
  #last: Point | null = null;

  add(atMs: number, value: number): void {
    this.#last = { atMs, value };
    const open = this.#inPoint === 0 ? undefined : this.#points.pop();
    this.#points.push(open === undefined ? this.#last : greater(open, this.#last));
    this.#inPoint = (this.#inPoint + 1) % this.#width;
    if (this.#inPoint > 0 || this.#points.length < MAX_POINTS) return;
    const pairs: Point[] = [];
    for (const [index, point] of this.#points.entries()) {
      const first = index % 2 === 0 ? undefined : pairs.pop();
      pairs.push(first === undefined ? point : greater(first, point));
    }
    this.#points = pairs;
    this.#width *= 2;
  }

  points(): readonly Point[] {
    const last = this.#points.at(-1);
    if (this.#last === null || last === this.#last) return this.#points;
    return [...this.#points, this.#last];
  }
}

function greater(a: Point, b: Point): Point {
  return b.value > a.value ? b : a;
}
