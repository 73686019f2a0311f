import { type Disk, DiskError, type DiskFile, isNotFound } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import { Mailbox } from "../base/mailbox.ts";
import type { SnapshotHead } from "./control-records.ts";
import type { SnapshotId } from "./core/messages.ts";
import {
  readSnapshotFile,
  SNAPSHOT_SUFFIX,
  SnapshotError,
  snapshotFileName,
  snapshotIdOf,
  type SnapshotPorts,
  writeSnapshotFile,
} from "./snapshot-file.ts";

export interface SnapshotsPorts extends SnapshotPorts {
  readonly logger: Logger;
}

/** One that was read through and found sound. */
export interface StoredSnapshot {
  readonly id: SnapshotId;
  readonly head: SnapshotHead;
}

/** What became of the bytes of a snapshot that is fetched. */
export type Received =
  | { readonly kind: "snapshotWritten"; readonly id: SnapshotId; readonly endPosition: number }
  | { readonly kind: "snapshotLoaded"; readonly id: SnapshotId; readonly head: SnapshotHead }
  | { readonly kind: "snapshotRejected"; readonly id: SnapshotId };

/** Kafka's suffix of a snapshot that is not whole yet: a start removes it. */
const PART_SUFFIX = ".part";

/**
 * The snapshots of the metadata that lie beside its log. Each is whole and synced before it gets its
 * name. The newest and the one before it are kept: were the newest found damaged, the log goes back to
 * the other, and a follower that is loading that one can go on.
 */
export class Snapshots {
  readonly #ports: SnapshotsPorts;
  readonly #directory: string;
  /** Ascending; the last is sound. */
  #all: SnapshotId[];
  #newest: StoredSnapshot | null;
  /** One is fetched at a time, and a new one takes its place. */
  readonly #transfers = new Mailbox();
  #transferCount = 0;

  private constructor(
    ports: SnapshotsPorts,
    directory: string,
    found: { readonly all: SnapshotId[]; readonly newest: StoredSnapshot | null },
  ) {
    this.#ports = ports;
    this.#directory = directory;
    this.#all = found.all;
    this.#newest = found.newest;
  }

  /** Finds the newest sound one; a damaged one is left for whoever wants to see it. Throws DiskError. */
  static async open(ports: SnapshotsPorts, directory: string): Promise<Snapshots> {
    const { disk, logger } = ports;
    const names = await disk.list(directory);
    for (const name of names) {
      if (name.endsWith(`${SNAPSHOT_SUFFIX}${PART_SUFFIX}`))
        await disk.remove(`${directory}/${name}`);
    }
    const all = names.flatMap((name) => snapshotIdOf(name) ?? []);
    while (all.length > 0) {
      const id = all.at(-1);
      if (id === undefined) break;
      try {
        const path = `${directory}/${snapshotFileName(id)}`;
        const head = await readSnapshotFile(ports, path, id, ignore);
        return new Snapshots(ports, directory, { all, newest: { id, head } });
      } catch (error) {
        if (!(error instanceof SnapshotError)) throw error;
        logger.error({ error }, "a snapshot of the metadata is damaged: one before it is used");
        all.pop();
      }
    }
    return new Snapshots(ports, directory, { all, newest: null });
  }

  get newest(): StoredSnapshot | null {
    return this.#newest;
  }

  /** The one before the newest. */
  get previousId(): SnapshotId | null {
    return this.#all.at(-2) ?? null;
  }

