import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/** How test/golden/README.md writes them. */
export interface GoldenRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key?: string | null;
  readonly keyLength?: number;
  readonly keySha256?: string;
  readonly value?: string | null;
  readonly valueLength?: number;
  readonly valueSha256?: string;
  readonly headers: readonly { readonly key: string; readonly value: string | null }[];
}

export interface GoldenBatch {
  readonly magic: number;
  readonly baseOffset: string;
  readonly lastOffset: string;
  readonly sizeInBytes: number;
  readonly crc: number;
  readonly compression: string;
  readonly timestampType: string;
  readonly maxTimestamp: string;
  readonly batchLength: number;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly baseTimestamp: string;
  readonly partitionLeaderEpoch: number;
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly recordCount: number;
  readonly deleteHorizonMs?: string;
  readonly records: readonly GoldenRecord[];
}

export interface RecordsVector {
  readonly case: string;
  readonly batches: readonly GoldenBatch[];
  readonly hex: string;
  readonly truncatedTailBytes?: number;
}

export interface InvalidVector {
  readonly case: string;
  readonly about: string;
  readonly javaError: string | null;
  readonly batchesRead: number;
  readonly hex: string;
}

export type Primitive =
  | {
      readonly type: "varint";
      readonly value: number;
      readonly zigzag: string;
    }
  | { readonly type: "varlong"; readonly value: string; readonly zigzag: string }
  | { readonly type: "crc32c"; readonly hex: string; readonly crc: number }
  | { readonly type: "uuid" };

/** The lines of a vector file, from HOLDFAST_GOLDEN_DIR or test/golden. */
export function readVectors(name: string): readonly unknown[] {
  const folder = process.env["HOLDFAST_GOLDEN_DIR"] ?? "test/golden";
  const text = gunzipSync(readFileSync(join(folder, `${name}.jsonl.gz`))).toString("utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}
