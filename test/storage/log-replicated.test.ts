import { describe, expect, test } from "vitest";
import { InvariantError } from "../../src/base/assert.ts";
import { stampBatch } from "../../src/protocol/records/batch.ts";
import type { Log } from "../../src/storage/log.ts";
import { batchOf, logWorld, readAll } from "./support/log-world.ts";

/** As a leader has stamped it. */
function stamped(baseOffset: number, leaderEpoch: number, recordCount = 2): Buffer {
  const batch = batchOf(recordCount, 30, { producerId: 7, producerEpoch: 0, baseSequence: 0 });
  stampBatch(batch, 0, baseOffset, leaderEpoch);
  return batch;
}

const epochsOf = (log: Log) => [0, 3, 5].map((epoch) => log.endOffsetForEpoch(epoch));

describe("a follower's log", () => {
  test("has the leader's bytes, offsets and epochs, and keeps them over a restart (R-1)", async () => {
    const { open } = logWorld();
    const log = await open();
    const batches = [stamped(0, 0), stamped(2, 3), stamped(4, 3), stamped(6, 5)];
    for (const batch of batches) log.appendReplicated(batch);
    expect(log.logEndOffset).toBe(8);
    await log.flush();
    const epochs = [
      { leaderEpoch: 0, endOffset: 2 },
      { leaderEpoch: 3, endOffset: 6 },
      { leaderEpoch: 5, endOffset: 8 },
    ];
    expect(epochsOf(log)).toEqual(epochs);
    expect(await readAll(log)).toEqual(batches);
    await log.close();
    const again = await open({}, { isClean: false });
    expect(epochsOf(again)).toEqual(epochs);
    expect(await readAll(again)).toEqual(batches);
    await again.close();
  });

  test("has the gaps that a compaction has left in the leader's", async () => {
    const { open } = logWorld();
    const log = await open();
    const batches = [stamped(0, 0), stamped(10, 3), stamped(40, 3)];
    for (const batch of batches) log.appendReplicated(batch);
    expect(log.logEndOffset).toBe(42);
    // An epoch begins with its first batch, not where the one before ended.
    expect(log.leaderEpochAt(9)).toBe(0);
    await log.flush();
    expect(await readAll(log)).toEqual(batches);
    await log.close();
    const recoveryPoint = log.logEndOffset;
    const again = await open({}, { isClean: false, recoveryPoint, cleanedOffset: recoveryPoint });
    expect(await readAll(again)).toEqual(batches);
    await again.close();
  });

  test("takes its producers from the batches, without judging them again", async () => {
    const { open } = logWorld();
    const log = await open();
    // The leader has forgotten the producer in between, and let it begin anew.
    log.appendReplicated(stamped(0, 0));
    log.appendReplicated(stamped(2, 0));
    expect(log.producerEntries().at(-1)).toMatchObject({ producerId: 7, lastOffset: 3 });
    await log.close();
  });

  test("takes nothing below its end (S1)", async () => {
    const { open } = logWorld();
    const log = await open();
    log.appendReplicated(stamped(0, 0));
    expect(() => log.appendReplicated(stamped(1, 0))).toThrow(InvariantError);
    await log.close();
  });
});
