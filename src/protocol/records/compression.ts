import type { CompressionType } from "../../base/offload.ts";
import { gunzipSync, gzipSync } from "node:zlib";
import { KafkaError } from "../errors.ts";
import { lz4Deflate, lz4Inflate } from "./compression-lz4.ts";
import { snappyDeflate, snappyInflate } from "./compression-snappy.ts";
import { loadZstd, zstdDeflate, zstdInflate } from "./compression-zstd.ts";

/**
 * Makes the codec usable by the functions below; only zstd has anything to load. Resolves at once when
 * that was done before.
 */
export async function loadCodec(type: CompressionType): Promise<void> {
  if (type === "zstd") await loadZstd();
}

/**
 * Inflates the records of a batch to at most `maxBytes`; memory stays in proportion to the bound, and
 * a lie about the size is found out before anything is allocated for it.
 * `loadCodec` must have resolved. Throws KafkaError CORRUPT_MESSAGE for damage and for bombs.
 */
export function inflateSync(type: CompressionType, bytes: Buffer, maxBytes: number): Buffer {
  try {
    return inflateUnnamed(type, bytes, maxBytes);
  } catch (error) {
    throw asCorrupt(type, error);
  }
}

/**
 * Packs the records of a batch. `level` is for gzip and zstd; null: the codec's own default. `loadCodec`
 * must have resolved.
 */
export function deflateSync(
  type: CompressionType,
  bytes: Buffer,
  level: number | null = null,
): Buffer {
  switch (type) {
    case "none":
      return bytes;
    case "gzip":
      return gzipSync(bytes, gzipOptions(level));
    case "snappy":
      return snappyDeflate(bytes);
    case "lz4":
      return lz4Deflate(bytes);
    case "zstd":
      return zstdDeflate(bytes, level);
  }
}

export function gzipOptions(level: number | null): { readonly level?: number } {
  return level === null ? {} : { level };
}

/** What damaged data is called, wherever it was inflated. */
export function asCorrupt(type: CompressionType, cause: unknown): KafkaError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new KafkaError("CORRUPT_MESSAGE", `cannot inflate ${type} records: ${reason}`, { cause });
}

function inflateUnnamed(type: CompressionType, bytes: Buffer, maxBytes: number): Buffer {
  switch (type) {
    case "none":
      if (bytes.length > maxBytes) throw new Error("the records are larger than the bound");
      return bytes;
    case "gzip":
      return gunzipSync(bytes, { maxOutputLength: Math.max(1, maxBytes) });
    case "snappy":
      return snappyInflate(bytes, maxBytes);
    case "lz4":
      return lz4Inflate(bytes, maxBytes);
    case "zstd":
      return zstdInflate(bytes, maxBytes);
  }
}
