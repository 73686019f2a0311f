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

/**
 * Choices of what survives: all there are when they are at most `limit`, otherwise those that tell
 * most (all, nothing, all but one, one alone, names without bytes, bytes without names, torn pages)
 * and then samples. Repeats are possible. All survive in the first, nothing in the second.
 */
export function* choicesOf(pending: Pending, limit: number, random: Random): Generator<Choice> {
  const units = unitsOf(pending);
  const product = units.reduce((count, unit) => Math.min(count * unit.count, 1e9), 1);
  const newest = units.map((unit) => unit.count - 1);
  const none = units.map(() => 0);
  yield choiceOf(pending, units, newest, null);
  if (units.length === 0) return;
  yield choiceOf(pending, units, none, null);
  if (product <= limit) {
    for (let number = 0; number < product; number += 1) {
      yield choiceOf(pending, units, rowOf(units, number), null);
    }
    for (const tear of tearsOf(pending, units, newest))
      yield choiceOf(pending, units, newest, tear);
    return;
  }
  let left = limit;
  for (const choice of telling(pending, units)) {
    yield choice;
    left -= 1;
    if (left <= limit / 4) break;
  }
  for (; left > 0; left -= 1) yield sample(pending, units, random);
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
  for (const tear of tearsOf(pending, units, newest)) {
    yield choiceOf(pending, units, newest, tear);
  }
  for (const index of order) {
    yield make(only((_, other) => other !== index));
    yield make(only(({ kind }, other) => other === index || kind === "name"));
    yield make(only((_, other) => other === index));
  }
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

/** Cuts within what the chosen version of a page has changed: at a sector, and within one. */
function* tearsOf(pending: Pending, units: readonly Unit[], row: Row): Generator<Tear> {
  for (const [at, unit] of units.entries()) {
    const chosen = row[at] ?? 0;
    if (unit.kind !== "page" || chosen === 0) continue;
    const { versions } = must(pending.files[unit.index]?.pages[unit.page], "a unit has its page");
    const older = must(versions[chosen - 1], "an older version").value;
    const newer = must(versions[chosen], "the chosen version").value;
    const changed = changedRange(older, newer);
    if (changed === null) continue;
    const bytes = new Set<number>();
    const { start, end } = changed;
    for (let sector = 512; sector < PAGE_BYTES; sector += 512) {
      if (sector > start && sector < end) bytes.add(sector);
    }
    bytes.add(Math.floor((start + end) / 2)).add(end - 1);
    for (const byte of bytes) {
      const place = { file: unit.index, page: unit.page, byte };
      yield { ...place, isGarbled: false };
      yield { ...place, isGarbled: true };
    }
  }
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

function rowOf(units: readonly Unit[], number: number): Row {
  let rest = number;
  return units.map(({ count }) => {
    const digit = rest % count;
    rest = Math.floor(rest / count);
    return digit;
  });
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
