import { must } from "../../src/base/assert.ts";
import { type Random, randomBelow } from "../../src/base/random.ts";
import type { Site } from "./sites.ts";

/** Replaces `[start, end)`; start = end inserts. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly replacement: Buffer;
}

export interface Mutated {
  readonly bytes: Buffer;
  /** What was done, for the reproducer and the summary. */
  readonly kinds: readonly string[];
  /** Whether it tries to make the decoder allocate. */
  readonly isBomb: boolean;
}

export interface Source {
  readonly bytes: Buffer;
  readonly sites: readonly Site[];
}

const EXTREMES = [0, 1, -1, 0x7f, -0x80, 0x7fff, -0x8000, 0x7fffffff, -0x80000000];
const HUGE_COUNTS = [0x7fffffff, 0x40000000, 0x7ffffffe, 100_000_000, 1_000_000, 65_536];
const BAD_VARINTS = [
  "ffffffff0f",
  "ffffffffff01",
  "ffffffffffffffffff01",
  "808080808000",
  "8000",
].map((hex) => Buffer.from(hex, "hex"));
const BAD_TEXT = ["ff", "c0af", "eda080", "f4908080", "00"].map((hex) => Buffer.from(hex, "hex"));
const MAX_REPEATED_BYTES = 65_536;

/**
 * One mutated copy of `source`, by what stands where: lengths, counts, null and presence markers, tag
 * sections, varints, numbers and contents; one in four is damaged blindly as well or instead (flips,
 * truncation, junk, a tail of `donor`). The outcome depends on `random` alone.
 */
export function mutate(random: Random, source: Source, donor: Source): Mutated {
  const kinds: string[] = [];
  let isBomb = false;
  let { bytes } = source;
  const style = randomBelow(random, 16);
  if (style < 13 && source.sites.length > 0) {
    const sites = style === 0 ? everyCount(source.sites) : pickSites(random, source.sites);
    const edits: Edit[] = [];
    for (const site of sites) {
      const edit = style === 0 ? bombCount(random, site) : editSite(random, site, source.bytes);
      isBomb ||= edit.isBomb;
      kinds.push(edit.name);
      edits.push(edit);
    }
    bytes = applyEdits(bytes, edits);
  }
  if (style >= 12) {
    const blind = must(BLIND[randomBelow(random, BLIND.length)], "in range");
    kinds.push(blind.name);
    bytes = blind.apply(random, bytes, donor);
  }
  return { bytes, kinds, isBomb };
}

type SiteEdit = Edit & { readonly name: string; readonly isBomb: boolean };

function pickSites(random: Random, sites: readonly Site[]): Site[] {
  const picked = new Set<Site>();
  const wanted = 1 + (randomBelow(random, 4) === 0 ? randomBelow(random, 3) : 0);
  for (let i = 0; i < wanted; i += 1) {
    picked.add(must(sites[randomBelow(random, sites.length)], "in range"));
  }
  return [...picked];
}

/** All counts at once: elements that hold counts that hold counts. */
function everyCount(sites: readonly Site[]): readonly Site[] {
  const counts = sites.filter((site) => site.kind === "count32" || site.kind === "countVarint");
  return counts.length > 0 ? counts : sites.slice(0, 1);
}

function bombCount(random: Random, site: Site): SiteEdit {
  const count = must(HUGE_COUNTS[randomBelow(random, HUGE_COUNTS.length)], "in range");
  const isVarint = site.end - site.start !== 4 || site.kind === "countVarint";
  return replace(site, isVarint ? uvarint(count) : int32(count), "nested-count-bomb", true);
}

