import { crc32c } from "../../src/base/crc32c.ts";
import { type Random, randomBelow, SeededRandom } from "../../src/base/random.ts";
import type { Offload } from "../../src/base/offload.ts";
import {
  BATCH_OVERHEAD,
  batchRecordCount,
  batchSizeBytes,
  completeBatchesBytes,
  isBatchCrcValid,
  LOG_OVERHEAD,
  validateClientBatch,
} from "../../src/protocol/records/batch.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { batchBody, iterateRecords, readBatchRecords } from "../../src/protocol/records/record.ts";
import { varintBytes } from "../../src/protocol/records/varint.ts";
import { typed } from "./codecs.ts";
import { heapBytes } from "./memory.ts";
import { mutate, pick, type Source } from "./mutate.ts";
import type { Site, SiteKind } from "./sites.ts";
import type { Tally } from "./tally.ts";
import { readLines } from "./vectors.ts";

const MAX_INFLATED_BYTES = 256 * 1024;
const MAX_ALLOCATED_BYTES = 128 * 1024 * 1024;
const LIMITS = { maxMessageBytes: 1024 * 1024 };
/** Of mutated batches, so many in four get their checksum put right, or nothing behind it is reached. */
const CRC_FIXED_IN_FOUR = 3;

/** Fields of the header: kind and size, in order, after base offset and length. */
const HEADER_SITES: readonly (readonly [SiteKind, number, number])[] = [
  ["number", 0, 8],
  ["length32", 8, 12],
  ["number", 12, 16],
  ["number", 16, 17],
  ["number", 17, 21],
  ["number", 21, 23],
  ["number", 23, 27],
  ["number", 27, 35],
  ["number", 35, 43],
  ["number", 43, 51],
  ["number", 51, 53],
  ["number", 53, 57],
  ["count32", 57, 61],
];

/** Every golden batch that stands alone, the damaged ones, and bombs of each codec. */
export function loadBatches(): readonly Source[] {
  const files = ["records-v2", "records-invalid", "records-legacy"];
  const golden = files.flatMap((name) => readLines(name) as { readonly hex: string }[]);
  const bombs = (["none", "gzip", "snappy", "lz4", "zstd"] as const).map((compression) => {
    const value = Buffer.alloc(compression === "none" ? 100_000 : 16 * 1024 * 1024);
    return buildBatch({ records: [{ key: null, value }], timestampMs: 0, compression });
  });
  return [...golden.map(({ hex }) => Buffer.from(hex, "hex")), ...bombs]
    .filter((bytes) => bytes.length < 200_000)
    .map((bytes) => ({ bytes, sites: findBatchSites(bytes) }));
}

/** Mutated batches `[start, start + count)` against the validator and the readers. */
export async function fuzzBatches(
  sources: readonly Source[],
  tally: Tally,
  offload: Offload,
  options: { readonly seed: string; readonly start: number; readonly count: number },
): Promise<void> {
  for (let index = options.start; index < options.start + options.count; index += 1) {
    const random = new SeededRandom(`${options.seed}/batches/${index}`);
    const source = pick(random, sources);
    const mutated = mutate(random, source, pick(random, sources));
    const bytes = maybeFixCrc(random, mutated.bytes);
    tally.frame("record batch", mutated.kinds);
    const before = heapBytes();
    try {
      await tryBatch(bytes, offload, tally);
    } catch (error) {
      tally.violation(
        `batch ${index} (${mutated.kinds.join(", ")}): ` +
          `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n  ` +
          bytes.toString("hex").slice(0, 2000),
      );
    }
    if (heapBytes() - before > MAX_ALLOCATED_BYTES) {
      tally.violation(`batch ${index} made its reader allocate too much`);
    }
  }
}

async function tryBatch(bytes: Buffer, offload: Offload, tally: Tally): Promise<void> {
  try {
    validateClientBatch(bytes, LIMITS);
    tally.outcome("batch: accepted from a client");
    if (!isBatchCrcValid(bytes) || completeBatchesBytes(bytes) !== bytes.length) {
      throw new Error("a batch was accepted that is not one whole sound batch");
    }
  } catch (error) {
    tally.outcome(typed(error, "batch refused"));
  }
  const wholeBytes = completeBatchesBytes(bytes);
  for (let position = 0; position < wholeBytes; position += batchSizeBytes(bytes, position)) {
    if (isBatchCrcValid(bytes, position)) tally.pastHeader += 1;
    try {
      await readBatchRecords(bytes, position, offload, MAX_INFLATED_BYTES);
      tally.outcome("records: read");
    } catch (error) {
      tally.outcome(typed(error, "records"));
    }
  }
}

/** Three in four get their length, base offset and checksum put right as far as that makes sense. */
export function maybeFixCrc(random: Random, mutated: Buffer): Buffer {
  if (mutated.length <= BATCH_OVERHEAD || randomBelow(random, 4) >= CRC_FIXED_IN_FOUR) {
    return mutated;
  }
  const bytes = Buffer.from(mutated);
  // Grown or cut by the mutation: half of the time the length follows.
  if (randomBelow(random, 2) === 0) bytes.writeInt32BE(bytes.length - LOG_OVERHEAD, 8);
  // As a producer sends it.
  if (randomBelow(random, 2) === 0) bytes.fill(0, 0, 8);
  const sizeBytes = batchSizeBytes(bytes);
  if (sizeBytes >= BATCH_OVERHEAD && sizeBytes <= bytes.length) {
    bytes.writeUInt32BE(crc32c(bytes, 21, sizeBytes), 17);
  }
  return bytes;
}

function findBatchSites(bytes: Buffer): readonly Site[] {
  if (bytes.length < BATCH_OVERHEAD) {
    return bytes.length === 0 ? [] : [site("content", 0, bytes.length)];
  }
  const sites = HEADER_SITES.map(([kind, start, end]) => site(kind, start, end));
  if (bytes.length > BATCH_OVERHEAD) sites.push(...findRecordSites(bytes));
  return sites;
}

/** The varints of plain records; of packed or damaged ones only that there is content. */
function findRecordSites(bytes: Buffer): Site[] {
  const whole = [site("content", BATCH_OVERHEAD, bytes.length)];
  try {
    const { type, body } = batchBody(bytes, 0);
    if (type !== "none") return whole;
    const sites: Site[] = [];
    for (const record of iterateRecords(body, batchRecordCount(bytes))) {
      // Keys and values are slices: where they lie tells where their lengths lie.
      for (const content of [record.key, record.value]) {
        if (content === null || content.length === 0) continue;
        const start = BATCH_OVERHEAD + content.byteOffset - body.byteOffset;
        sites.push(site("lengthVarint", start - varintBytes(content.length), start));
        sites.push(site("content", start, start + content.length));
      }
      if (sites.length > 200) break;
    }
    const first = Math.min(BATCH_OVERHEAD + 8, bytes.length);
    for (let at = BATCH_OVERHEAD; at < first; at += 1) sites.push(site("tag", at, at + 1));
    return sites;
  } catch {
    // A damaged vector is mutated as it is.
    return whole;
  }
}

function site(kind: SiteKind, start: number, end: number): Site {
  return { kind, start, end, value: end - start, element: null };
}
