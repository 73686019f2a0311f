/** Where a match may lie: it starts at or before `lastStart` and ends at or before `end`. */
export interface MatchRange {
  readonly start: number;
  readonly lastStart: number;
  readonly end: number;
}

const HASH_BITS = 13;
const MIN_MATCH_BYTES = 4;
/** Up to here a loop is faster than a call. */
const LOOP_MAX_BYTES = 32;

/**
 * Greedy search for repeats of four bytes or more, at most 65,535 back and not before `range.start`:
 * what the packers of lz4 and snappy have in common. Matches come in order and do not overlap.
 */
export function forEachMatch(
  input: Buffer,
  range: MatchRange,
  onMatch: (at: number, distance: number, length: number) => void,
): void {
  // Position + 1 of the last place with that hash; 0 is none.
  const table = new Uint32Array(1 << HASH_BITS);
  let position = range.start;
  let misses = 0;
  while (position <= range.lastStart && position + MIN_MATCH_BYTES <= range.end) {
    const word = input.readInt32LE(position);
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
    const candidate = (table[slot] ?? 0) - 1;
    table[slot] = position + 1;
    const distance = position - candidate;
    if (candidate < range.start || distance > 0xffff || input.readInt32LE(candidate) !== word) {
      // Data that does not repeat is passed over in growing steps.
      misses += 1;
      position += 1 + (misses >> 6);
      continue;
    }
    misses = 0;
    let length = MIN_MATCH_BYTES;
    while (
      position + length < range.end &&
      input[candidate + length] === input[position + length]
    ) {
      length += 1;
    }
    onMatch(position, distance, length);
    position += length;
  }
}

/** Copies `count` bytes from one buffer into another. */
export function copyLiterals(
  input: Buffer,
  position: number,
  output: Buffer,
  at: number,
  count: number,
): void {
  if (count > LOOP_MAX_BYTES) {
    input.copy(output, at, position, position + count);
  } else {
    for (let i = 0; i < count; i += 1) output[at + i] = byteAt(input, position + i);
  }
}

/** Repeats `count` bytes from `distance` back; the ranges may overlap, which repeats a pattern. */
export function copyMatch(output: Buffer, at: number, distance: number, count: number): void {
  if (distance >= count && count > LOOP_MAX_BYTES) {
    output.copyWithin(at, at - distance, at - distance + count);
  } else if (distance === 1 && count > LOOP_MAX_BYTES) {
    output.fill(byteAt(output, at - 1), at, at + count);
  } else {
    for (let i = at; i < at + count; i += 1) output[i] = byteAt(output, i - distance);
  }
}

/** 0 beyond the end; used where the range was checked. */
function byteAt(bytes: Buffer, position: number): number {
  return bytes[position] ?? 0;
}
