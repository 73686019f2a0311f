import { describe, expect, test } from "vitest";
import { type Uuid, ZERO_UUID } from "../../src/base/ids.ts";
import { errorName } from "../../src/protocol/errors.ts";
import type { FetchResponse } from "../../src/protocol/messages/01-fetch.ts";
import type { FetchSessions } from "../../src/server/fetch-sessions.ts";
import { fetchHandler } from "../../src/server/handlers/01-fetch.ts";
import { batch, Node, OTHER_TOPIC_ID, settle, TOPIC_ID } from "../replica/support.ts";
import { call, FakeContext } from "./handlers/support.ts";
import { newFetchSessions } from "./support/fetch-sessions.ts";

// KIP-227. What a real Kafka answers to the same requests is the same.

interface Wanted {
  readonly index: number;
  readonly offset?: number;
  readonly topic?: string;
}

interface Options {
  readonly version?: number;
  readonly id?: number;
  readonly epoch?: number;
  readonly wanted?: readonly Wanted[];
  readonly forgotten?: readonly number[];
  readonly topicId?: Uuid;
  readonly maxWaitMs?: number;
  readonly maxBytes?: number;
}

interface Limits {
  readonly maxSessions?: number;
  readonly maxPartitions?: number;
}

/** A node that leads some partitions of topic `t`, and a client of it. */
class World {
  readonly node = new Node();
  readonly sessions: FetchSessions;

  constructor(options: Limits = {}) {
    this.sessions = newFetchSessions({ clock: this.node.clock, ...options });
  }

  static async leading(partitionCount: number, options: Limits = {}): Promise<World> {
    const world = new World(options);
    for (let index = 0; index < partitionCount; index += 1) {
      await world.node.lead({ partitionIndex: index });
    }
    return world;
  }

  write(index: number): void {
    const partition = this.node.replicas.partition("t", index)!;
    partition.append(batch(), { requiredAcks: 1, origin: "client" });
    this.node.log("t", index).makeSafe();
  }

  async fetch(options: Options, context?: FakeContext): Promise<FetchResponse> {
    const { version = 12 } = options;
    const isById = version >= 13;
    const response = await call(
      fetchHandler(
        { replicas: this.node.replicas, sessions: this.sessions, leaderOf: () => null },
        { fetchMaxBytes: 57_671_680 },
      ),
      context ?? new FakeContext(version),
      {
        maxWaitMs: options.maxWaitMs ?? 0,
        minBytes: 1,
        maxBytes: options.maxBytes ?? 1_000_000,
        sessionId: options.id ?? 0,
        sessionEpoch: options.epoch ?? 0,
        topics: (options.wanted ?? []).map(({ index, offset, topic }) => ({
          topic: isById ? "" : (topic ?? "t"),
          topicId: isById ? (options.topicId ?? TOPIC_ID) : ZERO_UUID,
          partitions: [{ partition: index, fetchOffset: offset ?? 0, partitionMaxBytes: 1000 }],
        })),
        forgottenTopicsData:
          options.forgotten === undefined
            ? []
            : [
                {
                  topic: isById ? "" : "t",
                  topicId: isById ? TOPIC_ID : ZERO_UUID,
                  partitions: [...options.forgotten],
                },
              ],
      },
    );
    if (typeof response === "symbol") throw new Error("there is no response");
    return response;
  }

  /** A session over partitions 0 to `count` − 1, from offset 0. */
  async open(count: number, version = 12): Promise<number> {
    const wanted = Array.from({ length: count }, (_, index) => ({ index }));
    return (await this.fetch({ wanted, version })).sessionId;
  }
}

function indexesOf({ responses }: FetchResponse): number[] {
  return responses.flatMap(({ partitions }) =>
    partitions.map(({ partitionIndex }) => partitionIndex),
  );
}

function errorOf({ errorCode }: FetchResponse): string {
  return errorName(errorCode);
}

