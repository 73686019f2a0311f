/** Compression codecs of record batches by their attribute bits (KIP-98, KIP-110). */
export type CompressionType = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/**
 * Work that must leave the event loop (design.md, section 2). The simulator runs it inline; what it
 * computes may not depend on where it runs.
 */
export interface Offload {
  /**
   * Inflates the records part of a batch to at most `maxBytes`.
   * Throws KafkaError CORRUPT_MESSAGE when the data is damaged or would grow beyond the bound.
   */
  inflate(type: CompressionType, bytes: Buffer, maxBytes: number): Promise<Buffer>;
  /** Packs the records part of a batch; `level` null: the codec's own default. */
  deflate(type: CompressionType, bytes: Buffer, level: number | null): Promise<Buffer>;
}
