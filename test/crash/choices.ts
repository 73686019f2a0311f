import { must } from "../../src/base/assert.ts";
import { randomBelow, type Random } from "../../src/base/random.ts";
import { type Choice, dependsOn, PAGE_BYTES, type Pending, type Tear } from "./power-model.ts";

/** How many of each unit's versions survive: the numbers that a choice is made of, in one row. */
type Row = readonly number[];

interface Unit {
  readonly kind: "name" | "length" | "page";
  /** Of the file in `pending.files`, or of the name change. */
  readonly index: number;
  /** Of the page in its file. */
  readonly page: number;
  /** Versions, the durable one included. */
  readonly count: number;
  /** When the newest version came. */
  readonly at: number;
}

/** What may survive a cut at one moment. */
export interface Choices {
  /** Whether these are all there are, torn pages included; otherwise they are samples. */
  readonly isExhaustive: boolean;
  /** All survives in the first. Repeats are possible. */
  readonly choices: Iterable<Choice>;
}

/**
 * Choices of what survives: all there are when they are at most `limit`, otherwise those that tell
 * most (all, nothing, all but one, one alone, names without bytes, bytes without names, torn pages)
 * and then samples. With `newest`, of all there are only those in which something of that event has
 * survived: the others were there at the moment before.
 */
export function choicesOf(
  pending: Pending,
  options: { readonly limit: number; readonly random: Random; readonly newest: number | null },
): Choices {
  const { limit, random, newest } = options;
  const units = unitsOf(pending);
  const rowCount = rowCountOf(pending, units, limit);
  const tornCount = 1 + greatestTearCount(pending);
  const isExhaustive = rowCount * tornCount <= limit;
  if (isExhaustive) return { isExhaustive, choices: allOf(pending, units, newest) };
  if (rowCount <= limit) return { isExhaustive, choices: untornOf(pending, units) };
  return { isExhaustive, choices: someOf(pending, units, limit, random) };
}

/** Each row with each of its tears. */
function* allOf(
  pending: Pending,
  units: readonly Unit[],
  newest: number | null,
): Generator<Choice> {
  yield newestChoice(pending, units);
  for (const row of rowsOf(pending, units)) {
    const isNew =
      newest === null ||
      units.some(({ at, count }, index) => at === newest && row[index] === count - 1);
    if (!isNew) continue;
    yield choiceOf(pending, units, row, null);
    for (const tear of tearsOf(pending, units, row)) yield choiceOf(pending, units, row, tear);
  }
}

/** Each row, and the newest with its tears. */
function* untornOf(pending: Pending, units: readonly Unit[]): Generator<Choice> {
  yield newestChoice(pending, units);
  for (const row of rowsOf(pending, units)) yield choiceOf(pending, units, row, null);
  const newest = units.map((unit) => unit.count - 1);
  for (const tear of tearsOf(pending, units, newest)) yield choiceOf(pending, units, newest, tear);
}

/** Each set of names with each version of every page and length of the files that it leads to. */
function* rowsOf(pending: Pending, units: readonly Unit[]): Generator<Row> {
  for (const names of nameSetsOf(pending.names)) {
    const named = namedUnits(pending, units, names);
    const rowCount = productOf(named.map((at) => must(units[at], "it was found")));
    for (let number = 0; number < rowCount; number += 1) {
      const row = units.map((_, at): number => (names[at] === true ? 1 : 0));
      let rest = number;
      for (const at of named) {
        const { count } = must(units[at], "it was found");
        row[at] = rest % count;
        rest = Math.floor(rest / count);
      }
      yield row;
    }
  }
}

/** The pages and lengths of files that have a name, by index. */
function namedUnits(
  { files, treeOf }: Pending,
  units: readonly Unit[],
  names: readonly boolean[],
): readonly number[] {
  const { nodes } = treeOf(names);
  return units.flatMap(({ kind, index }, at) => {
    const node = kind === "name" ? undefined : files[index]?.node;
    return node !== undefined && nodes.has(node) ? [at] : [];
  });
}

