import { describe, expect, test } from "vitest";
import { decodeTxnIndex } from "../../src/storage/txn-index.ts";
import type { Log } from "../../src/storage/log.ts";
import { batchOf, CLIENT, DIRECTORY, logWorld } from "./support/log-world.ts";
import { settle } from "./support/manual-clock.ts";
import { abortMarker, commitMarker } from "./support/markers.ts";

const COORDINATOR = { leaderEpoch: 0, origin: "coordinator" } as const;
const TXN_INDEX = `${DIRECTORY}/00000000000000000000.txnindex`;

/** Appends for producers by number, one record a batch. */
function writer(log: Log) {
  const sequences = new Map<number, number>();
  const append = (producerId: number, isTransactional = true, producerEpoch = 0): number => {
    const baseSequence = sequences.get(producerId) ?? 0;
    sequences.set(producerId, baseSequence + 1);
    const producer = { producerId, producerEpoch, baseSequence, isTransactional };
    return log.append(batchOf(1, 20, producer), CLIENT).baseOffset;
  };
  const abort = (producerId: number): number =>
    log.append(abortMarker({ producerId, producerEpoch: 0 }), COORDINATOR).baseOffset;
  const commit = (producerId: number): number =>
    log.append(commitMarker({ producerId, producerEpoch: 0 }), COORDINATOR).baseOffset;
  return { append, abort, commit };
}

async function opened(config = {}) {
  const world = logWorld();
  const log = await world.open(config);
  return { ...world, log, ...writer(log) };
}

describe("the first unstable offset (X7)", () => {
  test("is where the oldest open transaction begins", async () => {
    const { log, append, commit } = await opened();
    append(1, false);
    expect(log.firstUnstableOffset(1)).toBeNull();
    append(2);
    append(3);
    expect(log.firstUnstableOffset(3)).toBe(1);
    commit(2);
    expect(log.firstUnstableOffset(4)).toBe(2);
    commit(3);
    expect(log.firstUnstableOffset(5)).toBeNull();
  });

  test("stays while the marker is at or above the high watermark", async () => {
    const { log, append, commit } = await opened();
    append(2);
    const marker = commit(2);
    expect(log.firstUnstableOffset(0)).toBe(0);
    expect(log.firstUnstableOffset(marker)).toBe(0);
    expect(log.firstUnstableOffset(marker + 1)).toBeNull();
  });

  test.each([true, false])("is the same after a start, clean or not (%s)", async (isClean) => {
    const { log, append, commit, disk } = await opened({ segmentBytes: 300 });
    append(1);
    for (let i = 0; i < 5; i += 1) append(2);
    commit(2);
    await log.flush();
    if (isClean) await log.close();
    const end = log.logEndOffset;
    const again = await logWorld(disk.clone()).open(
      { segmentBytes: 300 },
      { isClean, recoveryPoint: end },
    );
    expect(again.firstUnstableOffset(end)).toBe(0);
    writer(again).commit(1);
    expect(again.firstUnstableOffset(end + 1)).toBeNull();
  });

  test("a marker without a transaction ends none, and one that wrote nothing here is no abort", async () => {
    const { log, append, abort, disk } = await opened();
    abort(5);
    append(5, false);
    expect(log.firstUnstableOffset(2)).toBeNull();
    expect(await log.abortedTransactions(0, 2)).toEqual([]);
    await log.close();
    expect(disk.exists(TXN_INDEX)).toBe(false);
  });
});

