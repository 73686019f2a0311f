import { hash } from "node:crypto";

/** Four words of a key's digest and an offset. */
const SLOT_BYTES = 24;
const DIGEST_WORDS = 4;
/** Fuller than this the chains of an open table grow long (log.cleaner.io.buffer.load.factor). */
const LOAD_FACTOR = 0.9;
const MIN_SLOT_COUNT = 16;

/**
 * Newest offset by key, in memory that is bounded however long the keys are: an open-addressing table
 * of digests. Two keys with the same 128 bits of SHA-256 would be taken for one; nobody can make them.
 */
export class OffsetMap {
  readonly #slotCount: number;
  readonly #maxKeyCount: number;
  readonly #digests: Uint32Array;
  /** Offset + 1; 0: the slot is free. Doubles hold every offset that there can be. */
  readonly #offsets: Float64Array;
  #keyCount = 0;

  /** Large enough for so many keys, and no larger than so many bytes. */
  constructor(options: { readonly keyCount: number; readonly maxBytes: number }) {
    const wantedSlots = Math.max(MIN_SLOT_COUNT, Math.ceil(options.keyCount / LOAD_FACTOR) + 1);
    const maxSlots = Math.max(MIN_SLOT_COUNT, Math.floor(options.maxBytes / SLOT_BYTES));
    this.#slotCount = Math.min(wantedSlots, maxSlots);
    this.#maxKeyCount = Math.floor(this.#slotCount * LOAD_FACTOR);
    this.#digests = new Uint32Array(this.#slotCount * DIGEST_WORDS);
    this.#offsets = new Float64Array(this.#slotCount);
  }

  get keyCount(): number {
    return this.#keyCount;
  }

  /** Notes the key's offset, which is above all noted before; false: there is no room for a new key. */
  put(key: Buffer, offset: number): boolean {
    const slot = this.#find(key);
    if (this.#offsets[slot] === 0) {
      if (this.#keyCount >= this.#maxKeyCount) return false;
      this.#digests.set(digest, slot * DIGEST_WORDS);
      this.#keyCount += 1;
    }
    this.#offsets[slot] = offset + 1;
    return true;
  }

  /** null: the key was not noted. */
  get(key: Buffer): number | null {
    const found = this.#offsets[this.#find(key)] ?? 0;
    return found === 0 ? null : found - 1;
  }

  /** The key's slot, or the free one where it would go; leaves its digest in `digest`. */
  #find(key: Buffer): number {
    const bytes = hash("sha256", key, "buffer");
    for (let word = 0; word < DIGEST_WORDS; word += 1) digest[word] = bytes.readUInt32LE(4 * word);
    const [first = 0, second = 0, third = 0, fourth = 0] = digest;
    // Two words, as a table may have more slots than one word can tell apart evenly.
    let slot = (first + (second % 2 ** 20) * 2 ** 32) % this.#slotCount;
    while (this.#offsets[slot] !== 0) {
      const at = slot * DIGEST_WORDS;
      const isSame =
        this.#digests[at] === first &&
        this.#digests[at + 1] === second &&
        this.#digests[at + 2] === third &&
        this.#digests[at + 3] === fourth;
      if (isSame) return slot;
      slot = slot + 1 === this.#slotCount ? 0 : slot + 1;
    }
    return slot;
  }
}

/** Of the key that was looked for last: reused, as a log has many keys. */
const digest = new Uint32Array(DIGEST_WORDS);