  /** Writes one of this node's own state, up to giving it its name. Throws DiskError. */
  async write(snapshot: StoredSnapshot, records: Iterable<Buffer>): Promise<void> {
    await writeSnapshotFile(this.#ports, this.#partOf(snapshot.id), snapshot, records);
  }

  /** Gives the whole and synced snapshot its name, durably. Throws DiskError. */
  async keep(snapshot: StoredSnapshot): Promise<void> {
    const { disk } = this.#ports;
    const { id } = snapshot;
    // What a power cut must not bring back as a name without its bytes was synced before.
    await disk.rename(this.#partOf(id), this.#pathOf(id));
    await disk.syncDir(this.#directory);
    this.#all = [...this.#all.filter(({ endOffset }) => endOffset < id.endOffset), id];
    this.#newest = snapshot;
  }

  async discard({ id }: StoredSnapshot): Promise<void> {
    await this.#ports.disk.remove(this.#partOf(id));
  }

  /** Removes those below the offset. A crash may bring them back: nobody asks for them. Throws DiskError. */
  async removeBelow(endOffset: number): Promise<void> {
    const gone = this.#all.filter((id) => id.endOffset < endOffset);
    this.#all = this.#all.filter((id) => id.endOffset >= endOffset);
    for (const id of gone) await removeUnlessMissing(this.#ports.disk, this.#pathOf(id));
  }

  /** Gives the values of each batch to `visit`. Throws SnapshotError, DiskError. */
  read(
    id: SnapshotId,
    visit: (head: SnapshotHead, values: Buffer[]) => void,
  ): Promise<SnapshotHead> {
    return readSnapshotFile(this.#ports, this.#pathOf(id), id, visit);
  }

  /** Some of its bytes, and how many there are; null: it is gone. Throws DiskError. */
  async readChunk(
    id: SnapshotId,
    position: number,
    maxBytes: number,
  ): Promise<{ readonly sizeBytes: number; readonly bytes: Buffer } | null> {
    if (!this.#all.some((each) => snapshotFileName(each) === snapshotFileName(id))) return null;
    const file = await openUnlessMissing(this.#ports.disk, this.#pathOf(id));
    if (file === null) return null;
    try {
      const sizeBytes = await file.size();
      const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(maxBytes, sizeBytes - position)));
      const readBytes = await file.read(bytes, position);
      return readBytes === 0 ? null : { sizeBytes, bytes: bytes.subarray(0, readBytes) };
    } finally {
      await file.close();
    }
  }

  /**
   * Bytes of one that is fetched, in order; position 0 begins anew. null: another one was begun since.
   * Throws DiskError.
   */
  receive(
    id: SnapshotId,
    position: number,
    bytes: Buffer,
    isLast: boolean,
  ): Promise<Received | null> {
    if (position === 0) this.#transferCount += 1;
    const transfer = this.#transferCount;
    return this.#transfers.run(async () => {
      if (transfer !== this.#transferCount) return null;
      const path = this.#partOf(id);
      const options = { create: true, truncate: position === 0 };
      const file = await this.#ports.disk.open(path, options);
      try {
        await file.writev([bytes], position);
        if (isLast) await file.datasync();
      } finally {
        await file.close();
      }
      const received = isLast
        ? await this.#check(id)
        : ({ kind: "snapshotWritten", id, endPosition: position + bytes.length } as const);
      return transfer === this.#transferCount ? received : null;
    });
  }

  async #check(id: SnapshotId): Promise<Received> {
    try {
      const head = await readSnapshotFile(this.#ports, this.#partOf(id), id, ignore);
      return { kind: "snapshotLoaded", id, head };
    } catch (error) {
      if (!(error instanceof SnapshotError)) throw error;
      this.#ports.logger.warn({ error }, "a snapshot that was fetched is not sound");
      return { kind: "snapshotRejected", id };
    }
  }

  #pathOf(id: SnapshotId): string {
    return `${this.#directory}/${snapshotFileName(id)}`;
  }

  #partOf(id: SnapshotId): string {
    return `${this.#pathOf(id)}${PART_SUFFIX}`;
  }
}

async function openUnlessMissing(disk: Disk, path: string): Promise<DiskFile | null> {
  try {
    return await disk.open(path);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

async function removeUnlessMissing(disk: Disk, path: string): Promise<void> {
  try {
    await disk.remove(path);
  } catch (error) {
    if (!(error instanceof DiskError && isNotFound(error))) throw error;
  }
}

function ignore(): void {
  // Reading it through is what was wanted.
}
