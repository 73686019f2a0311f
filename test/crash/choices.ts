import { must } from "../../src/base/assert.ts";
import { randomBelow, type Random } from "../../src/base/random.ts";
import {
  type Choice,
  dependsOn,
  type FileChoice,
  PAGE_BYTES,
  type Pending,
  type PendingFile,
  type Tear,
  type Tree,
} from "./power-model.ts";

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
  if (rowCount <= limit) return { isExhaustive, choices: wholeOf(pending, units) };
  return { isExhaustive, choices: someOf(pending, units, limit, random) };
}

/** Each state, torn or not. */
function* allOf(
  pending: Pending,
  units: readonly Unit[],
  newest: number | null,
): Generator<Choice> {
  yield newestChoice(pending, units);
  const contents = contentsOf(pending, newest);
  for (const place of placesOf(pending, newest)) {
    yield* statesOf(pending, place, (index) => contents(index).whole);
    for (const torn of namedFiles(pending, place.tree)) {
      yield* statesOf(pending, place, (index) => {
        const { whole, torn: tornOnes } = contents(index);
        return index === torn ? tornOnes : whole;
      });
    }
  }
}

/** Each state in which no page is torn, and the newest with its tears. */
function* wholeOf(pending: Pending, units: readonly Unit[]): Generator<Choice> {
  const newest = newestChoice(pending, units);
  yield newest;
  const contents = contentsOf(pending, null);
  for (const place of placesOf(pending, null)) {
    yield* statesOf(pending, place, (index) => contents(index).whole);
  }
  for (const tear of tearsOf(pending, newest)) yield { ...newest, tear };
}

/** What lies where, by some of the name changes. */
interface Place {
  readonly names: readonly boolean[];
  readonly tree: Tree;
  /** Whether it takes the newest event. */
  isNew: boolean;
}

/** Names that lead to the same are one. */
function placesOf(pending: Pending, newest: number | null): Iterable<Place> {
  const places = new Map<string, Place>();
  const isNewest = pending.names.map(({ at }) => newest === null || at === newest);
  for (const names of nameSetsOf(pending.names)) {
    const tree = pending.treeOf(names);
    const isNew = newest === null || names.some((isKept, at) => isKept && isNewest[at] === true);
    const place = places.get(tree.identity);
    if (place === undefined) places.set(tree.identity, { names, tree, isNew });
    else place.isNew &&= isNew;
  }
  return places.values();
}

/** One content of a file, by the first choice that leaves it. */
interface Content {
  readonly choice: FileChoice;
  readonly tear: Tear | null;
  /** Whether it takes the newest event. */
  isNew: boolean;
}

interface Contents {
  readonly whole: readonly Content[];
  /** With a page torn as it is in no whole one. */
  readonly torn: readonly Content[];
}

/** By the index of a file: many versions of pages and lengths leave the same. */
function contentsOf(pending: Pending, newest: number | null): (index: number) => Contents {
  const known = new Map<number, Contents>();
  return (index) => {
    const contents = known.get(index) ?? contentsOfFile(pending, index, newest);
    known.set(index, contents);
    return contents;
  };
}

function contentsOfFile(pending: Pending, index: number, newest: number | null): Contents {
  const file = must(pending.files[index], "the index is in range");
  const versions = [file.lengths, ...file.pages.map((page) => page.versions)];
  const whole = new Map<number, Content>();
  const torn = new Map<number, Content>();
  const note = (found: Map<number, Content>, content: Content): void => {
    const number = pending.contentOf(file, content.choice, content.tear);
    const known = found.get(number);
    if (known === undefined) found.set(number, content);
    else known.isNew &&= content.isNew;
  };
  for (const [length = 0, ...pages] of productOf(versions.map((of) => [...of.keys()]))) {
    const choice: FileChoice = { length, pages };
    const isNew =
      newest === null ||
      [length, ...pages].some((version, at) => versions[at]?.[version]?.at === newest);
    note(whole, { choice, tear: null, isNew });
    for (const tear of tearsOfFile(file, index, choice)) note(torn, { choice, tear, isNew });
  }
  for (const number of whole.keys()) torn.delete(number);
  return { whole: [...whole.values()], torn: [...torn.values()] };
}

