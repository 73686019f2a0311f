import { describe, expect, test } from "vitest";
import { judgePosition, truncationOffset } from "../../src/replica/reconcile.ts";

/** Epochs and where each ends; the log begins at `start`. */
function logOf(start: number, ...epochs: readonly (readonly [epoch: number, end: number])[]) {
  const endOffsetForEpoch = (epoch: number) => {
    const found = epochs.filter(([each]) => each <= epoch).at(-1);
    return found === undefined
      ? { leaderEpoch: -1, endOffset: -1 }
      : { leaderEpoch: found[0], endOffset: found[1] };
  };
  const logEndOffset = epochs.at(-1)?.[1] ?? start;
  return { logStartOffset: start, logEndOffset, endOffsetForEpoch, endOfEpoch: endOffsetForEpoch };
}

const position = (fetchOffset: number, lastFetchedEpoch: number) => ({
  ...{ fetchOffset, lastFetchedEpoch },
  logStartOffset: 0,
});

describe("a follower's position, held against the leader's log", () => {
  const leader = logOf(10, [1, 30], [4, 50]);

  test.each([
    ["fits at the end", position(50, 4), null],
    ["fits in the middle of an epoch", position(40, 4), null],
    ["fits at the end of an epoch", position(30, 1), null],
    ["fits as an empty log at the leader's start", position(10, -1), null],
    ["has more of an epoch than the leader", position(35, 1), { epoch: 1, endOffset: 30 }],
    ["has an epoch that the leader has not", position(40, 3), { epoch: 1, endOffset: 30 }],
    ["is longer in the leader's last epoch", position(55, 4), { epoch: 4, endOffset: 50 }],
  ])("%s", (_name, at, diverging) => {
    const expected = diverging === null ? null : { kind: "diverging", ...diverging };
    expect(judgePosition(leader, at)).toEqual(expected);
  });

  test.each([
    ["an empty log before the leader's start", position(5, -1)],
    ["an empty log behind the leader's end", position(60, -1)],
    ["a log of nothing that is left here", position(20, 0)],
    ["a log that ends before the leader's start", position(9, 1)],
  ])("%s is out of range", (_name, at) => {
    const expected = { kind: "outOfRange", logStartOffset: 10, logEndOffset: 50 };
    expect(judgePosition(leader, at)).toEqual(expected);
  });
});

describe("where a follower cuts", () => {
  test.each([
    ["at the leader's end of the epoch", logOf(0, [1, 35]), { epoch: 1, endOffset: 30 }, 30],
    [
      "at its own end of an older epoch",
      logOf(0, [1, 20], [3, 40]),
      { epoch: 1, endOffset: 30 },
      20,
    ],
    ["at its start, when all is newer", logOf(15, [3, 40]), { epoch: 1, endOffset: 30 }, 15],
    ["at an offset before its start", logOf(15, [3, 40]), { epoch: 1, endOffset: 12 }, 12],
  ])("%s", (_name, log, answer, expected) => {
    expect(truncationOffset(log, { kind: "diverging", ...answer })).toBe(expected);
  });

  test("asking and cutting comes to an end with the logs' common part, for all small histories", () => {
    let pairCount = 0;
    // Every pair of logs of up to four epochs of up to two offsets each that can have come to be.
    for (const leaderEpochs of histories()) {
      for (const followerEpochs of histories()) {
        const [leader, follower] = [written(leaderEpochs), written(followerEpochs)];
        if (!canBothBe(leader, follower)) continue;
        pairCount += 1;
        const common = leader.findIndex((epoch, offset) => epoch !== follower[offset]);
        const commonEnd = common === -1 ? leader.length : common;
        let end = follower.length;
        for (let rounds = 0; ; rounds += 1) {
          expect(rounds).toBeLessThan(10);
          const own = follower.slice(0, end);
          const answer = judgePosition(view(leader), position(end, own.at(-1) ?? -1));
          if (answer === null) break;
          if (answer.kind !== "diverging") {
            // Out of range: it begins anew.
            end = 0;
            continue;
          }
          const cut = truncationOffset(view(own), answer);
          expect(cut).toBeLessThan(end);
          end = cut;
        }
        expect(end).toBe(Math.min(commonEnd, follower.length));
      }
    }
    expect(pairCount).toBeGreaterThan(500);
  });
});

/** Which epochs write how many offsets, 0 to 2 each. */
function* histories(): Generator<readonly number[]> {
  for (let code = 0; code < 81; code += 1) {
    yield [0, 1, 2, 3].map((epoch) => Math.floor(code / 3 ** epoch) % 3);
  }
}

/** An epoch has one leader: whoever has records of it has that leader's log before them. */
function canBothBe(one: readonly number[], other: readonly number[]): boolean {
  return one.every((epoch, offset) => {
    if (one.indexOf(epoch) !== offset || !other.includes(epoch)) return true;
    const isSamePrefix = one.slice(0, offset).every((each, at) => each === other[at]);
    return other.indexOf(epoch) === offset && isSamePrefix;
  });
}

function written(counts: readonly number[]): number[] {
  return counts.flatMap((count, epoch) => Array<number>(count).fill(epoch));
}

function view(epochs: readonly number[]) {
  const ends = new Map<number, number>();
  for (const [offset, epoch] of epochs.entries()) ends.set(epoch, offset + 1);
  return logOf(0, ...ends);
}
