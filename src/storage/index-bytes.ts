import { DamagedFileError } from "./checkpoint.ts";

const FIRST_ENTRY_COUNT = 64;

/** The entries of an index as they lie in its file, growing, and how many of them the file has. */
export class IndexBytes {
  readonly entryBytes: number;
  /** At least `sizeBytes` long; what follows is room. Replaced when it grows. */
  content: Buffer;
  #entryCount: number;
  #storedCount: number;

  private constructor(entryBytes: number, content: Buffer, entryCount: number) {
    this.entryBytes = entryBytes;
    this.content = content;
    this.#entryCount = entryCount;
    this.#storedCount = entryCount;
  }

  static empty(entryBytes: number): IndexBytes {
    return new IndexBytes(entryBytes, Buffer.alloc(0), 0);
  }

  /** A file's content, taken to be stored. Throws DamagedFileError when an entry is cut off. */
  static decode(entryBytes: number, content: Buffer): IndexBytes {
    if (content.length % entryBytes !== 0) {
      throw new DamagedFileError("the last entry of the index is cut off");
    }
    return new IndexBytes(entryBytes, content, content.length / entryBytes);
  }

  get entryCount(): number {
    return this.#entryCount;
  }

  get sizeBytes(): number {
    return this.#entryCount * this.entryBytes;
  }

  /** How many bytes of entries the file does not have yet. */
  get unstoredBytes(): number {
    return (this.#entryCount - this.#storedCount) * this.entryBytes;
  }

  /** Makes room for one entry and says where it lies. */
  grow(): number {
    const at = this.sizeBytes;
    if (at + this.entryBytes > this.content.length) {
      const grown = Buffer.alloc(Math.max(FIRST_ENTRY_COUNT * this.entryBytes, 2 * at));
      this.content.copy(grown, 0, 0, at);
      this.content = grown;
    }
    this.#entryCount += 1;
    return at;
  }

  /** What the file lacks and where it goes; from now on it counts as stored. */
  takeUnstored(): { readonly bytes: Buffer; readonly position: number } {
    const position = this.#storedCount * this.entryBytes;
    this.#storedCount = this.#entryCount;
    return { bytes: this.content.subarray(position, this.sizeBytes), position };
  }

  /** The file has none of it (it was cut, or was never written). */
  forgetStored(): void {
    this.#storedCount = 0;
  }
}
