import { assert, must } from "../base/assert.ts";

/** Where a node lies on the inner disk. Without a directory: in the root of the tree. */
export interface Place {
  readonly directory: TreeNode | null;
  readonly name: string;
}

/** A file or directory by identity, as an inode is. `T` is what a file carries. */
export interface TreeNode<T = unknown> {
  /** Unknown: seen in a list of the inner disk, not yet used. */
  kind: "unknown" | "file" | "directory";
  /** Null: nowhere on the inner disk yet (or no more). */
  place: Place | null;
  /** Entries as the process sees them; null until they are read from the inner disk. */
  entries: Map<string, TreeNode<T>> | null;
  /** Whether the process still sees a name for it. */
  isLinked: boolean;
  payload: T | null;
}

/** One change of names that the inner disk does not know yet. Times are of the owner's clock. */
export type NameChange<T> = { readonly atMs: number; readonly node: TreeNode<T> } & (
  | { readonly kind: "link"; readonly to: Slot<T> }
  | {
      readonly kind: "move";
      readonly from: Slot<T>;
      readonly to: Slot<T>;
      /** Who had the name before. */
      readonly replaced: TreeNode<T> | null;
    }
  | {
      readonly kind: "unlink";
      readonly from: Slot<T>;
      /** Directories that went with it: what was changed in them is older than the removal. */
      readonly below: readonly TreeNode<T>[];
    }
);

export interface Slot<T> {
  readonly directory: TreeNode<T>;
  readonly name: string;
}

/** What the inner disk is told to do for one change; each step is atomic there. */
export type NameStep =
  | { readonly kind: "create-file"; readonly path: string }
  | { readonly kind: "create-directory"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "remove"; readonly path: string };

/** Names of nodes that have bytes on the inner disk, but no durable name yet. */
export const UNLINKED_PREFIX = ".unlinked-";

/**
 * The names under one root as the process sees them, and the journal of changes that the inner disk
 * does not know. A name is durable only when its change was committed; the changes of one directory
 * are committed in the order in which they were made. Pure: who owns it talks to the disk.
 */
export class NameTree<T> {
  readonly root: TreeNode<T>;
  readonly rootPath: string;
  #journal: NameChange<T>[] = [];
  #unlinkedCount = 0;

  constructor(rootPath: string) {
    this.rootPath = rootPath;
    this.root = {
      kind: "directory",
      place: { directory: null, name: "" },
      entries: null,
      isLinked: true,
      payload: null,
    };
  }

  get journal(): readonly NameChange<T>[] {
    return this.#journal;
  }

  /** Makes a file or directory; the name must be free. */
  link(kind: "file" | "directory", to: Slot<T>, atMs: number): TreeNode<T> {
    const node: TreeNode<T> = {
      kind,
      place: null,
      entries: kind === "directory" ? new Map() : null,
      isLinked: true,
      payload: null,
    };
    const entries = entriesOf(to.directory);
    assert(!entries.has(to.name), "a new name is free");
    entries.set(to.name, node);
    this.#journal.push({ kind: "link", to, node, atMs });
    return node;
  }

  /** Gives the node a new name. Returns the node that had it before, now without a name. */
  move(from: Slot<T>, to: Slot<T>, atMs: number): TreeNode<T> | null {
    const node = must(entriesOf(from.directory).get(from.name), "the moved name exists");
    const replaced = entriesOf(to.directory).get(to.name) ?? null;
    if (replaced === node) return null;
    entriesOf(from.directory).delete(from.name);
    entriesOf(to.directory).set(to.name, node);
    if (replaced !== null) replaced.isLinked = false;
    this.#journal.push({ kind: "move", from, to, node, replaced, atMs });
    return replaced;
  }

  /** Takes the name away. Returns all nodes that have none now. */
  unlink(from: Slot<T>, atMs: number): TreeNode<T>[] {
    const node = must(entriesOf(from.directory).get(from.name), "the removed name exists");
    entriesOf(from.directory).delete(from.name);
    const gone = [node, ...descendants(node)];
    for (const one of gone) one.isLinked = false;
    const below = gone.filter(({ entries }) => entries !== null);
    this.#journal.push({ kind: "unlink", from, node, below, atMs });
    return gone;
  }

