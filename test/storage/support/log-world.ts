import type { Logger } from "../../../src/base/logger.ts";
import { SILENT_LOGGER } from "../../../src/base/logger.ts";
import { TimerQueue } from "../../../src/base/timer-queue.ts";
import { batchSizeBytes } from "../../../src/protocol/records/batch.ts";
import { buildBatch, type NewBatch } from "../../../src/protocol/records/batch-builder.ts";
import { Log, type LogAppendOptions, type LogOptions } from "../../../src/storage/log.ts";
import { DEFAULT_LOG_CONFIG, type LogConfig } from "../../../src/storage/log-config.ts";
import { ManualClock } from "./manual-clock.ts";
import { ScriptedDisk } from "./scripted-disk.ts";

export const CONFIG: LogConfig = {
  ...DEFAULT_LOG_CONFIG,
  segmentBytes: 1_000_000,
  segmentMs: Infinity,
  maxMessageBytes: 1_000_000,
  timestampAfterMaxMs: Infinity,
};

export const DIRECTORY = "/data/topic-0";
export const CLIENT: LogAppendOptions = { leaderEpoch: 0, origin: "client" };

export interface Said {
  readonly level: string;
  readonly facts: Record<string, unknown>;
  readonly message: string;
}

/** A disk, a clock, and logs on them. */
export function logWorld(disk = new ScriptedDisk()) {
  const clock = new ManualClock();
  const said: Said[] = [];
  const say =
    (level: string) =>
    (facts: object, message: string): void => {
      said.push({ level, facts: { ...facts }, message });
    };
  const logger: Logger = { ...SILENT_LOGGER, warn: say("warn"), error: say("error") };
  const dependencies = { disk, clock, logger, timers: new TimerQueue(clock) };
  const open = (
    config: Partial<LogConfig> = {},
    options: Partial<Omit<LogOptions, "config">> = {},
  ): Promise<Log> =>
    Log.open(dependencies, { directory: DIRECTORY, ...options, config: { ...CONFIG, ...config } });
  return { disk, clock, said, dependencies, open };
}

/** A batch of so many records, of about so many bytes each. */
export function batchOf(
  recordCount: number,
  valueBytes = 20,
  batch: Partial<NewBatch> = {},
): Buffer {
  return buildBatch({
    timestampMs: 1_800_000_000_000,
    records: Array.from({ length: recordCount }, (_, i) => ({
      key: null,
      value: Buffer.alloc(valueBytes, i + 1),
    })),
    ...batch,
  });
}

/** All batches of the log from an offset on, as its reader gives them. */
export async function readAll(log: Log, from = log.logStartOffset, maxBytes = 10_000) {
  const batches: Buffer[] = [];
  let offset = from;
  while (offset < log.writtenEndOffset) {
    const options = { offset, endOffset: log.logEndOffset, maxBytes, minOneBatch: true };
    const { records, nextOffset } = await log.read(options);
    if (records.length === 0) throw new Error(`nothing at offset ${offset}`);
    batches.push(...split(records));
    offset = nextOffset;
  }
  return batches;
}

/** The single batches in a run of them. */
export function split(records: Buffer): Buffer[] {
  const batches: Buffer[] = [];
  for (let at = 0; at < records.length; at += batchSizeBytes(records, at)) {
    batches.push(records.subarray(at, at + batchSizeBytes(records, at)));
  }
  return batches;
}

/** A checkpoint as Kafka reads it: without the checksum in its blanks. */
export function checkpointText(content: Buffer): string {
  return content.toString().replace(/[ \t]+\n$/, "\n");
}
