import { assert } from "../base/assert.ts";

/** What the page cache writes back at once. */
export const PAGE_BYTES = 4096;
/** Appended bytes are gathered in buffers that double up to this. */
const MAX_SLAB_BYTES = 1024 * 1024;

export interface Extent {
  readonly position: number;
  readonly bytes: Buffer;
}

interface Slab {
  position: number;
  /** May be longer than what is used, so that the next append finds room. */
  buffer: Buffer;
  usedBytes: number;
}

/** Bytes written over a file, by position: sorted, not overlapping. Copies what it is given. */
export class DirtyExtents {
  #slabs: Slab[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** In ascending order of position. */
  *extents(): IterableIterator<Extent> {
    for (const { position, buffer, usedBytes } of this.#slabs) {
      yield { position, bytes: buffer.subarray(0, usedBytes) };
    }
  }

  write(position: number, source: Uint8Array): void {
    if (source.length === 0) return;
    const last = this.#slabs.at(-1);
    const isAppend = last === undefined || endOf(last) <= position;
    if (!isAppend) this.#clear(position, position + source.length);
    const before = isAppend ? last : undefined;
    if (before !== undefined && endOf(before) === position && hasRoom(before, source.length)) {
      before.buffer.set(source, before.usedBytes);
      before.usedBytes += source.length;
    } else {
      const continued = before !== undefined && endOf(before) === position;
      const wanted = continued ? Math.min(2 * before.buffer.length, MAX_SLAB_BYTES) : 0;
      const buffer = Buffer.allocUnsafeSlow(Math.max(wanted, source.length));
      buffer.set(source, 0);
      const slab = { position, buffer, usedBytes: source.length };
      this.#slabs.splice(this.#indexFrom(position), 0, slab);
    }
    this.#bytes += source.length;
  }

  /** Forgets what lies at or beyond `length`. */
  cut(length: number): void {
    this.#clear(length, Infinity);
  }

  /** Copies into `target`, which shows the file from `position`, what is written here. */
  overlay(target: Uint8Array, position: number): void {
    const end = position + target.length;
    for (let index = this.#indexEndingAfter(position); index < this.#slabs.length; index += 1) {
      const slab = this.#slabs[index];
      if (slab === undefined || slab.position >= end) break;
      const from = Math.max(slab.position, position);
      const to = Math.min(endOf(slab), end);
      const bytes = slab.buffer.subarray(from - slab.position, to - slab.position);
      target.set(bytes, from - position);
    }
  }

  /** First slab that starts at or after `position`. */
  #indexFrom(position: number): number {
    return this.#search((slab) => slab.position >= position);
  }

  #indexEndingAfter(position: number): number {
    return this.#search((slab) => endOf(slab) > position);
  }

  #search(isAtOrAfter: (slab: Slab) => boolean): number {
    let low = 0;
    let high = this.#slabs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const slab = this.#slabs[middle];
      if (slab !== undefined && isAtOrAfter(slab)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #clear(from: number, to: number): void {
    const first = this.#indexEndingAfter(from);
    const kept: Slab[] = [];
    let count = 0;
    for (let index = first; index < this.#slabs.length; index += 1) {
      const slab = this.#slabs[index];
      if (slab === undefined || slab.position >= to) break;
      count += 1;
      this.#bytes -= slab.usedBytes;
      if (slab.position < from) kept.push(part(slab, slab.position, from));
      if (endOf(slab) > to) kept.push(part(slab, to, endOf(slab)));
    }
    for (const slab of kept) this.#bytes += slab.usedBytes;
    if (count > 0) this.#slabs.splice(first, count, ...kept);
  }
}

function endOf(slab: Slab): number {
  return slab.position + slab.usedBytes;
}

function hasRoom(slab: Slab, bytes: number): boolean {
  return slab.buffer.length - slab.usedBytes >= bytes;
}

/** The view of a slab from one position of the file to another; without spare room. */
function part(slab: Slab, from: number, to: number): Slab {
  const buffer = slab.buffer.subarray(from - slab.position, to - slab.position);
  return { position: from, buffer, usedBytes: buffer.length };
}

