/** Buckets for each doubling of the time. */
const BUCKETS_PER_DOUBLING = 4;
/** The last one is for all above some 70 minutes. */
const BUCKET_COUNT = BUCKETS_PER_DOUBLING * 32;
const MICROSECONDS = 1_000;

/** Quantiles are of the last one to two windows. */
const WINDOW_MS = 60_000;

/** How long something took, by quantiles, some 20 % exact; a record costs two additions. */
export class TimeHistogram {
  #current = new Uint32Array(BUCKET_COUNT);
  #previous = new Uint32Array(BUCKET_COUNT);
  #windowStartMs = -Infinity;
  #count = 0;

  /** Since the start. */
  get count(): number {
    return this.#count;
  }

  record(tookMs: number, nowMs: number): void {
    this.#roll(nowMs);
    const bucket = Math.log2(1 + Math.max(0, tookMs) * MICROSECONDS) * BUCKETS_PER_DOUBLING;
    const index = Math.min(BUCKET_COUNT - 1, Math.floor(bucket));
    this.#current[index] = (this.#current[index] ?? 0) + 1;
    this.#count += 1;
  }

  /** In milliseconds; 0 when nothing was recorded lately. */
  quantile(fraction: number, nowMs: number): number {
    this.#roll(nowMs);
    let total = 0;
    for (let index = 0; index < BUCKET_COUNT; index += 1) total += this.#at(index);
    let rest = fraction * total;
    for (let index = 0; index < BUCKET_COUNT && total > 0; index += 1) {
      rest -= this.#at(index);
      if (rest <= 0) return (2 ** ((index + 0.5) / BUCKETS_PER_DOUBLING) - 1) / MICROSECONDS;
    }
    return 0;
  }

  #at(index: number): number {
    return (this.#current[index] ?? 0) + (this.#previous[index] ?? 0);
  }

  #roll(nowMs: number): void {
    if (nowMs - this.#windowStartMs < WINDOW_MS) return;
    const isStale = nowMs - this.#windowStartMs >= 2 * WINDOW_MS;
    [this.#current, this.#previous] = [this.#previous, this.#current];
    this.#current.fill(0);
    if (isStale) this.#previous.fill(0);
    this.#windowStartMs = nowMs;
  }
}

/** What became of the requests of one API. */
export class RequestStats {
  readonly api: string;
  /** By version. */
  readonly counts = new Map<number, number>();
  /** From the whole request being here to its answer being made. */
  readonly times = new TimeHistogram();

  constructor(api: string) {
    this.api = api;
  }

  began(version: number): void {
    this.counts.set(version, (this.counts.get(version) ?? 0) + 1);
  }
}
