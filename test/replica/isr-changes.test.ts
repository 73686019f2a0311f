import { beforeEach, describe, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { type ErrorName, KafkaError } from "../../src/protocol/errors.ts";
import { type AlterIsr, type IsrChange, IsrChanges } from "../../src/replica/isr-changes.ts";
import { Partition } from "../../src/replica/partition.ts";
import {
  assignmentOf,
  FakeLog,
  leaderContext,
  LOG_CONFIG,
  ManualClock,
  settle,
  TOPIC_ID,
} from "./support.ts";

const two = { brokerId: 2, brokerEpoch: 20 };

describe("ISR changes", () => {
  let clock: ManualClock;
  let asked: (readonly IsrChange[])[];
  let alterIsr: AlterIsr;
  let changes: IsrChanges;

  beforeEach(() => {
    clock = new ManualClock();
    asked = [];
    changes = new IsrChanges({
      alterIsr: (wanted) => {
        asked.push(wanted);
        return alterIsr(wanted);
      },
      brokers: { brokerEpoch: (brokerId) => brokerId * 10, isActive: () => true },
      lagMaxMs: () => 1_000,
      timers: new TimerQueue(clock),
      logger: SILENT_LOGGER,
    });
  });

  /** Led by 1; 2 has caught up, and is not in the ISR. */
  function partitionOf(partitionIndex = 0): Partition {
    const partition = new Partition(
      new FakeLog(),
      { topic: "t", partitionIndex, topicId: TOPIC_ID },
      assignmentOf({ replicas: [1, 2], isr: [1], partitionIndex }),
      { log: LOG_CONFIG, minInsyncReplicas: 1, highWatermark: 0 },
      leaderContext({ onIsrNews: (each) => changes.consider(each) }),
    );
    const statement = { fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0, leaderEpoch: 3 };
    const nothing = { onNews: () => undefined, onEnd: () => undefined };
    const session = partition.follow(two, statement, nothing);
    if (!("kind" in session)) session.noteProgress(0, 0);
    return partition;
  }

  test("go together, and once each", async () => {
    alterIsr = (wanted) => Promise.resolve(wanted.map(() => null));
    partitionOf(0);
    partitionOf(1);
    await settle();
    expect(asked).toHaveLength(1);
    expect(asked[0]!.map(({ partitionIndex }) => partitionIndex)).toEqual([0, 1]);
    expect(asked[0]![0]!.proposal.members.map(({ brokerId }) => brokerId)).toEqual([1, 2]);
    clock.advance(10_000);
    await settle();
    expect(asked).toHaveLength(1);
  });

  test.each<ErrorName>(["INVALID_UPDATE_VERSION", "FENCED_LEADER_EPOCH", "INELIGIBLE_REPLICA"])(
    "refused with %s are asked for again, as the controller that said so may be deposed",
    async (error) => {
      alterIsr = (wanted) => Promise.resolve(wanted.map(() => error));
      partitionOf();
      await settle();
      expect(asked).toHaveLength(1);
      clock.advance(100);
      await settle();
      expect(asked).toHaveLength(2);
    },
  );

  test("without an answer are asked for again", async () => {
    alterIsr = () => Promise.reject(new KafkaError("REQUEST_TIMED_OUT"));
    const partition = partitionOf();
    await settle();
    clock.advance(100);
    await settle();
    expect(asked).toHaveLength(2);
    // Until the metadata say what holds.
    partition.updateLeadership(assignmentOf({ replicas: [1, 2], isr: [1, 2], partitionEpoch: 1 }));
    clock.advance(1_000);
    await settle();
    expect(asked).toHaveLength(2);
  });

  test("end with their owner", async () => {
    changes.close();
    partitionOf();
    await settle();
    expect(asked).toEqual([]);
  });
});
