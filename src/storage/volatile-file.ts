import { DiskError, type DiskFile } from "../base/disk.ts";
import { Mailbox } from "../base/mailbox.ts";
import { randomBelow, type Random } from "../base/random.ts";
import {
  type Extent,
  FileLayers,
  type Layer,
  overlayLayers,
  pagesOf,
  visibleBaseLength,
} from "./file-layers.ts";

/** What a cached file needs from the disk that it belongs to. */
export interface CachedFileOwner {
  /** Opens the file on the inner disk, giving it a place there if it has none. */
  openInner(): Promise<DiskFile>;
  /** The file has no name any more: what was written to it need not survive. */
  isUnlinked(): boolean;
  /** The number of dirty bytes has changed by so much. */
  onDirtyBytes(change: number): void;
}

/** How dirty bytes go to the inner disk: in order and synced, or page by page by chance. */
export type FlushOrder = { readonly kind: "sync" } | { kind: "writeback"; random: Random };

/** One file of a VolatileDisk: layers in memory over the inner file. */
export class CachedFile {
  readonly layers: FileLayers;
  /** When the oldest dirty byte was written; null when nothing is dirty. */
  dirtySinceMs: number | null = null;
  openCount = 0;
  readonly #owner: CachedFileOwner;
  readonly #flushes = new Mailbox();
  #inner: DiskFile | null;
  /** Whether our dirty bytes count against the bound. */
  #isCounted = true;
  /** R9: after a failed sync nothing more becomes durable here. */
  #failure: DiskError | null = null;

  constructor(owner: CachedFileOwner, inner: DiskFile | null, baseLength: number) {
    this.#owner = owner;
    this.#inner = inner;
    this.layers = new FileLayers(baseLength);
  }

  get hasFailed(): boolean {
    return this.#failure !== null;
  }

  write(buffers: readonly Uint8Array[], position: number, nowMs: number): void {
    this.#change(nowMs, () => this.layers.write(position, buffers));
  }

  truncate(length: number, nowMs: number): void {
    this.#change(nowMs, () => this.layers.truncate(length));
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const snapshot = this.layers.snapshot();
    const bytes = Math.max(0, Math.min(target.length, snapshot.length - position));
    const wanted = target.subarray(0, bytes);
    const baseBytes = Math.max(0, Math.min(bytes, visibleBaseLength(snapshot) - position));
    let readBytes = 0;
    if (baseBytes > 0 && this.#inner !== null) {
      readBytes = await this.#inner.read(wanted.subarray(0, baseBytes), position);
    }
    wanted.fill(0, readBytes);
    overlayLayers(snapshot, wanted, position);
    return bytes;
  }

  /** Resolves when all that was changed before the call is on the inner disk. */
  async flush(order: FlushOrder): Promise<void> {
    const target = this.layers.seal();
    await this.#flushes.run(() => this.#flushTo(target, order));
  }

  /** The file has lost its last name: what is dirty is never written back, nor waited for. */
  stopCounting(): void {
    this.#count(-this.layers.dirtyBytes);
    this.#isCounted = false;
    this.dirtySinceMs = null;
  }

  /** Forgets what is dirty: nobody can ever see it. */
  discard(): void {
    this.#count(-this.layers.dirtyBytes);
    this.layers.discard();
    this.dirtySinceMs = null;
  }

  async close(): Promise<void> {
    await this.#flushes.close();
    await this.#inner?.close();
    this.#inner = null;
  }

  #change(nowMs: number, change: () => void): void {
    const before = this.layers.dirtyBytes;
    change();
    if (this.layers.isDirty && this.#isCounted) this.dirtySinceMs ??= nowMs;
    this.#count(this.layers.dirtyBytes - before);
  }

  #count(change: number): void {
    if (this.#isCounted && change !== 0) this.#owner.onDirtyBytes(change);
  }

  async #flushTo(target: Layer | null, order: FlushOrder): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#owner.isUnlinked()) return;
    try {
      while (target !== null && this.layers.layers.includes(target)) {
        await this.#flushOldest(order);
      }
      if (order.kind === "sync") await this.#inner?.datasync();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      // Whatever the inner disk refused, no room for a write, for one: here it is a sync that failed.
      this.#failure = new DiskError(error.code, error.path, "datasync", { cause: error });
      throw this.#failure;
    }
  }

  async #flushOldest(order: FlushOrder): Promise<void> {
    const layer = this.layers.layers[0];
    if (layer === undefined) return;
    this.#inner ??= await this.#owner.openInner();
    const inner = this.#inner;
    let innerLength = this.layers.baseLength;
    if (layer.cutTo < innerLength) {
      await inner.truncate(layer.cutTo);
      innerLength = layer.cutTo;
    }
    for (const run of runsOf(layer, order)) {
      await inner.writev(run.buffers, run.position);
      innerLength = Math.max(innerLength, run.end);
    }
    if (innerLength < layer.length) await inner.truncate(layer.length);
    // Discarded meanwhile: the file has lost its last name and its last user.
    if (this.layers.layers[0] !== layer) return;
    this.layers.settleOldest();
    if (!this.layers.isDirty) this.dirtySinceMs = null;
    this.#count(-layer.dirty.bytes);
  }
}

interface Run {
  readonly position: number;
  end: number;
  readonly buffers: Buffer[];
}

/** The writes that bring a layer to the inner disk. */
function runsOf(layer: Layer, order: FlushOrder): Run[] {
  if (order.kind === "writeback") return shuffled(pagesOf(layer), order.random).map(asRun);
  const runs: Run[] = [];
  for (const extent of layer.dirty.extents()) {
    const last = runs.at(-1);
    if (last?.end === extent.position) {
      last.end += extent.bytes.length;
      last.buffers.push(extent.bytes);
    } else {
      runs.push(asRun(extent));
    }
  }
  return runs;
}

function asRun({ position, bytes }: Extent): Run {
  return { position, end: position + bytes.length, buffers: [bytes] };
}

function shuffled<T>(items: T[], random: Random): T[] {
  for (let index = items.length - 1; index > 0; index -= 1) {
    const other = randomBelow(random, index + 1);
    const [a, b] = [items[index], items[other]];
    if (a !== undefined && b !== undefined) [items[index], items[other]] = [b, a];
  }
  return items;
}
