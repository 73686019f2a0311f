import { type Random, randomBelow } from "../base/random.ts";

/** One way, in milliseconds. */
const LATENCY_MS = 0.5;

interface LinksListener {
  onCut(from: string, to: string): void;
  onMended(): void;
}

/** What lies between machines, each direction by itself: whole, slow, or cut. */
export class SimLinks {
  readonly #random: Random;
  readonly #listener: LinksListener;
  /** By direction; how many times the same one has been cut before. */
  readonly #cuts = new Map<string, number>();
  readonly #delaysMs = new Map<string, number>();
  #cutCount = 0;

  constructor(dependencies: { readonly random: Random }, listener: LinksListener) {
    this.#random = dependencies.random;
    this.#listener = listener;
  }

  /** Nothing goes this way any more: what is on it waits, and is delivered if it is mended in time. */
  cut(from: string, to: string): void {
    const direction = directionOf(from, to);
    if (this.#cuts.has(direction)) return;
    this.#cutCount += 1;
    this.#cuts.set(direction, this.#cutCount);
    this.#listener.onCut(from, to);
  }

  /** Machines of different groups reach each other no more; those in none of them reach all. */
  partition(groups: readonly (readonly string[])[]): void {
    for (const [index, group] of groups.entries()) {
      for (const other of groups.flatMap((machines, at) => (at === index ? [] : machines))) {
        for (const machine of group) this.cut(machine, other);
      }
    }
  }

  mend(from: string, to: string): void {
    if (this.#cuts.delete(directionOf(from, to))) this.#listener.onMended();
  }

  /** No cut and no delay is left. */
  mendAll(): void {
    this.#cuts.clear();
    this.#delaysMs.clear();
    this.#listener.onMended();
  }

  /** Added to each message's way from now on; 0: none. */
  delay(from: string, to: string, delayMs: number): void {
    this.#delaysMs.set(directionOf(from, to), delayMs);
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(directionOf(from, to));
  }

  /** Which cut it is, of all that ever were; null: it is whole. */
  cutOf(from: string, to: string): number | null {
    return this.#cuts.get(directionOf(from, to)) ?? null;
  }

  /** Mostly short, sometimes ten times as long. */
  latencyMs(from: string, to: string): number {
    const fraction = (this.#random.uint32() + 1) / 2 ** 32;
    const latencyMs = randomBelow(this.#random, 50) === 0 ? 10 * LATENCY_MS : LATENCY_MS;
    return latencyMs * fraction + (this.#delaysMs.get(directionOf(from, to)) ?? 0);
  }
}

function directionOf(from: string, to: string): string {
  return `${from} > ${to}`;
}
