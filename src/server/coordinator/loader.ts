import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Offload } from "../../base/offload.ts";
import { TimeSlice } from "../../base/time-slice.ts";
import { KafkaError } from "../../protocol/errors.ts";
import {
  batchBaseOffset,
  batchNextOffset,
  batchSizeBytes,
  isBatchCrcValid,
  isControl,
  isTransactional,
} from "../../protocol/records/batch.ts";
import { readBatchRecords } from "../../protocol/records/record.ts";
import type { CoordinatorLog } from "./coordinator-log.ts";
import type { KeyValue } from "./core.ts";

/** Bytes of one read of the log while loading (Kafka's offsets.load.buffer.size is 5 MiB). */
const READ_BYTES = 1024 * 1024;
/** Largest batch that is inflated: as large as a message may be at all. */
const MAX_INFLATED_BYTES = 128 * 1024 * 1024;

export interface LoadDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly offload: Offload;
  readonly log: CoordinatorLog;
}

export interface LoadTarget {
  /** Whether anybody still wants the result. */
  readonly isCurrent: () => boolean;
  /** Called once, before the first record that the high watermark does not cover. */
  readonly onUncommitted: () => void;
  /** Applies a record; false when its type is not known. */
  readonly replay: (record: KeyValue) => boolean;
}

/**
 * Replays the log from its start to what was its end at the call, in slices. Throws KafkaError when
 * it cannot be read or is damaged. Stops early, without a word, when the result is not wanted any more.
 */
export async function loadShard(
  dependencies: LoadDependencies,
  target: LoadTarget,
): Promise<{ readonly endOffset: number; readonly count: number }> {
  const { log, clock } = dependencies;
  const endOffset = log.endOffset;
  const progress = new Progress(dependencies, target);
  let offset = log.startOffset;
  while (offset < endOffset && target.isCurrent()) {
    const { records, nextOffset } = await log.read(offset, READ_BYTES);
    if (nextOffset <= offset) {
      // Compaction may have left nothing at the end of what is committed, and touches nothing above it.
      const committedEnd = Math.min(log.highWatermark, endOffset);
      if (offset < committedEnd) {
        offset = committedEnd;
        continue;
      }
      throw new KafkaError("KAFKA_STORAGE_ERROR", `the log ends at ${offset}, not ${endOffset}`);
    }
    const slice = new TimeSlice(clock);
    for (let position = 0; position < records.length && target.isCurrent();) {
      await progress.replayBatch(records, position);
      position += batchSizeBytes(records, position);
      if (slice.isOver) await slice.next();
    }
    offset = nextOffset;
  }
  return { endOffset, count: progress.count };
}

class Progress {
  readonly #dependencies: LoadDependencies;
  readonly #target: LoadTarget;
  #isUncommitted = false;
  count = 0;

  constructor(dependencies: LoadDependencies, target: LoadTarget) {
    this.#dependencies = dependencies;
    this.#target = target;
  }

  async replayBatch(bytes: Buffer, position: number): Promise<void> {
    const { log, logger, offload } = this.#dependencies;
    if (!isBatchCrcValid(bytes, position)) {
      throw new KafkaError("CORRUPT_MESSAGE", `checksum of ${batchBaseOffset(bytes, position)}`);
    }
    if (isControl(bytes, position)) return;
    if (isTransactional(bytes, position)) {
      // Only a directory written by another broker can hold these until transactions are served here.
      logger.warn({ nextOffset: batchNextOffset(bytes, position) }, "transactional batch left out");
      return;
    }
    if (!this.#isUncommitted && batchNextOffset(bytes, position) > log.highWatermark) {
      this.#isUncommitted = true;
      this.#target.onUncommitted();
    }
    const records = await readBatchRecords(bytes, position, offload, MAX_INFLATED_BYTES);
    for (const { key, value } of records) {
      this.count += 1;
      if (key === null || !this.#target.replay({ key, value })) {
        logger.warn({ nextOffset: batchNextOffset(bytes, position) }, "record of unknown type");
      }
    }
  }
}
