import type { CompressionType, Offload } from "../base/offload.ts";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import {
  asCorrupt,
  deflateSync,
  gzipOptions,
  inflateSync,
  loadCodec,
} from "../protocol/records/compression.ts";

const gunzipAsync = promisify(gunzip);
const gzipAsync = promisify<Buffer, { readonly level?: number }, Buffer>(gzip);

/** Below this a trip to the thread pool and back costs more than the work. */
const THREAD_MIN_BYTES = 4096;

/**
 * The form for production: gzip goes to the thread pool. The others have no asynchronous form without
 * a native package; a batch of 1 MiB costs them 2 to 5 ms, one slice of long work (design.md, section 2).
 */
export class NodeOffload implements Offload {
  async inflate(type: CompressionType, bytes: Buffer, maxBytes: number): Promise<Buffer> {
    if (type === "gzip" && bytes.length >= THREAD_MIN_BYTES) {
      try {
        return await gunzipAsync(bytes, { maxOutputLength: Math.max(1, maxBytes) });
      } catch (error) {
        throw asCorrupt(type, error);
      }
    }
    await loadCodec(type);
    return inflateSync(type, bytes, maxBytes);
  }

  async deflate(type: CompressionType, bytes: Buffer, level: number | null): Promise<Buffer> {
    if (type === "gzip" && bytes.length >= THREAD_MIN_BYTES) {
      return await gzipAsync(bytes, gzipOptions(level));
    }
    await loadCodec(type);
    return deflateSync(type, bytes, level);
  }
}

/** The form for the simulator: everything inline, so that no promise waits for a thread or a file. */
export class InlineOffload implements Offload {
  private constructor() {
    // Only `open` makes one, after the codecs are there.
  }

  /** Loads every codec; to be called before virtual time begins. */
  static async open(): Promise<InlineOffload> {
    await loadCodec("zstd");
    return new InlineOffload();
  }

  inflate(type: CompressionType, bytes: Buffer, maxBytes: number): Promise<Buffer> {
    return new Promise((resolve) => {
      resolve(inflateSync(type, bytes, maxBytes));
    });
  }

  deflate(type: CompressionType, bytes: Buffer, level: number | null): Promise<Buffer> {
    return new Promise((resolve) => {
      resolve(deflateSync(type, bytes, level));
    });
  }
}