  /**
   * The changes that must be committed for the names in `directory` to be durable, oldest first:
   * its own, and those in other directories that came before a change that touches both.
   */
  changesFor(directory: TreeNode<T>): NameChange<T>[] {
    const touched = new Set<TreeNode<T>>([directory]);
    const changes: NameChange<T>[] = [];
    for (const change of this.#journal.toReversed()) {
      const directories = dependenciesOf(change);
      if (!directories.some((one) => touched.has(one))) continue;
      for (const one of directories) touched.add(one);
      changes.push(change);
    }
    return changes.reverse();
  }

  /** The step for a change whose predecessors were settled, in directories that have a place. */
  stepFor(change: NameChange<T>): NameStep {
    switch (change.kind) {
      case "link": {
        const to = this.#slotPath(change.to);
        if (change.node.place !== null) {
          return { kind: "rename", from: this.pathOf(change.node), to };
        }
        return change.node.kind === "directory"
          ? { kind: "create-directory", path: to }
          : { kind: "create-file", path: to };
      }
      case "move":
        return {
          kind: "rename",
          from: this.#slotPath(change.from),
          to: this.#slotPath(change.to),
        };
      case "unlink":
        return { kind: "remove", path: this.#slotPath(change.from) };
    }
  }

  /** The inner disk has done the step. */
  settle(change: NameChange<T>): void {
    const index = this.#journal.indexOf(change);
    assert(index >= 0, "a change is settled once");
    this.#journal.splice(index, 1);
    if (change.kind === "move" && change.replaced !== null) change.replaced.place = null;
    change.node.place = change.kind === "unlink" ? null : change.to;
  }

  /** A place for a node that needs one before it has a durable name. */
  unlinkedPlace(): Place {
    this.#unlinkedCount += 1;
    return { directory: this.root, name: `${UNLINKED_PREFIX}${this.#unlinkedCount}` };
  }

  /** Where the node lies on the inner disk; null when it has no place there. */
  findPath(node: TreeNode): string | null {
    if (node.place === null) return null;
    return this.placePath(node.place);
  }

  placePath(place: Place): string | null {
    if (place.directory === null) return this.rootPath;
    const parentPath = this.findPath(place.directory);
    return parentPath === null ? null : `${parentPath}/${place.name}`;
  }

  pathOf(node: TreeNode): string {
    return must(this.findPath(node), "the node has a place");
  }

  #slotPath(slot: Slot<T>): string {
    return `${this.pathOf(slot.directory)}/${slot.name}`;
  }
}

/** The directories whose entries a change alters. */
export function directoriesOf<T>(change: NameChange<T>): TreeNode<T>[] {
  switch (change.kind) {
    case "link":
      return [change.to.directory];
    case "unlink":
      return [change.from.directory];
    case "move":
      return [change.from.directory, change.to.directory];
  }
}

/** The directories whose earlier changes must be committed before this one. */
export function dependenciesOf<T>(change: NameChange<T>): TreeNode<T>[] {
  return change.kind === "unlink"
    ? [change.from.directory, ...change.below]
    : directoriesOf(change);
}

/** Loaded entries of a directory. */
export function entriesOf<T>(node: TreeNode<T>): Map<string, TreeNode<T>> {
  return must(node.entries, "the directory was read");
}

/** All loaded nodes below. */
function descendants<T>(node: TreeNode<T>): TreeNode<T>[] {
  if (node.entries === null) return [];
  return [...node.entries.values()].flatMap((child) => [child, ...descendants(child)]);
}

/** The names that lead from the root to the path; null when it is elsewhere. Both are absolute. */
export function namesBelow(root: string, path: string): string[] | null {
  if (path === root) return [];
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1).split("/") : null;
}
