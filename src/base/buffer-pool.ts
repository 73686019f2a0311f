import { assert, must } from "./assert.ts";

/** Below this a buffer of its own is as cheap. */
export const MIN_POOLED_BYTES = 8 * 1024;
const SMALLEST_CLASS_BYTES = 16 * 1024;
const CLASS_COUNT = 8;
/** A power of two of records and what goes around it shall fit in the class of that power. */
const HEADROOM_BYTES = 4 * 1024;

/**
 * Buffers that are used again. Memory outside the heap that comes and goes with every request makes the
 * garbage collector run for it alone ("external memory pressure": a quarter of the time of a broker
 * that is sent large batches). What is never released is collected as any other buffer is.
 */
export class BufferPool {
  readonly #maxFreeBytes: number;
  readonly #free: Buffer[][] = Array.from({ length: CLASS_COUNT }, () => []);
  #freeBytes = 0;
  /** When, counted in takes, a buffer of each class was last asked for. */
  readonly #lastTaken: number[] = Array.from({ length: CLASS_COUNT }, () => 0);
  #takeCount = 0;
  /** What is out, so that nothing comes back twice, and nothing that was not ours. */
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** `maxFreeBytes`: of the buffers that wait to be used again. */
  constructor(options: { readonly maxFreeBytes: number }) {
    this.#maxFreeBytes = options.maxFreeBytes;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** So many bytes, with anything in them. Those of tiny and of huge buffers are not used again. */
  take(byteCount: number): Buffer {
    const index = classFor(byteCount);
    if (byteCount < MIN_POOLED_BYTES || index >= CLASS_COUNT) return Buffer.allocUnsafe(byteCount);
    this.#takeCount += 1;
    this.#lastTaken[index] = this.#takeCount;
    let whole = this.#free[index]?.pop();
    if (whole === undefined) whole = Buffer.allocUnsafeSlow(classBytes(index));
    else this.#freeBytes -= whole.length;
    this.#lent.add(whole.buffer);
    return whole.subarray(0, byteCount);
  }

  /** What `take` gave, or any slice of it: nothing reads or writes it from now on. */
  release(buffer: Buffer): void {
    if (buffer.buffer.byteLength < SMALLEST_CLASS_BYTES) return;
    const index = classFor(buffer.buffer.byteLength);
    if (index >= CLASS_COUNT) return;
    assert(this.#lent.delete(buffer.buffer), "a buffer comes back once, to the pool it is from");
    const whole = Buffer.from(buffer.buffer);
    this.#free[index]?.push(whole);
    this.#freeBytes += whole.length;
    while (this.#freeBytes > this.#maxFreeBytes) this.#forgetOne();
  }

  /** Of the class that was not asked for the longest: what clients send now may be of another size. */
  #forgetOne(): void {
    let oldest = -1;
    for (const [index, { length }] of this.#free.entries()) {
      if (length === 0) continue;
      if (oldest === -1 || this.#takenAt(index) < this.#takenAt(oldest)) oldest = index;
    }
    const forgotten = must(this.#free[oldest]?.pop(), "bytes that are free are in some buffer");
    this.#freeBytes -= forgotten.length;
  }

  #takenAt(index: number): number {
    return this.#lastTaken[index] ?? 0;
  }
}

function classBytes(index: number): number {
  return (SMALLEST_CLASS_BYTES << index) + HEADROOM_BYTES;
}

function classFor(byteCount: number): number {
  const powers = Math.max(1, Math.ceil((byteCount - HEADROOM_BYTES) / SMALLEST_CLASS_BYTES));
  return 32 - Math.clz32(powers - 1);
}
