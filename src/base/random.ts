import { randomBytes } from "node:crypto";
import { uuidFromBytes, uuidToBytes, type Uuid, ZERO_UUID } from "./ids.ts";

/** The only source of chance (design.md, section 2). */
export interface Random {
  /** A whole number in [0, 2^32). */
  uint32(): number;
  bytes(length: number): Buffer;
  /** An independent source named after its user, so that one user's draws do not shift another's. */
  fork(name: string): Random;
}

/** A whole number in [0, bound), for 1 <= bound <= 2^32. */
export function randomBelow(random: Random, bound: number): number {
  return Math.floor((random.uint32() / 2 ** 32) * bound);
}

/** A random (version 4) uuid, never zero and never one whose text starts with "-", as in Kafka. */
export function randomUuid(random: Random): Uuid {
  for (;;) {
    const bytes = random.bytes(16);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const uuid = uuidFromBytes(bytes);
    if (uuid !== ZERO_UUID && !uuid.startsWith("-")) return uuid;
  }
}

/** A member id's tail: a random uuid in the form 8-4-4-4-12, as Kafka appends it. */
export function randomHyphenatedUuid(random: Random): string {
  const hex = uuidToBytes(randomUuid(random)).toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The operating system's random numbers. */
export class SystemRandom implements Random {
  uint32(): number {
    return randomBytes(4).readUInt32LE();
  }

  bytes(length: number): Buffer {
    return randomBytes(length);
  }

  fork(): Random {
    return this;
  }
}

/** sfc32, seeded by a number and the path of fork names. The same seed gives the same draws. */
export class SeededRandom implements Random {
  readonly #seed: string;
  readonly #state: Uint32Array;

  constructor(seed: number | string) {
    this.#seed = String(seed);
    this.#state = new Uint32Array(4);
    // FNV-1a spreads the seed's text over the state; sfc32 needs some rounds to forget it.
    for (let word = 0; word < 4; word += 1) {
      let hash = 0x811c9dc5 ^ word;
      for (let i = 0; i < this.#seed.length; i += 1) {
        hash = Math.imul(hash ^ this.#seed.charCodeAt(i), 0x01000193);
      }
      this.#state[word] = hash;
    }
    for (let round = 0; round < 16; round += 1) this.uint32();
  }

  uint32(): number {
    const s = this.#state;
    const a = s[0] ?? 0;
    const b = s[1] ?? 0;
    const c = s[2] ?? 0;
    const counter = s[3] ?? 0;
    const result = (a + b + counter) >>> 0;
    s[3] = counter + 1;
    s[0] = b ^ (b >>> 9);
    s[1] = c + (c << 3);
    s[2] = ((c << 21) | (c >>> 11)) + result;
    return result;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i += 1) bytes[i] = this.uint32() & 0xff;
    return bytes;
  }

  fork(name: string): Random {
    return new SeededRandom(`${this.#seed}/${name}`);
  }
}
