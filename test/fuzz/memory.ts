import { getHeapStatistics } from "node:v8";
import { must } from "../../src/base/assert.ts";

/** Bytes that V8 and its buffers hold now. A difference is what was allocated, less what was freed. */
export function heapBytes(): number {
  const statistics = getHeapStatistics();
  return statistics.used_heap_size + statistics.external_memory;
}

/** The same after everything unreachable is gone. Needs `node --expose-gc`. */
export async function settledHeapBytes(): Promise<number> {
  const gc = must(globalThis.gc, "run it with node --expose-gc");
  let least = Infinity;
  for (let i = 0; i < 4; i += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    gc();
    least = Math.min(least, heapBytes());
  }
  return least;
}

/**
 * Roughly what a decoded value takes, as V8 lays it out; a slice counts as its object, since the bytes
 * it shows are the frame's.
 */
export function valueBytes(value: unknown): number {
  if (typeof value === "string") return 24 + value.length;
  if (typeof value === "bigint") return 24;
  if (typeof value !== "object" || value === null) return 8;
  if (Buffer.isBuffer(value)) return 104;
  let bytes = 24;
  if (Array.isArray(value)) {
    for (const element of value) bytes += 8 + valueBytes(element);
    return bytes;
  }
  const fields = value as Readonly<Record<string | symbol, unknown>>;
  for (const key of Reflect.ownKeys(fields)) bytes += 8 + valueBytes(fields[key]);
  return bytes;
}
