import { beforeEach, describe, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../src/base/logger.ts";
import type { AskedLog, LogEnds } from "../../../src/replica/log-ends.ts";
import type { ActiveController } from "../../../src/server/metadata/active-controller.ts";
import {
  BestLogElections,
  type BestLogElectionsDependencies,
} from "../../../src/server/metadata/best-log-elections.ts";
import { type ControllerResult, metadataRecord } from "../../../src/server/metadata/controller.ts";
import type { MetadataImage } from "../../../src/server/metadata/image.ts";
import { PEER_ENDPOINT } from "../../../src/server/metadata/image-queries.ts";
import { ManualClock, settle } from "../../replica/support.ts";
import { apply, clusterOf, DEFAULTS, topic, withTopics } from "./cluster-image.ts";

const WAIT_MS = 1_000;

const PLACED = withTopics(
  clusterOf(1, 2, 3),
  topic("x", { assignments: [{ partitionIndex: 0, brokerIds: [1, 2, 3] }] }),
);
const { topicId } = PLACED.topicsByName.get("x")!;

/** All came back from a crash: nobody is known to have all that is committed. */
const STRANDED = reachable(
  apply(PLACED, [
    metadataRecord("partitionChange", {
      ...{ topicId, partitionId: 0, leader: -1, isr: [] },
      lastKnownElr: [2, 3],
    }),
  ]),
);

function reachable(image: MetadataImage): MetadataImage {
  const brokers = [...image.brokers].map(([brokerId, broker]) => {
    const peer = { name: PEER_ENDPOINT, host: `node-${brokerId}`, port: 1, securityProtocol: 0 };
    return [brokerId, { ...broker, endPoints: [...broker.endPoints, peer] }] as const;
  });
  return { ...image, brokers: new Map(brokers) };
}

describe("the looks for the best log (R11)", () => {
  let image: MetadataImage;
  let clock: ManualClock;
  let asked: (readonly [brokerId: number, logs: readonly AskedLog[]])[];
  /** Of each broker that answers. */
  let ends: Map<number, number>;

  beforeEach(() => {
    image = STRANDED;
    clock = new ManualClock();
    asked = [];
    ends = new Map();
  });

  function elections() {
    const controller: Pick<ActiveController, "image" | "run"> = {
      get image() {
        return image;
      },
      run: <A>(decide: (image: MetadataImage, nextOffset: number) => ControllerResult<A>) => {
        const { records, answer } = decide(image, 0);
        image = apply(image, records);
        return { answer, lastOffset: null, committed: Promise.resolve() };
      },
    };
    const askLogEnds: BestLogElectionsDependencies["askLogEnds"] = ({ brokerId }, logs) => {
      asked.push([brokerId, logs]);
      const endOffset = ends.get(brokerId);
      if (endOffset === undefined) return Promise.reject(new Error("nobody is there"));
      const { brokerEpoch } = image.brokers.get(brokerId)!;
      const end = { lastEpoch: 0, endOffset, isDamaged: false };
      const answer: LogEnds = { brokerEpoch, ends: logs.map((each) => ({ ...each, ...end })) };
      return Promise.resolve(answer);
    };
    return new BestLogElections({
      controller: controller as ActiveController,
      ...{ askLogEnds, clock, logger: SILENT_LOGGER },
      topicConfigs: DEFAULTS.topicConfigs,
      waitMs: () => WAIT_MS,
    });
  }

  const partition = () => image.topicsById.get(topicId)!.partitions[0]!;

  test("ask the last known members, and let the greatest lead when all have answered", async () => {
    ends = new Map([
      [2, 5],
      [3, 9],
    ]);
    elections().look();
    await settle();
    expect(asked.map(([brokerId]) => brokerId).sort()).toEqual([2, 3]);
    expect(partition()).toMatchObject({ leader: 3, isr: [3], leaderRecoveryState: 0 });
  });

  test("ask again who has not answered, and take whom there is when the wait is over", async () => {
    ends = new Map([[2, 5]]);
    const looks = elections();
    looks.look();
    await settle();
    expect(partition().leader).toBe(-1);
    looks.look();
    await settle();
    expect(asked.map(([brokerId]) => brokerId).sort()).toEqual([2, 3, 3]);
    clock.advance(WAIT_MS);
    looks.look();
    expect(partition()).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 1 });
  });

  test("ask nobody who is fenced, and wait for it", async () => {
    const { brokers } = image;
    const fenced = { ...brokers.get(3)!, isFenced: true };
    image = { ...image, brokers: new Map([...brokers, [3, fenced]]) };
    ends = new Map([
      [2, 5],
      [3, 9],
    ]);
    elections().look();
    await settle();
    expect(asked.map(([brokerId]) => brokerId)).toEqual([2]);
    expect(partition().leader).toBe(-1);
  });

  test("do nothing where somebody leads, or is waited for", async () => {
    image = reachable(PLACED);
    elections().look();
    await settle();
    expect(asked).toEqual([]);
  });
});
