import { describe, expect, test } from "vitest";
import {
  type BrokerIncarnations,
  type CommittedReplicas,
  IsrState,
  type LeaderMarks,
} from "../../src/replica/isr-state.ts";

const COMMITTED: CommittedReplicas = {
  leaderEpoch: 4,
  partitionEpoch: 10,
  replicas: [1, 2, 3],
  isr: [1, 2],
};
const LAG_MAX_MS = 100;
const two = { brokerId: 2, brokerEpoch: 20 };
const three = { brokerId: 3, brokerEpoch: 30 };

const EVERYBODY: BrokerIncarnations = {
  brokerEpoch: (brokerId) => brokerId * 10,
  isActive: () => true,
};

function marks(fields: Partial<LeaderMarks> = {}): LeaderMarks {
  return { highWatermark: 50, logEndOffset: 100, leaderEpochStartOffset: 40, ...fields };
}

function at(offset: number, safeOffset = offset) {
  return { receivedOffset: offset, safeOffset };
}

/** Both follow, 2 has all, 3 is behind. */
function state(nowMs = 0): IsrState {
  const isr = new IsrState(1, COMMITTED, nowMs);
  isr.connect(two, marks(), nowMs);
  isr.progress(two, at(100), marks(), nowMs);
  isr.connect(three, marks(), nowMs);
  isr.progress(three, at(45), marks(), nowMs);
  return isr;
}

const propose = (isr: IsrState, nowMs: number, fields = {}, brokers = EVERYBODY) =>
  isr.propose(marks(fields), { nowMs, lagMaxMs: LAG_MAX_MS }, brokers);

const members = (proposal: ReturnType<typeof propose>) =>
  proposal?.members.map(({ brokerId }) => brokerId) ?? null;

describe("who counts for the high watermark (R-7)", () => {
  test("the safe positions of the ISR, not of others", () => {
    expect(state().safePositions()).toEqual([100]);
  });

  test("R4: what was received and is not safe does not count", () => {
    const isr = state();
    isr.connect(two, marks(), 0);
    isr.progress(two, at(100, 70), marks(), 0);
    expect(isr.safePositions()).toEqual([70]);
  });

  test("a member of which nothing was heard in this epoch holds it", () => {
    expect(new IsrState(1, COMMITTED, 0).safePositions()).toEqual([-1]);
  });

  test("who asks to enter counts from the question on, until it is refused", () => {
    const isr = state();
    isr.progress(three, at(60), marks(), 1);
    const proposal = propose(isr, 1)!;
    expect(members(proposal)).toEqual([1, 2, 3]);
    expect(isr.safePositions()).toEqual([100, 60]);
    isr.settle(proposal, "refused");
    expect(isr.safePositions()).toEqual([100]);
  });

  test.each(["unknown", "told"] as const)("while the outcome is %s it counts on", (outcome) => {
    const isr = state();
    isr.progress(three, at(60), marks(), 1);
    isr.settle(propose(isr, 1)!, outcome);
    expect(isr.safePositions()).toEqual([100, 60]);
    isr.update({ ...COMMITTED, partitionEpoch: 11 }, 2);
    expect(isr.safePositions()).toEqual([100]);
  });

  test("after an unknown outcome a refusal of a later question clears nothing", () => {
    const isr = state();
    isr.progress(three, at(60), marks(), 1);
    isr.settle(propose(isr, 1)!, "unknown");
    isr.settle(propose(isr, 2)!, "refused");
    expect(isr.safePositions()).toEqual([100, 60]);
  });

  test("who leaves counts until the controller has decided it", () => {
    const isr = state();
    const proposal = propose(isr, 1_000, { logEndOffset: 101 })!;
    expect(members(proposal)).toEqual([1]);
    expect(isr.safePositions()).toEqual([100]);
    isr.update({ ...COMMITTED, partitionEpoch: 11, isr: [1] }, 1_001);
    expect(isr.safePositions()).toEqual([]);
  });

  test("R-10: positions of an older leader epoch count for nothing", () => {
    const isr = state();
    isr.update({ ...COMMITTED, leaderEpoch: 5, partitionEpoch: 11 }, 1);
    expect(isr.safePositions()).toEqual([-1]);
    isr.progress(two, at(100), marks(), 2);
    expect(isr.safePositions()).toEqual([-1]);
  });

  test("a new incarnation voids what the old one had", () => {
    const isr = state();
    isr.connect({ ...two, brokerEpoch: 21 }, marks(), 1);
    expect(isr.safePositions()).toEqual([-1]);
    isr.progress(two, at(100), marks(), 2);
    expect(isr.safePositions()).toEqual([-1]);
  });
});

