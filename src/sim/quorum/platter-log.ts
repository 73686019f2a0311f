import {
  batchBaseOffset,
  batchLeaderEpoch,
  batchNextOffset,
  batchSizeBytes,
  isBatchCrcValid,
} from "../../protocol/records/batch.ts";
import { crc32c } from "../../base/crc32c.ts";
import {
  parseQuorumState,
  QUORUM_STATE_FILE,
  QuorumStateError,
  type StoredQuorumState,
} from "../../raft/quorum-state.ts";
import { snapshotIdOf } from "../../raft/snapshot-file.ts";
import type { MemoryDisk } from "../memory-disk.ts";

const BATCH_HEADER_BYTES = 61;

export interface PlatterBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly leaderEpoch: number;
  /** Of all its bytes. */
  readonly checksum: number;
}

/** What a power cut now would leave of the metadata log of a machine, by its directory. */
export class PlatterLog {
  readonly #platter: MemoryDisk;
  readonly #directory: string;
  /** The sound batches of a file, as of the bytes that it had then. */
  readonly #known = new Map<string, { bytes: Buffer; batches: PlatterBatch[]; end: number }>();

  constructor(platter: MemoryDisk, logDirectory: string) {
    this.#platter = platter;
    this.#directory = `${logDirectory}/__cluster_metadata-0`;
  }

  /** null: there is none that is whole. */
  state(): StoredQuorumState | null {
    const bytes = this.#platter.files().get(`${this.#directory}/${QUORUM_STATE_FILE}`);
    if (bytes === undefined) return null;
    try {
      return parseQuorumState(bytes.toString("utf8"), QUORUM_STATE_FILE);
    } catch (error) {
      if (error instanceof QuorumStateError) return null;
      throw error;
    }
  }

  /** Ascending. */
  batches(): readonly PlatterBatch[] {
    const files = [...this.#platter.files()].filter(
      ([path]) => path.startsWith(this.#directory) && path.endsWith(".log"),
    );
    return files
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([path, bytes]) => this.#batchesOf(path, bytes));
  }

  /** What is promised when a fetch asks for what comes then. */
  endOffset(): number {
    return Math.max(this.batches().at(-1)?.endOffset ?? 0, this.snapshotEnd());
  }

  /** Where the newest snapshot ends; 0: there is none. */
  snapshotEnd(): number {
    const names = [...this.#platter.files().keys()].filter((path) =>
      path.startsWith(this.#directory),
    );
    return Math.max(
      0,
      ...names.map((path) => snapshotIdOf(path.slice(path.lastIndexOf("/") + 1))?.endOffset ?? 0),
    );
  }

  #batchesOf(path: string, bytes: Buffer): readonly PlatterBatch[] {
    const known = this.#known.get(path);
    // Nearly always the file has grown, and only what is new is looked at.
    const isSame = known !== undefined && bytes.subarray(0, known.end).equals(known.bytes);
    const batches = isSame ? known.batches : [];
    let position = isSame ? known.end : 0;
    while (position + BATCH_HEADER_BYTES <= bytes.length) {
      const sizeBytes = batchSizeBytes(bytes, position);
      if (sizeBytes < BATCH_HEADER_BYTES || position + sizeBytes > bytes.length) break;
      if (!isBatchCrcValid(bytes, position)) break;
      batches.push({
        baseOffset: batchBaseOffset(bytes, position),
        endOffset: batchNextOffset(bytes, position),
        leaderEpoch: batchLeaderEpoch(bytes, position),
        checksum: crc32c(bytes.subarray(position, position + sizeBytes)),
      });
      position += sizeBytes;
    }
    this.#known.set(path, {
      ...{ batches, end: position },
      bytes: Buffer.from(bytes.subarray(0, position)),
    });
    return batches;
  }
}