function* someOf(
  pending: Pending,
  units: readonly Unit[],
  limit: number,
  random: Random,
): Generator<Choice> {
  yield newestChoice(pending, units);
  yield choiceOf(
    pending,
    units,
    units.map(() => 0),
    null,
  );
  let left = limit;
  for (const choice of telling(pending, units)) {
    yield choice;
    left -= 1;
    if (left <= limit / 4) break;
  }
  for (; left > 0; left -= 1) yield sample(pending, units, random);
}

function newestChoice(pending: Pending, units: readonly Unit[]): Choice {
  const newest = units.map((unit) => unit.count - 1);
  return choiceOf(pending, units, newest, null);
}

/** How many rows there are; something above `limit` when there are more than that. */
function rowCountOf(pending: Pending, units: readonly Unit[], limit: number): number {
  let rowCount = 0;
  for (const names of nameSetsOf(pending.names)) {
    const named = namedUnits(pending, units, names);
    rowCount += productOf(named.map((at) => must(units[at], "it was found")));
    if (rowCount > limit) break;
  }
  return rowCount;
}

function productOf(units: readonly Unit[]): number {
  return units.reduce((count, unit) => Math.min(count * unit.count, 1e9), 1);
}

/** Every set of name changes in which each has those that it builds upon. */
function* nameSetsOf(
  names: Pending["names"],
  chosen: readonly boolean[] = [],
): Generator<readonly boolean[]> {
  const change = names[chosen.length];
  if (change === undefined) {
    yield chosen;
    return;
  }
  yield* nameSetsOf(names, [...chosen, false]);
  const lacksOne = chosen.some(
    (isKept, at) => !isKept && dependsOn(change, must(names[at], "it is an earlier one")),
  );
  if (!lacksOne) yield* nameSetsOf(names, [...chosen, true]);
}

/** At most so many tears go with any one row. */
function greatestTearCount({ files }: Pending): number {
  let count = 0;
  for (const { pages } of files) {
    for (const { versions } of pages) {
      const counts = versions.slice(1).map(({ value }, index) => {
        const older = must(versions[index], "an older version").value;
        return 2 * tornBytesOf(older, value).length;
      });
      count += Math.max(0, ...counts);
    }
  }
  return count;
}

function* telling(pending: Pending, units: readonly Unit[]): Generator<Choice> {
  const newest = units.map((unit) => unit.count - 1);
  const only = (keep: (unit: Unit, index: number) => boolean): Row =>
    units.map((unit, index) => (keep(unit, index) ? unit.count - 1 : 0));
  const make = (row: Row): Choice => choiceOf(pending, units, row, null);
  yield make(only(({ kind }) => kind === "name"));
  yield make(only(({ kind }) => kind !== "name"));
  // Zeros under the new length; and bytes that the old length hides.
  yield make(only(({ kind }) => kind !== "page"));
  yield make(only(({ kind }) => kind !== "length"));
  // The newest units first: what is older was tried after the events before.
  const order = units.map((_, index) => index).sort((a, b) => atOf(units, b) - atOf(units, a));
  const tears = tearsOf(pending, units, newest);
  for (const index of order) {
    yield make(only((_, other) => other === index));
    yield make(only((_, other) => other !== index));
    yield make(only(({ kind }, other) => other === index || kind === "name"));
    const tear = tears.next();
    if (tear.done !== true) yield choiceOf(pending, units, newest, tear.value);
  }
  for (const tear of tears) yield choiceOf(pending, units, newest, tear);
  // Any moment before: all that was changed up to it.
  const moments = [...new Set(units.map(({ at }) => at))].sort((a, b) => b - a);
  for (const moment of moments) yield make(only(({ at }) => at < moment));
}

function sample(pending: Pending, units: readonly Unit[], random: Random): Choice {
  const survivalOf = { name: percent(random), length: percent(random), page: percent(random) };
  const row = units.map(({ kind, count }) => {
    if (randomBelow(random, 100) >= survivalOf[kind]) return 0;
    return randomBelow(random, 4) === 0 ? randomBelow(random, count) : count - 1;
  });
  const tears = randomBelow(random, 4) === 0 ? [...tearsOf(pending, units, row)] : [];
  const tear =
    tears.length === 0 ? null : must(tears[randomBelow(random, tears.length)], "in range");
  return choiceOf(pending, units, row, tear);
}

