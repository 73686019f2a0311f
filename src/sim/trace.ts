import { createHash } from "node:crypto";

const BUFFER_BYTES = 64 * 1024;
/** Lines kept for a look at what happened last. */
const KEPT_LINES = 200_000;

export type TraceValue = string | number | bigint | boolean | null | undefined | Uint8Array;

/**
 * A running hash over all that passes through the ports of a simulated process: every call with its
 * arguments, every result, every event, every byte that is sent. Two runs are the same if and only if
 * their hashes are. With `keepsLines` it also keeps a readable line for each, to find where they part.
 */
export class Trace {
  readonly #hash = createHash("sha256");
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  readonly #lines: string[] | null;
  #usedBytes = 0;
  #count = 0;

  constructor({ keepsLines = false }: { readonly keepsLines?: boolean } = {}) {
    this.#lines = keepsLines ? [] : null;
  }

  /** Facts taken in so far. */
  get count(): number {
    return this.#count;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** Takes in one fact: a name and its values. */
  add(name: string, ...values: readonly TraceValue[]): void {
    this.#count += 1;
    this.#text(name);
    for (const value of values) {
      if (value instanceof Uint8Array) {
        this.#text(`#${value.length}:`);
        this.#bytes(value);
      } else {
        this.#text(String(value));
      }
    }
    this.#text("\n");
    if (this.#lines !== null && this.#lines.length < KEPT_LINES) {
      this.#lines.push([name, ...values.map(readable)].join(" "));
    }
  }

  /** The hash of all facts so far, in hex. The trace may go on. */
  digest(): string {
    this.#flush();
    return this.#hash.copy().digest("hex");
  }

  #text(text: string): void {
    // One byte between values, so that "ab","c" and "a","bc" differ; latin1 is enough for a hash.
    if (this.#usedBytes + text.length + 1 > BUFFER_BYTES) this.#flush();
    if (text.length + 1 > BUFFER_BYTES) {
      this.#hash.update(text).update("\0");
      return;
    }
    this.#usedBytes += this.#buffer.write(text, this.#usedBytes, "latin1");
    this.#buffer[this.#usedBytes++] = 0;
  }

  #bytes(bytes: Uint8Array): void {
    if (this.#usedBytes + bytes.length > BUFFER_BYTES) this.#flush();
    if (bytes.length > BUFFER_BYTES) {
      this.#hash.update(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#usedBytes);
    this.#usedBytes += bytes.length;
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#usedBytes));
    this.#usedBytes = 0;
  }
}

function readable(value: TraceValue): string {
  if (!(value instanceof Uint8Array)) return String(value);
  const digest = createHash("sha256").update(value).digest("hex").slice(0, 8);
  return `<${value.length} bytes ${digest}>`;
}
