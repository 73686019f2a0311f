import type { Fact } from "./history.ts";

/** A file or directory by identity, as an inode is. The root of an image is 0. */
export type NodeId = number;
export const ROOT: NodeId = 0;

/** One entry of a directory. */
export interface Slot {
  readonly directory: NodeId;
  readonly name: string;
}

/** One change that a process makes, as it arrives in the page cache. */
export type Change =
  | {
      readonly kind: "link";
      readonly node: NodeId;
      readonly isDirectory: boolean;
      readonly to: Slot;
    }
  | { readonly kind: "move"; readonly node: NodeId; readonly from: Slot; readonly to: Slot }
  | { readonly kind: "unlink"; readonly node: NodeId; readonly from: Slot }
  | {
      readonly kind: "write";
      readonly node: NodeId;
      readonly position: number;
      readonly bytes: Buffer;
    }
  | { readonly kind: "truncate"; readonly node: NodeId; readonly length: number };

/** A sync that has resolved: what had happened before event `coveredEvents` is durable. */
export interface Sync {
  readonly kind: "datasync" | "syncDir";
  readonly node: NodeId;
  readonly coveredEvents: number;
}

/** A sync was refused: the kernel may have dropped what it was to keep, and says so only once. */
export interface FailedSync {
  readonly kind: "failed-sync";
  readonly node: NodeId;
}

/** What happened, in order: changes, syncs, and what the product has promised in between. */
export type TraceEvent = (
  Change | Sync | FailedSync | { readonly kind: "fact"; readonly fact: Fact }
) & {
  /** Path and call site, for messages. */
  readonly where: () => string;
};

/** Everything on a disk, by path: what a machine starts from. */
export interface Image {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly directories: readonly string[];
}

export interface Trace {
  readonly base: Image;
  readonly events: readonly TraceEvent[];
}

export const EMPTY_IMAGE: Image = { files: new Map(), directories: [] };

/** The nodes of a base image, numbered in the order of their paths: recorder and model agree on them. */
export function nodesOf(image: Image): { path: string; node: NodeId; content: Buffer | null }[] {
  const paths = [...image.directories, ...image.files.keys()].sort();
  return paths.map((path, index) => ({
    path,
    node: index + 1,
    content: image.files.get(path) ?? null,
  }));
}