function percent(random: Random): number {
  return must([0, 10, 50, 90, 100][randomBelow(random, 5)], "one of five");
}

/** Cuts within what the chosen versions of pages have changed. */
function* tearsOf(pending: Pending, units: readonly Unit[], row: Row): Generator<Tear> {
  for (const [at, unit] of units.entries()) {
    const chosen = row[at] ?? 0;
    if (unit.kind !== "page" || chosen === 0) continue;
    const { versions } = must(pending.files[unit.index]?.pages[unit.page], "a unit has its page");
    const older = must(versions[chosen - 1], "an older version").value;
    const newer = must(versions[chosen], "the chosen version").value;
    for (const byte of tornBytesOf(older, newer)) {
      const place = { file: unit.index, page: unit.page, byte };
      yield { ...place, isGarbled: false };
      yield { ...place, isGarbled: true };
    }
  }
}

/** By the newer of two versions: what is older than it stays the same. */
const tornBytes = new WeakMap<Buffer, readonly number[]>();

/** Where a page may be torn between two versions: at each sector, and within what has changed. */
function tornBytesOf(older: Buffer, newer: Buffer): readonly number[] {
  const known = tornBytes.get(newer);
  if (known !== undefined) return known;
  const changed = changedRange(older, newer);
  const bytes = new Set<number>();
  if (changed !== null) {
    const { start, end } = changed;
    for (let sector = 512; sector < PAGE_BYTES; sector += 512) {
      if (sector > start && sector < end) bytes.add(sector);
    }
    bytes.add(Math.floor((start + end) / 2)).add(end - 1);
  }
  tornBytes.set(newer, [...bytes]);
  return [...bytes];
}

function changedRange(older: Buffer, newer: Buffer): { start: number; end: number } | null {
  let start = 0;
  while (start < PAGE_BYTES && older[start] === newer[start]) start += 1;
  if (start === PAGE_BYTES) return null;
  let end = PAGE_BYTES;
  while (older[end - 1] === newer[end - 1]) end -= 1;
  return { start, end };
}

function unitsOf({ names, files }: Pending): Unit[] {
  const units: Unit[] = names.map(({ at }, index) => ({
    kind: "name",
    index,
    page: 0,
    count: 2,
    at,
  }));
  for (const [index, { lengths, pages }] of files.entries()) {
    const place = { index, page: 0 };
    if (lengths.length > 1) {
      const at = lengths.at(-1)?.at ?? -1;
      units.push({ ...place, kind: "length", count: lengths.length, at });
    }
    for (const [page, { versions }] of pages.entries()) {
      const at = versions.at(-1)?.at ?? -1;
      units.push({ kind: "page", index, page, count: versions.length, at });
    }
  }
  return units;
}

function choiceOf(pending: Pending, units: readonly Unit[], row: Row, tear: Tear | null): Choice {
  const names: boolean[] = [];
  const files = pending.files.map(({ pages }) => ({ length: 0, pages: pages.map(() => 0) }));
  for (const [at, { kind, index, page }] of units.entries()) {
    const chosen = row[at] ?? 0;
    const file = files[index];
    if (kind === "name") names.push(chosen === 1);
    else if (file !== undefined && kind === "length") file.length = chosen;
    else if (file !== undefined) file.pages[page] = chosen;
  }
  return { names: withPredecessors(pending, names), files, tear };
}

/** Drops name changes that lack one that they build upon. */
function withPredecessors({ names }: Pending, wanted: readonly boolean[]): boolean[] {
  const kept: boolean[] = [];
  for (const [index, change] of names.entries()) {
    const lacksOne = names.some(
      (earlier, at) => at < index && kept[at] === false && dependsOn(change, earlier),
    );
    kept.push(wanted[index] === true && !lacksOne);
  }
  return kept;
}

function atOf(units: readonly Unit[], index: number): number {
  return units[index]?.at ?? -1;
}
