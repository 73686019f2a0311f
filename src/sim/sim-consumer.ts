import type { Offload } from "../base/offload.ts";
import { randomBelow, type Random } from "../base/random.ts";
import { APIS } from "../protocol/apis.ts";
import { errorName } from "../protocol/errors.ts";
import {
  batchNextOffset,
  batchBaseOffset,
  batchSizeBytes,
  completeBatchesBytes,
  isBatchCrcValid,
} from "../protocol/records/batch.ts";
import { type LogRecord, readBatchRecords } from "../protocol/records/record.ts";
import type { History } from "./history.ts";
import type { SimClient } from "./sim-client.ts";
import type { TopicFacts } from "./sim-producer.ts";

const MAX_INFLATED_BYTES = 16 * 1024 * 1024;

export interface FetchPosition {
  readonly topic: TopicFacts;
  readonly partitionIndex: number;
  readonly offset: number;
}

export interface Fetched {
  readonly error: string;
  readonly highWatermark: number;
  readonly records: readonly LogRecord[];
  /** Where the next fetch goes on. */
  readonly nextOffset: number;
}

export interface FetchOptions {
  readonly random: Random;
  readonly offload: Offload;
  readonly history: History;
  readonly maxWaitMs: number;
}

/** One Fetch of one partition, checked as a client can: S1 (offsets rise) and S2 (checksums hold). */
export async function fetchOnce(
  client: SimClient,
  at: FetchPosition,
  options: FetchOptions,
): Promise<Fetched> {
  const { random, history, offload, maxWaitMs } = options;
  const key = `${at.topic.name}-${at.partitionIndex}`;
  const version = client.version(APIS.fetch, 4 + randomBelow(random, 15));
  const answer = await client.request(APIS.fetch, version, {
    maxWaitMs,
    minBytes: 1,
    maxBytes: 1 + randomBelow(random, 200_000),
    isolationLevel: randomBelow(random, 2),
    topics: [
      {
        topic: at.topic.name,
        topicId: at.topic.topicId,
        partitions: [
          {
            partition: at.partitionIndex,
            fetchOffset: at.offset,
            partitionMaxBytes: 1 + randomBelow(random, 50_000),
          },
        ],
      },
    ],
    forgottenTopicsData: [],
  });
  const partition = answer.responses[0]?.partitions[0];
  if (partition === undefined) {
    return {
      error: errorName(answer.errorCode),
      highWatermark: -1,
      records: [],
      nextOffset: at.offset,
    };
  }
  const bytes = partition.records ?? Buffer.alloc(0);
  const records: LogRecord[] = [];
  let nextOffset = at.offset;
  // The last batch may be cut off by the bound; a client drops it.
  const end = completeBatchesBytes(bytes);
  for (let position = 0; position < end; position += batchSizeBytes(bytes, position)) {
    if (!isBatchCrcValid(bytes, position))
      history.report("S2", `${key}: a batch's checksum is wrong`);
    if (position > 0 && batchBaseOffset(bytes, position) < nextOffset) {
      history.report(
        "S1",
        `${key}: a batch at ${batchBaseOffset(bytes, position)} after ${nextOffset}`,
      );
    }
    nextOffset = batchNextOffset(bytes, position);
    const found = await readBatchRecords(bytes, position, offload, MAX_INFLATED_BYTES);
    for (const record of found) if (record.offset >= at.offset) records.push(record);
  }
  if (nextOffset > partition.highWatermark && records.length > 0) {
    history.report("S18", `${key}: read to ${nextOffset}, beyond HW ${partition.highWatermark}`);
  }
  const error = errorName(partition.errorCode);
  return { error, highWatermark: partition.highWatermark, records, nextOffset };
}