function editSite(random: Random, site: Site, bytes: Buffer): SiteEdit {
  switch (site.kind) {
    case "number":
      return replace(site, randomNumber(random, bytes.subarray(site.start, site.end)), "number");
    case "bool":
      return replace(site, Buffer.from([pick(random, [0, 1, 2, 0x80, 0xff])]), "bool");
    case "presence":
      return replace(site, Buffer.from([pick(random, [0, 1, 2, 0x7f, 0x81, 0xff])]), "presence");
    case "length16":
      return replace(site, int16(otherLength(random, site, bytes)), "length");
    case "length32":
      return replace(site, int32(otherLength(random, site, bytes)), "length");
    case "lengthVarint":
      return replace(site, otherVarint(random, otherLength(random, site, bytes) + 1), "length");
    case "count32":
    case "countVarint":
      return editCount(random, site, bytes);
    case "tagCount":
      return editTagCount(random, site, bytes);
    case "tag":
    case "tagSize":
      return replace(site, otherVarint(random, otherLength(random, site, bytes)), site.kind);
    case "content":
      return replace(site, otherContent(random, bytes.subarray(site.start, site.end)), "content");
  }
}

function editCount(random: Random, site: Site, bytes: Buffer): SiteEdit {
  const encode = (count: number): Buffer =>
    site.kind === "count32" ? int32(count) : uvarint(count + 1);
  switch (randomBelow(random, 4)) {
    case 0:
      return bombCount(random, site);
    case 1: {
      // As many as the rest can just hold, and a few more: the budget has to say no, not the length.
      const count = Math.floor((bytes.length - site.end) / (1 + randomBelow(random, 4)));
      return replace(site, encode(count + randomBelow(random, 2)), "count-fits", true);
    }
    case 2:
      if (site.element !== null) return repeatElement(random, site, site.element, bytes, encode);
      return zeroElements(random, site, encode);
    default:
      if (site.kind === "count32") {
        return replace(site, int32(otherLength(random, site, bytes)), "count");
      }
      return replace(site, otherVarint(random, otherLength(random, site, bytes) + 1), "count");
  }
}

/** The first element many times, and the count that fits: well-formed, only large. */
function repeatElement(
  random: Random,
  site: Site,
  element: { readonly start: number; readonly end: number },
  bytes: Buffer,
  encode: (count: number) => Buffer,
): SiteEdit {
  const one = bytes.subarray(element.start, element.end);
  const isLarge = randomBelow(random, 32) === 0;
  const most = isLarge ? Math.floor(MAX_REPEATED_BYTES / Math.max(1, one.length)) : 16;
  const times = 1 + randomBelow(random, Math.max(1, most));
  const copies = Buffer.concat(Array<Buffer>(times).fill(one));
  return {
    start: site.start,
    end: site.end,
    replacement: Buffer.concat([encode(site.value + times), copies]),
    name: "repeat-element",
    isBomb: isLarge,
  };
}

/** Elements of nothing but zeros: the most objects for the fewest bytes. */
function zeroElements(random: Random, site: Site, encode: (count: number) => Buffer): SiteEdit {
  const count = 1 + randomBelow(random, randomBelow(random, 16) === 0 ? MAX_REPEATED_BYTES : 64);
  const zeros = Buffer.alloc(count * (1 + randomBelow(random, 8)));
  const replacement = Buffer.concat([encode(count), zeros]);
  return { start: site.start, end: site.end, replacement, name: "zero-elements", isBomb: true };
}

function editTagCount(random: Random, site: Site, bytes: Buffer): SiteEdit {
  switch (randomBelow(random, 5)) {
    case 0:
      return replace(site, uvarint(pick(random, HUGE_COUNTS)), "tag-count-bomb", true);
    case 1: {
      const count = randomBelow(random, 32) === 0 ? 8192 : 1 + randomBelow(random, 100);
      const tag = Buffer.concat([uvarint(randomBelow(random, 200)), Buffer.from([0])]);
      return insertTags(site, Array<Buffer>(count).fill(tag), "tag-bomb", true);
    }
    case 2: {
      // A section in a tag in a section, 200 deep.
      let nested = Buffer.from([0]);
      for (let depth = 0; depth < 200; depth += 1) {
        nested = Buffer.concat([uvarint(1), uvarint(7), uvarint(nested.length), nested]);
      }
      const tag = Buffer.concat([uvarint(100), uvarint(nested.length), nested]);
      return insertTags(site, [tag], "nested-tags", true);
    }
    case 3: {
      const content = Buffer.from(random.bytes(randomBelow(random, 20)));
      const size = uvarint(content.length + pick(random, [0, 0, 1, 0x7fffffff]));
      const tag = Buffer.concat([uvarint(randomBelow(random, 12)), size, content]);
      return insertTags(site, [tag], "insert-tag");
    }
    default:
      return replace(site, otherVarint(random, otherLength(random, site, bytes)), "tag-count");
  }
}

