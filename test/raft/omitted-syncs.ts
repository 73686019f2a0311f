import type { Disk } from "../../src/base/disk.ts";

/** A sync that a process leaves out: what the program would be without that call. */
export interface OmittedSync {
  readonly name: string;
  /** Of a `datasync` the file, of a `syncDir` the directory. `named`: what was renamed last, and to what. */
  readonly isOmitted: (operation: "datasync" | "syncDir", path: string, named: string) => boolean;
}

const ofFile = (name: string, end: string): OmittedSync => ({
  name,
  isOmitted: (operation, path) => operation === "datasync" && path.endsWith(end),
});

/** The sync of a directory that makes the new name durable. */
const ofName = (name: string, end: string): OmittedSync => ({
  name,
  isOmitted: (operation, _path, named) => operation === "syncDir" && named.endsWith(end),
});

/**
 * Those that only a quorum of several comes by, or that mean more there. That of a snapshot's name is not
 * among them: before a log is emptied, its directory is synced once more.
 */
export const OMITTED_SYNCS: readonly OmittedSync[] = [
  ofFile("the log", ".log"),
  ofFile("quorum-state", "quorum-state.tmp"),
  ofName("the name of quorum-state", "quorum-state"),
  ofFile("a snapshot", ".checkpoint.part"),
  ofFile("the formation", "quorum-formation.tmp"),
  ofName("the name of the formation", "quorum-formation"),
];

/** The disk without those syncs. */
export function without({ isOmitted }: OmittedSync): (disk: Disk) => Disk {
  return (disk) => {
    let named = "";
    return {
      open: async (path, options) => {
        const file = await disk.open(path, options);
        const isLeftOut = isOmitted("datasync", path, named);
        return isLeftOut ? { ...file, datasync: () => Promise.resolve() } : file;
      },
      rename: async (from, to) => {
        named = to;
        await disk.rename(from, to);
      },
      syncDir: async (path) => {
        const isLeftOut = isOmitted("syncDir", path, named);
        named = "";
        if (!isLeftOut) await disk.syncDir(path);
      },
      remove: (path) => disk.remove(path),
      mkdir: (path) => disk.mkdir(path),
      list: (path) => disk.list(path),
      statfs: (path) => disk.statfs(path),
      lock: (path) => disk.lock(path),
    };
  };
}
