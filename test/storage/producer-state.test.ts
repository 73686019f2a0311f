import { describe, expect, test } from "vitest";
import { KafkaError } from "../../src/protocol/errors.ts";
import {
  decodeProducerSnapshot,
  encodeProducerSnapshot,
} from "../../src/storage/producer-snapshot.ts";
import { ProducerState } from "../../src/storage/producer-state.ts";
import { batchOf } from "./support/log-world.ts";

const PRODUCER = 7;
const INT32_MAX = 2 ** 31 - 1;

interface Sent {
  readonly epoch?: number;
  readonly sequence: number;
  readonly count?: number;
}

function sent({ epoch = 0, sequence, count = 1 }: Sent, baseOffset = 0): Buffer {
  return batchOf(count, 5, {
    producerId: PRODUCER,
    producerEpoch: epoch,
    baseSequence: sequence,
    baseOffset,
  });
}

/** The state after these batches, from offset 0 on. */
function stateAfter(...batches: readonly Sent[]): ProducerState {
  const state = new ProducerState();
  let offset = 0;
  for (const batch of batches) {
    state.update(sent(batch, offset), 0, 0);
    offset += batch.count ?? 1;
  }
  return state;
}

function outcome(state: ProducerState, batch: Sent): string {
  try {
    const duplicate = state.check(sent(batch));
    return duplicate === null ? "new" : `${duplicate.baseOffset}..${duplicate.lastOffset}`;
  } catch (error) {
    if (error instanceof KafkaError) return error.errorName;
    throw error;
  }
}

describe("a batch of an idempotent producer (X1, X2)", () => {
  test.each<[string, readonly Sent[], Sent, string]>([
    ["an unknown producer may begin anywhere", [], { sequence: 17 }, "new"],
    ["the next sequence is new", [{ sequence: 0, count: 3 }], { sequence: 3 }, "new"],
    ["a gap is refused", [{ sequence: 0 }], { sequence: 2 }, "OUT_OF_ORDER_SEQUENCE_NUMBER"],
    [
      "an exact repeat gets the old offsets",
      [{ sequence: 0, count: 3 }],
      { sequence: 0, count: 3 },
      "0..2",
    ],
    [
      "the same first sequence with another count is no repeat",
      [{ sequence: 0, count: 3 }],
      { sequence: 0, count: 2 },
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
    ],
    [
      "the fifth last batch is still known",
      [0, 1, 2, 3, 4].map((sequence) => ({ sequence })),
      { sequence: 0 },
      "0..0",
    ],
    [
      "the sixth last is not",
      [0, 1, 2, 3, 4, 5].map((sequence) => ({ sequence })),
      { sequence: 0 },
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
    ],
    [
      "an older epoch is fenced",
      [{ epoch: 3, sequence: 0 }],
      { epoch: 2, sequence: 1 },
      "INVALID_PRODUCER_EPOCH",
    ],
    ["a new epoch begins at 0", [{ epoch: 3, sequence: 9 }], { epoch: 4, sequence: 0 }, "new"],
    [
      "a new epoch begins nowhere else",
      [{ epoch: 3, sequence: 9 }],
      { epoch: 4, sequence: 10 },
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
    ],
    ["sequences go on at 0 after 2^31 - 1", [{ sequence: INT32_MAX }], { sequence: 0 }, "new"],
    [
      "a batch may lie across the wrap",
      [{ sequence: INT32_MAX - 1, count: 4 }],
      { sequence: 2 },
      "new",
    ],
    [
      "and is known again",
      [{ sequence: INT32_MAX - 1, count: 4 }],
      { sequence: INT32_MAX - 1, count: 4 },
      "0..3",
    ],
    [
      "a new epoch makes the batches of the old one unknown",
      [{ sequence: 0 }, { epoch: 1, sequence: 0, count: 2 }],
      { epoch: 1, sequence: 0 },
      "OUT_OF_ORDER_SEQUENCE_NUMBER",
    ],
  ])("%s", (_name, before, batch, expected) => {
    expect(outcome(stateAfter(...before), batch)).toBe(expected);
  });

  test("without a producer id every batch is new", () => {
    const state = stateAfter({ sequence: 0 });
    expect(state.check(batchOf(1))).toBeNull();
    state.update(batchOf(1), 0, 0);
    expect(state.producerCount).toBe(1);
  });
});

describe("a snapshot", () => {
  test("brings back each producer's epoch and its last five batches (S11, X2)", () => {
    const before = stateAfter(
      { epoch: 1, sequence: 0 },
      ...[0, 3, 6, 9, 12, 15].map((sequence) => ({ epoch: 2, sequence, count: 3 })),
    );
    const bytes = encodeProducerSnapshot(before.snapshot());
    const state = ProducerState.restore(decodeProducerSnapshot(bytes), 0);
    for (const sequence of [0, 3, 6, 9, 12, 15, 18, 21]) {
      const batch = { epoch: 2, sequence, count: 3 };
      expect(outcome(state, batch)).toBe(outcome(before, batch));
    }
    expect(outcome(state, { epoch: 2, sequence: 3, count: 3 })).toBe("4..6");
    expect(outcome(state, { epoch: 1, sequence: 5 })).toBe("INVALID_PRODUCER_EPOCH");
    expect(state.snapshot()).toEqual(before.snapshot());
  });

  test("ends with the entry that Kafka, which keeps the last one, would have written", () => {
    const entries = stateAfter({ sequence: 0, count: 3 }, { sequence: 3, count: 2 }).snapshot();
    expect(entries.at(-1)).toMatchObject({ lastSequence: 4, lastOffset: 4, offsetDelta: 1 });
  });

  test("of a producer that is known by a control batch only brings back its epoch", () => {
    const entries = [
      {
        producerId: PRODUCER,
        epoch: 3,
        lastSequence: -1,
        lastOffset: -1,
        offsetDelta: 0,
        timestamp: 5n,
        coordinatorEpoch: 1,
        currentTxnFirstOffset: -1,
      },
    ];
    expect(ProducerState.restore(entries, 0).snapshot()).toEqual(entries);
  });

  test("is refused when any one of its bits is flipped", () => {
    const bytes = encodeProducerSnapshot(stateAfter({ sequence: 0 }).snapshot());
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeProducerSnapshot(damaged)).toThrow(/producer snapshot/);
    }
  });
});

test("producers are forgotten by our own clock, not by their timestamps", () => {
  const state = new ProducerState();
  state.update(
    batchOf(1, 5, { producerId: 1, producerEpoch: 0, baseSequence: 0, timestampMs: 0 }),
    0,
    500,
  );
  state.update(batchOf(1, 5, { producerId: 2, producerEpoch: 0, baseSequence: 0 }), 0, 400);
  state.removeSeenBefore(450);
  expect(state.snapshot().map(({ producerId }) => producerId)).toEqual([1]);
});