describe("aborted transactions (X6)", () => {
  test("are those that overlap the range, in the order of their markers", async () => {
    const { log, append, abort, commit } = await opened({ segmentBytes: 400 });
    append(1); // 0
    append(2); // 1
    append(3); // 2
    abort(2); // 3
    commit(3); // 4
    append(2); // 5
    abort(1); // 6
    abort(2); // 7
    await log.flush();
    expect(log.segmentBaseOffsets.length).toBeGreaterThan(1);
    const first = { producerId: 2, firstOffset: 1, lastOffset: 3, lastStableOffset: 0 };
    const second = { producerId: 1, firstOffset: 0, lastOffset: 6, lastStableOffset: 5 };
    const third = { producerId: 2, firstOffset: 5, lastOffset: 7, lastStableOffset: 8 };
    expect(await log.abortedTransactions(0, 8)).toMatchObject([first, second, third]);
    expect(await log.abortedTransactions(0, 1)).toMatchObject([second]);
    expect(await log.abortedTransactions(4, 5)).toMatchObject([second]);
    expect(await log.abortedTransactions(7, 8)).toMatchObject([third]);
    expect(await log.abortedTransactions(8, 8)).toEqual([]);
  });

  test("lie in the segment of their marker, as Kafka's tool reads them, durable with it", async () => {
    const { log, append, abort, disk } = await opened();
    append(1);
    abort(1);
    await settle();
    // At once, as Kafka does, and again with the segment.
    expect(decodeTxnIndex(disk.content(TXN_INDEX))).toEqual([
      { producerId: 1, firstOffset: 0, lastOffset: 1, lastStableOffset: 2 },
    ]);
    expect(disk.count("datasync", ".txnindex")).toBe(0);
    log.rollSegment();
    await settle();
    expect(disk.count("datasync", ".txnindex")).toBe(1);
    expect(disk.content(TXN_INDEX).length).toBe(34);
  });

  test.each(["clean", "killed", "index lost", "any bit of the index flipped"])(
    "are found again after a start: %s (S9, E14)",
    async (how) => {
      const { log, append, abort, disk } = await opened({ segmentBytes: 300 });
      append(1);
      for (let i = 0; i < 3; i += 1) append(2);
      abort(2);
      abort(1);
      for (let i = 0; i < 4; i += 1) append(3);
      abort(3);
      const end = log.logEndOffset;
      const expected = await log.abortedTransactions(0, end);
      expect(expected.map(({ producerId }) => producerId)).toEqual([2, 1, 3]);
      await (how === "killed" || how === "index lost" ? log.flush() : log.close());
      const names = disk.names(DIRECTORY).filter((name) => name.endsWith(".txnindex"));
      expect(names.length).toBeGreaterThan(1);
      const reopened = async (image: typeof disk): Promise<unknown> => {
        const isClean = how !== "killed" && how !== "index lost";
        const recoveryPoint = how === "index lost" ? 0 : end;
        const again = await logWorld(image).open({ segmentBytes: 300 }, { isClean, recoveryPoint });
        return await again.abortedTransactions(0, end);
      };
      if (how === "any bit of the index flipped") {
        for (const name of names) {
          const path = `${DIRECTORY}/${name}`;
          for (let bit = 0; bit < 34 * 8; bit += 1) {
            const image = disk.clone();
            const content = image.content(path);
            content[bit >> 3]! ^= 1 << (bit & 7);
            image.put(path, content);
            expect(await reopened(image), `${name} bit ${bit}`).toEqual(expected);
          }
        }
        return;
      }
      const image = disk.clone();
      if (how === "index lost") {
        for (const name of names) await image.remove(`${DIRECTORY}/${name}`);
      }
      expect(await reopened(image)).toEqual(expected);
    },
  );
});

describe("what may be appended", () => {
  test("nothing outside of a producer's open transaction", async () => {
    const { append, commit } = await opened();
    append(1);
    expect(() => append(1, false)).toThrow(
      expect.objectContaining({ errorName: "INVALID_TXN_STATE" }),
    );
    commit(1);
    const next = batchOf(1, 20, { producerId: 1, producerEpoch: 0, baseSequence: 1 });
    const { log, append: other } = await opened();
    other(1);
    writer(log).commit(1);
    expect(log.append(next, CLIENT).baseOffset).toBe(2);
  });

  test("no marker of an older producer or coordinator epoch", async () => {
    const { log, append } = await opened();
    append(1, true, 3);
    const marker = (producerEpoch: number, coordinatorEpoch: number) => () =>
      log.append(commitMarker({ producerId: 1, producerEpoch, coordinatorEpoch }), COORDINATOR);
    expect(marker(2, 0)).toThrow(expect.objectContaining({ errorName: "INVALID_PRODUCER_EPOCH" }));
    marker(3, 7)();
    expect(marker(3, 6)).toThrow(
      expect.objectContaining({ errorName: "TRANSACTION_COORDINATOR_FENCED" }),
    );
    marker(4, 7)();
    // The marker has raised the epoch: the producer of the old one is fenced (X3).
    expect(() => append(1, true, 3)).toThrow(
      expect.objectContaining({ errorName: "INVALID_PRODUCER_EPOCH" }),
    );
    expect(append(9, true)).toBe(3);
  });
});
