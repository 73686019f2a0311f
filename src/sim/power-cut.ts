import { randomBelow, type Random } from "../base/random.ts";
import { type FileLayers, type Layer, pagesOf } from "../storage/file-layers.ts";
import { dependenciesOf, type NameChange, type TreeNode } from "../storage/name-tree.ts";

/** What one write to the platter can be cut into. */
const SECTOR_BYTES = 512;

/** How the unsynced bytes of one file come out of a power cut. */
export const SURVIVALS = ["none", "whole", "prefix", "pages", "torn", "zeros"] as const;
export type Survival = (typeof SURVIVALS)[number];

/** A file on the platter, as the power cut writes to it. */
export interface PlatterFile {
  readonly length: number;
  writeNow(buffers: readonly Uint8Array[], position: number): void;
  truncateNow(length: number): void;
}

/**
 * Brings to the platter what survives of a file's unsynced changes. Nothing promises any of it:
 * - none: as if nothing had been written since the last sync.
 * - whole: the kernel happened to have written all of it.
 * - prefix: up to some byte.
 * - pages: some pages, with holes of zeros or of old bytes between.
 * - torn: up to some page; the sector at the cut holds bytes that nobody wrote.
 * - zeros: the new length, but zeros instead of the new bytes.
 */
export function surviveBytes(
  layers: FileLayers,
  platter: PlatterFile,
  random: Random,
): Survival | null {
  if (!layers.isDirty) return null;
  const survival = SURVIVALS[randomBelow(random, SURVIVALS.length)] ?? "none";
  if (survival === "none") return survival;
  const start = platter.length;
  for (const layer of layers.layers) {
    applyLayer(layer, platter, () => isWritten(survival, random));
  }
  const cut =
    platter.length <= start
      ? platter.length
      : start + randomBelow(random, platter.length - start + 1);
  if (survival === "prefix") platter.truncateNow(cut);
  if (survival === "torn") tear(platter, cut, random);
  return survival;
}

/**
 * Which unsynced changes of names survive: of each directory the first few, in their order, and a
 * change only with those that it builds upon.
 */
export function survivingNames<T>(
  journal: readonly NameChange<T>[],
  random: Random,
): NameChange<T>[] {
  const lostInHundred = [0, 10, 50, 100][randomBelow(random, 4)] ?? 100;
  const stopped = new Set<TreeNode<T>>();
  return journal.filter((change) => {
    const directories = dependenciesOf(change);
    const isLost =
      directories.some((one) => stopped.has(one)) || randomBelow(random, 100) < lostInHundred;
    if (isLost) for (const one of directories) stopped.add(one);
    return !isLost;
  });
}

function applyLayer(layer: Layer, platter: PlatterFile, survives: () => boolean): void {
  if (layer.cutTo < platter.length) platter.truncateNow(layer.cutTo);
  for (const { position, bytes } of pagesOf(layer)) {
    if (survives()) platter.writeNow([bytes], position);
  }
  if (platter.length < layer.length) platter.truncateNow(layer.length);
}

/** Whether one page of a file that fares so reaches the platter. */
function isWritten(survival: Survival, random: Random): boolean {
  if (survival === "pages") return randomBelow(random, 2) === 1;
  return survival !== "zeros";
}

function tear(platter: PlatterFile, at: number, random: Random): void {
  platter.truncateNow(at);
  const garbageBytes = Math.min(SECTOR_BYTES - (at % SECTOR_BYTES), 1 + randomBelow(random, 64));
  platter.writeNow([random.bytes(garbageBytes)], at);
}