describe("a session", () => {
  test.each([7, 12, 13, 18])(
    "version %i: only what has changed is asked and told",
    async (version) => {
      const world = await World.leading(3);
      world.write(0);
      const opened = await world.fetch({
        version,
        wanted: [{ index: 0 }, { index: 1 }, { index: 2 }],
      });
      expect(opened.sessionId).toBeGreaterThan(0);
      expect(indexesOf(opened)).toEqual([0, 1, 2]);
      const { sessionId: id } = opened;
      const moved = [{ index: 0, offset: 1 }];
      const quiet = await world.fetch({ version, id, epoch: 1, wanted: moved });
      expect(quiet).toMatchObject({ errorCode: 0, sessionId: id, responses: [] });
      world.write(2);
      const news = await world.fetch({ version, id, epoch: 2 });
      expect(indexesOf(news)).toEqual([2]);
      expect(news.responses[0]!.partitions[0]!.records!.length).toBe(batch().length);
    },
  );

  test("is opened by epoch 0 alone; epoch -1 and versions below 7 get none", async () => {
    const world = await World.leading(1);
    const wanted = [{ index: 0 }];
    expect((await world.fetch({ wanted, epoch: -1 })).sessionId).toBe(0);
    expect((await world.fetch({ wanted, version: 6, epoch: -1 })).sessionId).toBe(0);
    expect(world.sessions.sessionCount).toBe(0);
    expect((await world.fetch({ wanted })).sessionId).toBeGreaterThan(0);
    expect(world.sessions).toMatchObject({ sessionCount: 1, partitionCount: 1 });
  });

  test("has a next epoch: another one is refused, and the session goes on", async () => {
    const world = await World.leading(1);
    const id = await world.open(1);
    for (const epoch of [2, 5, 2 ** 31 - 1]) {
      const refused = await world.fetch({ id, epoch });
      expect(errorOf(refused)).toBe("INVALID_FETCH_SESSION_EPOCH");
      expect(refused).toMatchObject({ sessionId: 0, responses: [] });
    }
    expect(errorOf(await world.fetch({ id, epoch: 1 }))).toBe("NONE");
    expect(errorOf(await world.fetch({ id, epoch: 1 }))).toBe("INVALID_FETCH_SESSION_EPOCH");
  });

  test.each([
    [77, 1],
    [0, 1],
    [77, -2],
  ])("%i with epoch %i is not there", async (id, epoch) => {
    const world = await World.leading(1);
    const refused = await world.fetch({ id, epoch, wanted: [{ index: 0 }] });
    expect(errorOf(refused)).toBe("FETCH_SESSION_ID_NOT_FOUND");
    expect(refused).toMatchObject({ sessionId: 0, responses: [] });
  });

  test("ends when a request names it that lists everything", async () => {
    const world = await World.leading(1);
    const id = await world.open(1);
    expect((await world.fetch({ id, epoch: -1, wanted: [{ index: 0 }] })).sessionId).toBe(0);
    expect(errorOf(await world.fetch({ id, epoch: 1 }))).toBe("FETCH_SESSION_ID_NOT_FOUND");
    const other = await world.open(1);
    const next = (await world.fetch({ id: other, epoch: 0, wanted: [{ index: 0 }] })).sessionId;
    expect(next).not.toBe(other);
    expect(world.sessions.sessionCount).toBe(1);
  });

  test("takes partitions in and lets them go; without any it ends", async () => {
    const world = await World.leading(3);
    const id = await world.open(1);
    const more = await world.fetch({ id, epoch: 1, wanted: [{ index: 1 }, { index: 2 }] });
    expect(indexesOf(more)).toEqual([1, 2]);
    for (const index of [0, 1, 2]) world.write(index);
    expect(indexesOf(await world.fetch({ id, epoch: 2, forgotten: [0, 2] }))).toEqual([1]);
    expect(world.sessions.partitionCount).toBe(1);
    const last = await world.fetch({ id, epoch: 3, forgotten: [1] });
    expect(last).toMatchObject({ errorCode: 0, sessionId: 0, responses: [] });
    expect(world.sessions).toMatchObject({ sessionCount: 0, partitionCount: 0 });
  });

  test("keeps to ids or to names", async () => {
    const world = await World.leading(1);
    const byName = await world.open(1, 12);
    const byId = await world.open(1, 13);
    const refused = await world.fetch({ id: byName, epoch: 1, version: 13 });
    expect(errorOf(refused)).toBe("FETCH_SESSION_TOPIC_ID_ERROR");
    expect(errorOf(await world.fetch({ id: byId, epoch: 1, version: 12 }))).toBe(
      "FETCH_SESSION_TOPIC_ID_ERROR",
    );
    expect(errorOf(await world.fetch({ id: byName, epoch: 1, version: 12 }))).toBe("NONE");
  });

  test("tells of an error each time, and of the partition once more when it is over", async () => {
    const world = await World.leading(1);
    const { sessionId: id } = await world.fetch({
      version: 13,
      wanted: [{ index: 0 }, { index: 5 }],
    });
    for (const epoch of [1, 2]) {
      const told = await world.fetch({ version: 13, id, epoch });
      expect(indexesOf(told)).toEqual([5]);
      expect(errorName(told.responses[0]!.partitions[0]!.errorCode)).toBe(
        "UNKNOWN_TOPIC_OR_PARTITION",
      );
    }
    await world.node.lead({ partitionIndex: 5 });
    const healed = await world.fetch({ version: 13, id, epoch: 3 });
    expect(healed.responses[0]!.partitions).toMatchObject([{ partitionIndex: 5, errorCode: 0 }]);
    expect(indexesOf(await world.fetch({ version: 13, id, epoch: 4 }))).toEqual([]);
  });

  test("tells of a topic that it does not know, by id", async () => {
    const world = await World.leading(1);
    const opened = await world.fetch({
      version: 13,
      topicId: OTHER_TOPIC_ID,
      wanted: [{ index: 0 }],
    });
    const { sessionId: id } = opened;
    expect(id).toBeGreaterThan(0);
    const told = await world.fetch({ version: 13, id, epoch: 1 });
    expect(errorName(told.responses[0]!.partitions[0]!.errorCode)).toBe("UNKNOWN_TOPIC_ID");
  });

  test("tells of a new log start", async () => {
    const world = await World.leading(1);
    world.write(0);
    world.write(0);
    const { sessionId: id } = await world.fetch({ wanted: [{ index: 0, offset: 2 }] });
    expect(indexesOf(await world.fetch({ id, epoch: 1 }))).toEqual([]);
    await world.node.log("t", 0).advanceLogStartOffset(1);
    expect(indexesOf(await world.fetch({ id, epoch: 2 }))).toEqual([0]);
  });

  test("gives every partition its turn when answers are small", async () => {
    const world = await World.leading(3);
    for (const index of [0, 1, 2]) world.write(index);
    const first = await world.fetch({ wanted: [{ index: 0 }, { index: 1 }, { index: 2 }] });
    const { sessionId: id } = first;
    const served: number[] = [];
    for (let epoch = 1; epoch <= 4; epoch += 1) {
      const { responses } = await world.fetch({ id, epoch, maxBytes: 1 });
      const withRecords = responses
        .flatMap(({ partitions }) => partitions)
        .filter(({ records }) => records!.length > 0);
      served.push(...withRecords.map(({ partitionIndex }) => partitionIndex));
    }
    expect(served).toEqual([0, 1, 2, 0]);
  });

  test("whose next request has come meanwhile answers the first with the epoch's error", async () => {
    const world = await World.leading(1);
    const id = await world.open(1);
    const parked = world.fetch({ id, epoch: 1, maxWaitMs: 500 });
    await settle();
    expect(errorOf(await world.fetch({ id, epoch: 2 }))).toBe("NONE");
    world.node.clock.advance(1_000);
    const late = await parked;
    expect(errorOf(late)).toBe("INVALID_FETCH_SESSION_EPOCH");
    expect(late).toMatchObject({ sessionId: id, responses: [] });
  });

  test("is not left behind by a client that has gone", async () => {
    const world = await World.leading(1);
    const context = new FakeContext(12);
    const parked = world.fetch({ wanted: [{ index: 0 }], maxWaitMs: 500 }, context);
    await settle();
    context.close();
    await expect(parked).rejects.toThrow("there is no response");
    expect(world.sessions.sessionCount).toBe(0);
  });

  test("a partition that is listed twice counts once, as last said", async () => {
    const world = await World.leading(1);
    world.write(0);
    const opened = await world.fetch({ wanted: [{ index: 0 }, { index: 0, offset: 1 }] });
    expect(indexesOf(opened)).toEqual([0]);
    expect(opened.responses[0]!.partitions[0]!.records!.length).toBe(0);
  });
});

