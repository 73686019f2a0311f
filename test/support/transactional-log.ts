import { SystemClock } from "../../src/base/clock.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { buildBatch, type NewBatch } from "../../src/protocol/records/batch-builder.ts";
import { Log } from "../../src/storage/log.ts";
import { DEFAULT_LOG_CONFIG } from "../../src/storage/log-config.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";

export interface WrittenTransactions {
  readonly endOffset: number;
  /** Values by offset: all that were sent, and those that a reader at read_committed may see. */
  readonly all: ReadonlyMap<number, string>;
  readonly committed: ReadonlyMap<number, string>;
}

const TURNS = 40;
const RECORDS_PER_BATCH = 20;

/**
 * Writes a log with the transactions of three producers that overlap, every third aborted, over several
 * segments and leader epochs, as the broker's Log does it when a coordinator hands it markers.
 */
export async function writeTransactions(directory: string): Promise<WrittenTransactions> {
  const clock = new SystemClock();
  const timers = new TimerQueue(clock);
  const log = await Log.open(
    { disk: new NodeDisk(), clock, timers, logger: SILENT_LOGGER },
    { directory, config: { ...DEFAULT_LOG_CONFIG, segmentBytes: 65_536 } },
  );
  const all = new Map<number, string>();
  const committed = new Map<number, string>();
  const open = new Map<number, Map<number, string>>();
  const sequences = new Map<number, number>();
  let epoch = 0;
  const append = (batch: Omit<NewBatch, "timestampMs">, origin: "client" | "coordinator") => {
    const bytes = buildBatch({ timestampMs: clock.wallMs(), producerEpoch: 0, ...batch });
    return log.append(bytes, { leaderEpoch: epoch, origin }).baseOffset;
  };
  const send = (producerId: number): void => {
    const baseSequence = sequences.get(producerId) ?? 0;
    sequences.set(producerId, baseSequence + RECORDS_PER_BATCH);
    const values = Array.from({ length: RECORDS_PER_BATCH }, (_, n) =>
      `${producerId}-${baseSequence + n}-`.padEnd(100, "v"),
    );
    const records = values.map((value) => ({ key: null, value: Buffer.from(value) }));
    const batch = { producerId, baseSequence, isTransactional: true, records };
    const baseOffset = append(batch, "client");
    const transaction = open.get(producerId) ?? new Map<number, string>();
    open.set(producerId, transaction);
    for (const [n, value] of values.entries()) {
      all.set(baseOffset + n, value);
      transaction.set(baseOffset + n, value);
    }
  };
  for (let turn = 0; turn < TURNS; turn += 1) {
    if (turn === TURNS / 2) epoch = 2;
    for (const producerId of [100, 101 + (turn % 2), 100]) send(producerId);
    const ending = 100 + (turn % 3);
    const isAbort = turn % 4 === 3;
    append(
      {
        producerId: ending,
        isTransactional: true,
        isControl: true,
        records: [marker(isAbort)],
      },
      "coordinator",
    );
    if (!isAbort)
      for (const [offset, value] of open.get(ending) ?? []) committed.set(offset, value);
    open.delete(ending);
  }
  for (const producerId of open.keys()) {
    append(
      { producerId, isTransactional: true, isControl: true, records: [marker(true)] },
      "coordinator",
    );
  }
  await log.close();
  return { endOffset: log.logEndOffset, all, committed };
}

/** An end-of-transaction marker. Key: version, type (0 abort, 1 commit). Value: version, coordinator epoch. */
function marker(isAbort: boolean) {
  const key = Buffer.alloc(4);
  key.writeInt16BE(isAbort ? 0 : 1, 2);
  return { key, value: Buffer.alloc(6) };
}