/** Each combination of contents there, if anything in it is new. */
function* statesOf(
  pending: Pending,
  { names, tree, isNew }: Place,
  contentsOf: (index: number) => readonly Content[],
): Generator<Choice> {
  const named = namedFiles(pending, tree);
  const oldest = pending.files.map(({ pages }) => ({ length: 0, pages: pages.map(() => 0) }));
  for (const contents of productOf(named.map(contentsOf))) {
    if (!isNew && !contents.some((content) => content.isNew)) continue;
    const files: FileChoice[] = [...oldest];
    let tear: Tear | null = null;
    for (const [at, content] of contents.entries()) {
      files[named[at] ?? 0] = content.choice;
      tear ??= content.tear;
    }
    yield { names, files, tear };
  }
}

/** By index. */
function namedFiles({ files }: Pending, { nodes }: Tree): readonly number[] {
  return files.flatMap(({ node }, index) => (nodes.has(node) ? [index] : []));
}

/** Each way to take one of each list. */
function* productOf<T>([first, ...rest]: readonly (readonly T[])[]): Generator<readonly T[]> {
  if (first === undefined) {
    yield [];
    return;
  }
  for (const others of productOf(rest)) {
    for (const one of first) yield [one, ...others];
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
  return choiceOf(
    pending,
    units,
    units.map((unit) => unit.count - 1),
  );
}

/** How many rows there are; something above `limit` when there are more than that. */
function rowCountOf(pending: Pending, units: readonly Unit[], limit: number): number {
  let rowCount = 0;
  for (const names of nameSetsOf(pending.names)) {
    const named = namedUnits(pending, units, names);
    rowCount += sizeOf(named.map((at) => must(units[at], "it was found")));
    if (rowCount > limit) break;
  }
  return rowCount;
}

function sizeOf(units: readonly Unit[]): number {
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
  const newest = newestChoice(pending, units);
  const only = (keep: (unit: Unit, index: number) => boolean): Row =>
    units.map((unit, index) => (keep(unit, index) ? unit.count - 1 : 0));
  const make = (row: Row): Choice => choiceOf(pending, units, row);
  yield make(only(({ kind }) => kind === "name"));
  yield make(only(({ kind }) => kind !== "name"));
  // Zeros under the new length; and bytes that the old length hides.
  yield make(only(({ kind }) => kind !== "page"));
  yield make(only(({ kind }) => kind !== "length"));
  // The newest units first: what is older was tried after the events before.
  const order = units.map((_, index) => index).sort((a, b) => atOf(units, b) - atOf(units, a));
  const tears = tearsOf(pending, newest);
  for (const index of order) {
    yield make(only((_, other) => other === index));
    yield make(only((_, other) => other !== index));
    yield make(only(({ kind }, other) => other === index || kind === "name"));
    const tear = tears.next();
    if (tear.done !== true) yield { ...newest, tear: tear.value };
  }
  for (const tear of tears) yield { ...newest, tear };
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
  const choice = choiceOf(pending, units, row);
  const tears = randomBelow(random, 4) === 0 ? [...tearsOf(pending, choice)] : [];
  if (tears.length === 0) return choice;
  return { ...choice, tear: must(tears[randomBelow(random, tears.length)], "in range") };
}

function percent(random: Random): number {
  return must([0, 10, 50, 90, 100][randomBelow(random, 5)], "one of five");
}

/** Cuts within what the chosen versions of pages have changed. */
function* tearsOf({ files }: Pending, choice: Choice): Generator<Tear> {
  for (const [index, chosen] of choice.files.entries()) {
    yield* tearsOfFile(must(files[index], "a choice is of its files"), index, chosen);
  }
}

function* tearsOfFile({ pages }: PendingFile, index: number, choice: FileChoice): Generator<Tear> {
  for (const [page, chosen] of choice.pages.entries()) {
    if (chosen === 0) continue;
    const { versions } = must(pages[page], "a choice is of the file's pages");
    const older = must(versions[chosen - 1], "an older version").value;
    const newer = must(versions[chosen], "the chosen version").value;
    for (const byte of tornBytesOf(older, newer)) {
      yield { file: index, page, byte, isGarbled: false };
      yield { file: index, page, byte, isGarbled: true };
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

function choiceOf(pending: Pending, units: readonly Unit[], row: Row): Choice {
  const names: boolean[] = [];
  const files = pending.files.map(({ pages }) => ({ length: 0, pages: pages.map(() => 0) }));
  for (const [at, { kind, index, page }] of units.entries()) {
    const chosen = row[at] ?? 0;
    const file = files[index];
    if (kind === "name") names.push(chosen === 1);
    else if (file !== undefined && kind === "length") file.length = chosen;
    else if (file !== undefined) file.pages[page] = chosen;
  }
  return { names: withPredecessors(pending, names), files, tear: null };
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