function insertTags(site: Site, tags: Buffer[], name: string, isBomb = false): SiteEdit {
  const replacement = Buffer.concat([uvarint(site.value + tags.length), ...tags]);
  return { start: site.start, end: site.end, replacement, name, isBomb };
}

function replace(site: Site, replacement: Buffer, name: string, isBomb = false): SiteEdit {
  return { start: site.start, end: site.end, replacement, name, isBomb };
}

/** Null, empty, one off, up to the end and one more, negative, huge. */
function otherLength(random: Random, site: Site, bytes: Buffer): number {
  const rest = bytes.length - site.end;
  const near = [-1, 0, 1, site.value - 1, site.value + 1, rest, rest + 1, -2, 2 * site.value + 1];
  return randomBelow(random, 3) === 0 ? pick(random, EXTREMES) : pick(random, near);
}

function otherVarint(random: Random, value: number): Buffer {
  return randomBelow(random, 6) === 0 ? pick(random, BAD_VARINTS) : uvarint(value >>> 0);
}

function randomNumber(random: Random, old: Buffer): Buffer {
  const bytes = Buffer.from(old);
  switch (randomBelow(random, 3)) {
    case 0:
      return Buffer.from(random.bytes(old.length));
    case 1:
      bytes.fill(pick(random, [0x00, 0xff]));
      bytes[0] = pick(random, [0x00, 0x7f, 0x80, 0xff]);
      return bytes;
    default:
      bytes[bytes.length - 1] = must(bytes[bytes.length - 1], "not empty") + pick(random, [1, 255]);
      return bytes;
  }
}

/** Of the same length, so that what follows still stands where it stood. */
function otherContent(random: Random, old: Buffer): Buffer {
  const bytes = Buffer.from(old);
  if (randomBelow(random, 2) === 0) {
    for (let i = 0; i <= randomBelow(random, 4); i += 1) {
      bytes[randomBelow(random, bytes.length)] = randomBelow(random, 256);
    }
  } else {
    pick(random, BAD_TEXT).copy(bytes, randomBelow(random, bytes.length));
  }
  return bytes;
}

const BLIND: readonly {
  readonly name: string;
  apply(random: Random, bytes: Buffer, donor: Source): Buffer;
}[] = [
  {
    name: "flip-bits",
    apply: (random, bytes) => {
      const flipped = Buffer.from(bytes);
      if (flipped.length === 0) return flipped;
      for (let i = randomBelow(random, 8); i >= 0; i -= 1) {
        const bit = randomBelow(random, 8 * flipped.length);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      }
      return flipped;
    },
  },
  {
    name: "truncate",
    apply: (random, bytes) => bytes.subarray(0, randomBelow(random, bytes.length + 1)),
  },
  {
    name: "append-junk",
    apply: (random, bytes) => Buffer.concat([bytes, random.bytes(1 + randomBelow(random, 32))]),
  },
  {
    name: "splice",
    apply: (random, bytes, donor) => {
      const site = donor.sites[randomBelow(random, Math.max(1, donor.sites.length))];
      const head = bytes.subarray(0, randomBelow(random, bytes.length + 1));
      return Buffer.concat([head, donor.bytes.subarray(site?.start ?? 0)]);
    },
  },
];

/** Applies edits to the copy; of those that overlap, the first is kept. */
function applyEdits(bytes: Buffer, edits: readonly Edit[]): Buffer {
  const chunks: Buffer[] = [];
  let position = 0;
  for (const edit of [...edits].sort((a, b) => a.start - b.start)) {
    if (edit.start < position) continue;
    chunks.push(bytes.subarray(position, edit.start), edit.replacement);
    position = edit.end;
  }
  return Buffer.concat([...chunks, bytes.subarray(position)]);
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[randomBelow(random, from.length)] as T; // May be null; the index is in range.
}

export function uvarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE((value << 16) >> 16);
  return bytes;
}
