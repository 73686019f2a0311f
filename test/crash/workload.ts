import type { NewRecord } from "../../src/protocol/records/batch-builder.ts";
import type { LogConfig } from "../../src/storage/log-config.ts";
import { type Setup, SMALL_CONFIG } from "./node.ts";
import type { Image } from "./trace.ts";
import type { World } from "./world.ts";

/** What is done with a machine, step by step. */
export type Script = (world: World) => Promise<void>;

/** A script of a machine's first life. */
export interface Workload {
  readonly name: string;
  /**
   * Of a short one every state is looked at, and every state of each recovery from one of them; of a
   * long one samples, and lives after crashes. In one with a fault a call fails: what lives after that
   * find is said in README.md.
   */
  readonly kind: "short" | "long" | "fault";
  readonly setup: Setup;
  /** A life before, all of which is durable when the script begins; without it the disk is empty. */
  readonly prepare?: Script;
  /** What has become of that on the disk meanwhile. */
  readonly damage?: (image: Image) => Image;
  readonly script: Script;
  /** Of a short one: recoveries are too many to look at each; there are lives after crashes instead. */
  readonly hasManyRecoveries?: boolean;
  /** Of a moment of a recovery, where there are too many states to look at each; default: all. */
  readonly recoveryLimit?: number;
  /** Of what is appended after a recovery. Default: 60. */
  readonly batchValueBytes?: number;
}

export const ONE_DIRECTORY: Setup = { logDirs: ["/data"], hasMetadata: false, configs: {} };

/** One directory, and the topic t with that config. */
export function setupOf(config: Partial<LogConfig>): Setup {
  return { ...ONE_DIRECTORY, configs: { t: { ...SMALL_CONFIG, ...config } } };
}

/** Compacted as soon as there is anything to compact. */
export const COMPACTED: Partial<LogConfig> = {
  cleanupPolicy: { compacts: true, deletes: false },
  minCleanableDirtyRatio: 0,
  deleteRetentionMs: 0,
};

/** A value of so many bytes; below zero: a tombstone. */
export function keyed(key: string, value: string, bytes: number): readonly NewRecord[] {
  const padded = Buffer.from(value.padEnd(Math.max(0, bytes), "."));
  return [{ key: Buffer.from(key), value: bytes < 0 ? null : padded }];
}
