import { runPython } from "../support/python.ts";

/** A record as a consumer saw it; `value` is null for a tombstone. */
export interface Found {
  readonly offset: number;
  readonly key: string;
  readonly value: number | null;
}

export interface TopicReport {
  readonly acked: number;
  readonly found: number;
  /** Acknowledged values that are not in the log, or not at the offset that was acknowledged. */
  readonly lost: readonly number[];
  /** Values that stand more than once in the log. */
  readonly duplicated: readonly number[];
  /** Keys that read otherwise than they were written last: an older value, or one that was deleted. */
  readonly revived: readonly string[];
}

/** Reads a partition from its start to its end with librdkafka. */
export async function readLog(bootstrap: string, topic: string): Promise<Found[]> {
  const text = await runPython("test/support/consume.py", bootstrap, topic, "0", "--keys");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [offset, key = "", value = "-"] = line.split(" ");
      return { offset: Number(offset), key, value: value === "-" ? null : Number(value) };
    });
}

/** Nothing at or above the log's start may be missing. */
export function auditPlain(
  acked: ReadonlyMap<number, number>,
  found: readonly Found[],
  logStartOffset: number,
): TopicReport {
  const valueAt = new Map(found.map(({ offset, value }) => [offset, value]));
  return {
    acked: acked.size,
    found: found.length,
    lost: [...acked]
      .filter(([value, offset]) => offset >= logStartOffset && valueAt.get(offset) !== value)
      .map(([value]) => value),
    duplicated: duplicates(found),
    revived: [],
  };
}

/**
 * Of each key the last value must be there, unless it was a tombstone: then the key may be gone, or
 * its tombstone the last that is seen of it, but no value. What is there stands where it was acknowledged.
 */
export function auditKeyed(
  acked: ReadonlyMap<number, number>,
  found: readonly Found[],
  written: (value: number) => { readonly key: string; readonly isTombstone: boolean },
): TopicReport {
  const lastOf = new Map<string, number>();
  for (const value of [...acked.keys()].sort((a, b) => a - b)) {
    lastOf.set(written(value).key, value);
  }
  const seenLast = new Map(found.map((record) => [record.key, record]));
  const misplaced = found.flatMap(({ offset, value }) =>
    value !== null && acked.has(value) && acked.get(value) !== offset ? [value] : [],
  );
  const missing = [...lastOf].flatMap(([key, value]) =>
    !written(value).isTombstone && !seenLast.has(key) ? [value] : [],
  );
  return {
    acked: acked.size,
    found: found.length,
    lost: [...misplaced, ...missing],
    duplicated: duplicates(found),
    revived: [...seenLast].flatMap(([key, { value }]) => {
      const last = lastOf.get(key);
      const expected = last === undefined || written(last).isTombstone ? null : last;
      return value === expected ? [] : [key];
    }),
  };
}

function duplicates(found: readonly Found[]): number[] {
  const counts = new Map<number, number>();
  for (const { value } of found) {
    if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > 1).map(([value]) => value);
}