describe("who enters the ISR (R-12)", () => {
  test.each([
    ["with all that is committed", {}, 50, [1, 2, 3]],
    ["not below the high watermark", {}, 49, null],
    ["not before the start of the leader epoch", { leaderEpochStartOffset: 80 }, 79, null],
    ["at the start of the leader epoch", { leaderEpochStartOffset: 80 }, 80, [1, 2, 3]],
  ])("%s", (_name, fields, safeOffset, expected) => {
    const isr = state();
    isr.progress(three, at(safeOffset), marks(fields), 1);
    expect(members(propose(isr, 1, fields))).toEqual(expected);
  });

  test("not what is received only", () => {
    const isr = state();
    isr.progress(three, at(100, 49), marks(), 1);
    expect(propose(isr, 1)).toBeNull();
  });

  test.each([
    ["another incarnation than is registered", { ...EVERYBODY, brokerEpoch: () => 31 }],
    ["fenced", { ...EVERYBODY, isActive: () => false }],
  ])("nobody who is %s (KIP-903)", (_name, brokers) => {
    const isr = state();
    isr.progress(three, at(100), marks(), 1);
    expect(propose(isr, 1, {}, brokers)).toBeNull();
  });

  test("nobody whose session is over", () => {
    const isr = state();
    isr.progress(three, at(100), marks(), 1);
    isr.disconnect(three, marks(), 1);
    expect(propose(isr, 1)).toBeNull();
  });

  test("named with its incarnation, on the committed epochs (R-13)", () => {
    const isr = state();
    isr.progress(three, at(100), marks(), 1);
    expect(propose(isr, 1)).toEqual({
      ...{ leaderEpoch: 4, partitionEpoch: 10 },
      members: [
        { brokerId: 1, brokerEpoch: 10 },
        { brokerId: 2, brokerEpoch: 20 },
        { brokerId: 3, brokerEpoch: 30 },
      ],
    });
  });

  test("one question at a time", () => {
    const isr = state();
    isr.progress(three, at(100), marks(), 1);
    expect(propose(isr, 1)).not.toBeNull();
    expect(propose(isr, 2)).toBeNull();
  });
});

describe("who leaves the ISR", () => {
  test("nobody who has all, however long nothing was written", () => {
    expect(propose(state(), 10_000)).toBeNull();
  });

  test("who falls behind leaves after the lag, counted from the append that it lacks", () => {
    const isr = state();
    isr.willAppend(100, 5_000);
    const fields = { logEndOffset: 101 };
    expect(propose(isr, 5_000 + LAG_MAX_MS, fields)).toBeNull();
    expect(members(propose(isr, 5_001 + LAG_MAX_MS, fields))).toEqual([1]);
  });

  test("who keeps up with what was there a moment ago stays, though it never has all", () => {
    const isr = state();
    let logEndOffset = 100;
    for (let nowMs = 10; nowMs < 2_000; nowMs += 10) {
      isr.willAppend(logEndOffset, nowMs);
      logEndOffset += 5;
      isr.progress(two, at(logEndOffset - 5), marks({ logEndOffset }), nowMs + 5);
      expect(propose(isr, nowMs + 6, { logEndOffset })).toBeNull();
    }
  });

  test("who receives all and makes nothing safe leaves after the lag: it would hold the high watermark for ever", () => {
    const isr = state();
    isr.willAppend(100, 1_000);
    const fields = { logEndOffset: 101 };
    isr.progress(two, at(101, 100), marks(fields), 1_001);
    expect(propose(isr, 1_000 + LAG_MAX_MS, fields)).toBeNull();
    expect(members(propose(isr, 1_001 + LAG_MAX_MS, fields))).toEqual([1]);
  });

  test("whose stream is over leaves after the lag, though nothing is written", () => {
    const isr = state();
    isr.disconnect(two, marks(), 1_000);
    expect(propose(isr, 1_000 + LAG_MAX_MS)).toBeNull();
    expect(members(propose(isr, 1_001 + LAG_MAX_MS))).toEqual([1]);
  });

  test("who comes back in the same incarnation has not been away longer than it was", () => {
    const isr = state();
    isr.disconnect(two, marks(), 1_000);
    isr.connect(two, marks(), 1_050);
    expect(propose(isr, 1_060)).toBeNull();
    expect(members(propose(isr, 1_001 + LAG_MAX_MS))).toEqual([1]);
  });

  test("who was never heard of in this epoch leaves after the lag", () => {
    const isr = new IsrState(1, COMMITTED, 1_000);
    expect(propose(isr, 1_000 + LAG_MAX_MS)).toBeNull();
    expect(members(propose(isr, 1_001 + LAG_MAX_MS))).toEqual([1]);
  });
});