/** Changes between two syncs: first the file is cut, then written over, then it has its length. */
export interface Layer {
  /** What was below survives up to here only. */
  cutTo: number;
  readonly dirty: DirtyExtents;
  /** Length of the file with this layer. */
  length: number;
}

/**
 * A file whose newest changes are in memory: a base, which is on the inner disk, and layers over
 * it. A sync seals the open layer, so that it covers exactly what was written before it was called.
 */
export class FileLayers {
  #baseLength: number;
  /** Oldest first. */
  #layers: Layer[] = [];
  /** Whether the newest layer still takes changes. */
  #isOpen = false;

  constructor(baseLength: number) {
    this.#baseLength = baseLength;
  }

  get baseLength(): number {
    return this.#baseLength;
  }

  get length(): number {
    return this.#layers.at(-1)?.length ?? this.#baseLength;
  }

  get layers(): readonly Layer[] {
    return this.#layers;
  }

  get isDirty(): boolean {
    return this.#layers.length > 0;
  }

  get dirtyBytes(): number {
    let bytes = 0;
    for (const layer of this.#layers) bytes += layer.dirty.bytes;
    return bytes;
  }

  write(position: number, buffers: readonly Uint8Array[]): void {
    let at = position;
    for (const buffer of buffers) {
      if (buffer.length === 0) continue;
      const layer = this.#openLayer();
      layer.dirty.write(at, buffer);
      at += buffer.length;
      layer.length = Math.max(layer.length, at);
    }
  }

  truncate(length: number): void {
    const layer = this.#openLayer();
    layer.cutTo = Math.min(layer.cutTo, length);
    layer.dirty.cut(length);
    layer.length = length;
  }

  /** Ends the open layer. Returns the newest sealed one, or null when nothing is dirty. */
  seal(): Layer | null {
    this.#isOpen = false;
    return this.#layers.at(-1) ?? null;
  }

  /** The oldest layer has reached the base. */
  settleOldest(): void {
    const layer = this.#layers.shift();
    assert(layer !== undefined, "a layer is there to be settled");
    assert(this.#layers.length > 0 || !this.#isOpen, "an open layer is not settled");
    this.#baseLength = layer.length;
  }

  /** Forgets all layers. */
  discard(): void {
    this.#layers = [];
    this.#isOpen = false;
  }

  /** A consistent look at the file as it is now, to be used over a base that is read later. */
  snapshot(): FileSnapshot {
    return { layers: [...this.#layers], baseLength: this.#baseLength, length: this.length };
  }

  #openLayer(): Layer {
    const newest = this.#layers.at(-1);
    if (newest !== undefined && this.#isOpen) return newest;
    const layer = { cutTo: this.length, dirty: new DirtyExtents(), length: this.length };
    this.#layers.push(layer);
    this.#isOpen = true;
    return layer;
  }
}

export interface FileSnapshot {
  readonly layers: readonly Layer[];
  readonly baseLength: number;
  readonly length: number;
}

/** Up to which position bytes of the base show through the layers. */
export function visibleBaseLength(snapshot: FileSnapshot): number {
  return snapshot.layers.reduce((end, { cutTo }) => Math.min(end, cutTo), snapshot.baseLength);
}

/** Completes `target`, which holds the visible bytes of the base and zeros, with the layers. */
export function overlayLayers(snapshot: FileSnapshot, target: Uint8Array, position: number): void {
  for (const [index, layer] of snapshot.layers.entries()) {
    if (index > 0) zeroFrom(target, layer.cutTo - position);
    layer.dirty.overlay(target, position);
  }
}

function zeroFrom(target: Uint8Array, from: number): void {
  if (from < target.length) target.fill(0, Math.max(0, from));
}

/** The dirty bytes of a layer, cut where pages of the file begin. */
export function pagesOf(layer: Layer): Extent[] {
  const pages: Extent[] = [];
  for (const { position, bytes } of layer.dirty.extents()) {
    let at = 0;
    while (at < bytes.length) {
      const pageEnd = PAGE_BYTES - ((position + at) % PAGE_BYTES);
      const end = Math.min(bytes.length, at + pageEnd);
      pages.push({ position: position + at, bytes: bytes.subarray(at, end) });
      at = end;
    }
  }
  return pages;
}