describe("a full cache", () => {
  const EVICTION_MS = 120_000;

  test("of no slots gives no sessions", async () => {
    const world = await World.leading(1, { maxSessions: 0 });
    expect(await world.open(1)).toBe(0);
  });

  test("gives a newcomer none while all are young, whatever its size", async () => {
    const world = await World.leading(3, { maxSessions: 2 });
    await world.open(1);
    await world.open(1);
    world.node.clock.advance(EVICTION_MS);
    expect(await world.open(3)).toBe(0);
    expect(world.sessions).toMatchObject({ sessionCount: 2, evictionCount: 0 });
  });

  test("evicts the one that was unused for longest, if it was for two minutes", async () => {
    const world = await World.leading(2, { maxSessions: 2 });
    const first = await world.open(2);
    const second = await world.open(2);
    world.node.clock.advance(1_000);
    await world.fetch({ id: first, epoch: 1 });
    world.node.clock.advance(EVICTION_MS - 500);
    expect(await world.open(1)).toBeGreaterThan(0);
    expect(errorOf(await world.fetch({ id: second, epoch: 1 }))).toBe("FETCH_SESSION_ID_NOT_FOUND");
    expect(errorOf(await world.fetch({ id: first, epoch: 2 }))).toBe("NONE");
    expect(world.sessions).toMatchObject({ sessionCount: 2, evictionCount: 1, partitionCount: 3 });
  });

  test("evicts the smallest of those in use for two minutes, for a greater one only", async () => {
    const world = await World.leading(3, { maxSessions: 2 });
    const small = await world.open(1);
    const great = await world.open(2);
    for (let epoch = 1; epoch <= 3; epoch += 1) {
      world.node.clock.advance(EVICTION_MS / 2);
      await world.fetch({ id: small, epoch });
      await world.fetch({ id: great, epoch });
    }
    expect(await world.open(1)).toBe(0);
    expect(await world.open(2)).toBeGreaterThan(0);
    expect(errorOf(await world.fetch({ id: small, epoch: 4 }))).toBe("FETCH_SESSION_ID_NOT_FOUND");
    expect(errorOf(await world.fetch({ id: great, epoch: 4 }))).toBe("NONE");
  });

  test("more partitions than there is memory for are served without a session", async () => {
    const world = await World.leading(1, { maxPartitions: 200 });
    const many = (count: number, from = 0) =>
      Array.from({ length: count }, (_, at) => ({ index: from + at }));
    const { sessionId: id } = await world.fetch({ wanted: many(150) });
    expect(id).toBeGreaterThan(0);
    expect((await world.fetch({ wanted: many(60) })).sessionId).toBe(0);
    const grown = await world.fetch({ id, epoch: 1, wanted: many(60, 150) });
    expect(errorOf(grown)).toBe("FETCH_SESSION_ID_NOT_FOUND");
    expect(world.sessions).toMatchObject({ sessionCount: 0, partitionCount: 0 });
  });
});
