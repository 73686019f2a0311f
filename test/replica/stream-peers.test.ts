import { beforeEach, describe, expect, test } from "vitest";
import type { RpcStream } from "../../src/base/rpc.ts";
import { encodeHello, type Hello } from "../../src/protocol/peers/hello.ts";
import {
  decodeFollowerMessage,
  decodeLeaderMessage,
  encodeFollowerMessage,
  encodeLeaderMessage,
  REPLICATION_SERVICE,
} from "../../src/replica/replication-codec.ts";
import {
  CREDIT_BYTES,
  type FollowerMessage,
  type Frame,
  type LeaderMessage,
  type Progress,
  type Statement,
} from "../../src/replica/replication-messages.ts";
import { testBatch, TestFollowed, TestLed, topicOf } from "./stream-support.ts";
import { helloOf, PORT, StreamWorld, type TestFollower, type TestLeader } from "./stream-world.ts";

const NOTHING: FollowerMessage = {
  droppedSlots: [],
  statements: [],
  progress: [],
  consumedBytes: 0,
};

function statement(slot: number, session: number, special: Partial<Statement> = {}): Statement {
  return {
    ...{ slot, session, topicId: topicOf(slot), partitionIndex: 0, leaderEpoch: 0 },
    ...{ fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0, ...special },
  };
}

function progress(
  slot: number,
  session: number,
  receivedOffset: number,
  safeOffset = receivedOffset,
): Progress {
  return { slot, session, receivedOffset, safeOffset };
}

/** A follower that says what the test wants. */
interface RawFollower {
  readonly stream: RpcStream;
  readonly got: LeaderMessage[];
  readonly ends: string[];
  say(message: Partial<FollowerMessage>): void;
}

describe("a leader, whatever its follower says", () => {
  let world: StreamWorld;
  let leader: TestLeader;
  let led: TestLed;

  beforeEach(async () => {
    world = new StreamWorld();
    leader = await world.leader(1);
    led = new TestLed();
    for (let index = 0; index < 10; index += 1) led.append();
    leader.leds.byTopic.set(topicOf(0), led);
    leader.leds.byTopic.set(topicOf(1), new TestLed());
  });

  function connect(hello: Partial<Hello> = {}): RawFollower {
    const { rpc } = world.nodes.process("node-2");
    const got: LeaderMessage[] = [];
    const ends: string[] = [];
    const stream = rpc.open(
      { host: "node-1", port: PORT },
      REPLICATION_SERVICE,
      encodeHello({ ...helloOf(2, 7), ...hello }),
      {
        onMessage: (bytes) => void got.push(decodeLeaderMessage(bytes)),
        onEnd: ({ kind, message }) => void ends.push(`${kind}: ${message}`),
      },
    );
    const say = (message: Partial<FollowerMessage>): void =>
      stream.send(encodeFollowerMessage({ ...NOTHING, ...message }));
    return { stream, got, ends, say };
  }

  const VIOLATIONS: readonly [string, ...Partial<FollowerMessage>[]][] = [
    ["tells of slot 5, which it has not stated", { progress: [progress(5, 1, 0)] }],
    ["has dropped slot 5, which it had not stated", { droppedSlots: [5] }],
    [
      "has dropped slot 0, which it had not stated",
      { statements: [statement(0, 1)] },
      { droppedSlots: [0, 0] },
    ],
    [
      "has received what was not sent to it",
      { statements: [statement(0, 1)] },
      { progress: [progress(0, 1, 11)] },
    ],
    [
      "has made safe what it has not received",
      { statements: [statement(0, 1)] },
      { progress: [progress(0, 1, 4, 5)] },
    ],
    [
      "has gone back within a session",
      { statements: [statement(0, 1)] },
      { progress: [progress(0, 1, 5)] },
      { progress: [progress(0, 1, 4)] },
    ],
    [
      "has stated session 1 after session 1",
      { statements: [statement(0, 1)] },
      { statements: [statement(1, 1)] },
    ],
    [
      "tells of session 1 of slot 0 after session 2",
      { statements: [statement(0, 1)] },
      { statements: [statement(0, 2)] },
      { progress: [progress(0, 1, 0)] },
    ],
    ["has consumed what was not sent to it", { consumedBytes: 1 }],
    [
      "has consumed less than before",
      { statements: [statement(0, 1)] },
      { consumedBytes: 500 },
      { consumedBytes: 499 },
    ],
  ];

  test.each(VIOLATIONS)("%s: its stream ends, by name, and its sessions", async (what, ...said) => {
    const follower = connect();
    for (const message of said) {
      follower.say(message);
      await world.nodes.runFor(20);
    }
    expect(leader.warnings).toEqual([`a replication stream is ended: broker 2 ${what}`]);
    expect(follower.ends).toHaveLength(1);
    expect(led.sessions.size).toBe(0);
    const again = connect();
    again.say({ statements: [statement(0, 1)] });
    await world.nodes.runFor(20);
    expect(again.got.flatMap(({ frames }) => frames)).toHaveLength(1);
  });

  test("bytes that are no message end the stream", async () => {
    const follower = connect();
    follower.say({ statements: [statement(0, 1)] });
    follower.stream.send(Buffer.from("ffffffff", "hex"));
    await world.nodes.runFor(20);
    expect(leader.warnings.join()).toContain("broker 2 has sent a damaged message");
    expect([follower.ends.length, led.sessions.size]).toEqual([1, 0]);
  });

  test.each([
    ["node 2 has not registered as a broker", { brokerEpoch: null }],
    ["another-cluster", { clusterId: "another-cluster" }],
    ["two nodes have node.id=1", { nodeId: 1 }],
  ] as const)("it is turned away: %s", async (what, special) => {
    const follower = connect(special);
    follower.say({ statements: [statement(0, 1)] });
    await world.nodes.runFor(20);
    expect(follower.ends.join()).toContain("rejected");
    expect(follower.ends.join()).toContain(what);
    expect(leader.warnings.join()).toContain(what);
    expect(led.statements).toEqual([]);
  });

  test("progress of a session that has ended here meanwhile is no offence", async () => {
    const follower = connect();
    follower.say({ statements: [statement(0, 1)] });
    await world.nodes.runFor(20);
    led.endSessions("NOT_LEADER_OR_FOLLOWER");
    follower.say({ progress: [progress(0, 1, 10)] });
    await world.nodes.runFor(20);
    expect(leader.warnings).toEqual([]);
    expect(follower.got.flatMap(({ answers }) => answers)).toEqual([
      { slot: 0, session: 1, kind: "refused", error: "NOT_LEADER_OR_FOLLOWER" },
    ]);
    follower.say({ droppedSlots: [0] });
    await world.nodes.runFor(20);
    expect(leader.warnings).toEqual([]);
  });

  test("positions count from a session that fits, told with its statement or later", async () => {
    const follower = connect();
    const past = { fetchOffset: 20, lastFetchedEpoch: 0 };
    follower.say({ statements: [statement(0, 1, past)], progress: [progress(0, 1, 20)] });
    await world.nodes.runFor(20);
    expect(led.progress.size).toBe(0);
    const fitting = { fetchOffset: 10, lastFetchedEpoch: 0 };
    follower.say({ statements: [statement(0, 2, fitting)], progress: [progress(0, 2, 9, 8)] });
    await world.nodes.runFor(20);
    expect(led.progress.get(2)).toEqual({ received: 9, safe: 8 });
  });

  test("who never gives anything back gets no more than the credit, of all together", async () => {
    const leds = [led, leader.leds.byTopic.get(topicOf(1)) as TestLed];
    for (const each of leds) for (let i = 0; i < 100; i += 1) each.append({ sizeBytes: 200_000 });
    const follower = connect();
    follower.say({ statements: [statement(0, 1), statement(1, 2)] });
    await world.nodes.runFor(5_000);
    const bytes = leader.wire.recordBytes;
    expect(bytes).toBeLessThanOrEqual(CREDIT_BYTES);
    // Stated anew, it is no other follower.
    follower.say({ statements: [statement(0, 3), statement(1, 4)] });
    await world.nodes.runFor(5_000);
    expect(leader.wire.recordBytes).toBeLessThanOrEqual(CREDIT_BYTES);
    follower.say({ droppedSlots: [0, 1], consumedBytes: bytes });
    await world.nodes.runFor(5_000);
    for (const each of leds) expect([each.sessions.size, each.unreleasedCount]).toEqual([0, 0]);
  });

  test("what is read for a follower counts against its credit, also before it can be sent", async () => {
    const all = Array.from({ length: 100 }, (_, topic) => {
      const each = new TestLed();
      for (let index = 0; index < 4; index += 1) each.append({ sizeBytes: 100_000 });
      leader.leds.byTopic.set(topicOf(topic), each);
      return each;
    });
    const follower = connect();
    follower.say({ statements: all.map((_, topic) => statement(topic, topic + 1)) });
    await world.nodes.runFor(5_000);
    expect(leader.wire.recordBytes).toBeGreaterThan(0.9 * CREDIT_BYTES);
    // Each had at most 256 KiB to ask for.
    const readBytes = all.reduce((sum, { readCount }) => sum + 200_000 * readCount, 0);
    expect(readBytes).toBeLessThanOrEqual(CREDIT_BYTES);
  });

  test("two streams of one broker: the older one is over, with what it has told", async () => {
    const older = connect();
    older.say({ statements: [statement(0, 1)] });
    await world.nodes.runFor(20);
    expect(led.sessions.size).toBe(1);
    const newer = connect();
    await world.nodes.runFor(20);
    expect([led.sessions.size, led.progress.size]).toEqual([0, 0]);
    newer.say({ statements: [statement(0, 1)] });
    await world.nodes.runFor(20);
    expect(older.ends).toHaveLength(1);
    expect(newer.ends).toEqual([]);
    expect(led.sessions.size).toBe(1);
    expect(newer.got.flatMap(({ frames }) => frames)).toHaveLength(1);
  });
});

/** A leader that says what the test wants. */
interface RawLeader {
  streams: RpcStream[];
  readonly got: FollowerMessage[];
  say(message: Partial<LeaderMessage>): void;
}

describe("a follower, whatever its leader says", () => {
  let world: StreamWorld;
  let follower: TestFollower;
  let leader: RawLeader;

  beforeEach(async () => {
    world = new StreamWorld();
    world.addresses.set(1, { host: "node-1", port: PORT });
    const { rpc } = world.nodes.process("node-1");
    const got: FollowerMessage[] = [];
    leader = {
      ...{ streams: [], got },
      say: (message) =>
        leader.streams.at(-1)!.send(encodeLeaderMessage({ frames: [], answers: [], ...message })),
    };
    const services = new Map([
      [
        REPLICATION_SERVICE,
        () => ({
          kind: "admitted" as const,
          answer: encodeHello(helloOf(1, 1)),
          onStream: (stream: RpcStream) => {
            leader.streams.push(stream);
            return {
              onMessage: (bytes: Buffer) => void got.push(decodeFollowerMessage(bytes)),
              onEnd: () => undefined,
            };
          },
        }),
      ],
    ]);
    await rpc.listen({ host: "node-1", port: PORT }, services);
    follower = world.follower(2);
  });

  function frame(session: number, offset: number, special: Partial<Frame> = {}): Frame {
    return {
      ...{ slot: 0, session, leaderEpoch: 0, highWatermark: 0, logStartOffset: 0 },
      records: testBatch(offset, 0).bytes,
      ...special,
    };
  }

  async function followed(): Promise<TestFollowed> {
    const log = new TestFollowed(follower.clock, topicOf(0));
    follower.streams.follow(1, log);
    await world.nodes.runFor(20);
    return log;
  }

  function lastStatement(): Statement {
    return leader.got.flatMap(({ statements }) => statements).at(-1)!;
  }

  test("its position and its progress come together, first of all", async () => {
    const log = await followed();
    const statements = [statement(0, 1)];
    const told = [progress(0, 1, 0)];
    expect(leader.got).toEqual([{ ...NOTHING, statements, progress: told }]);
    expect(log.problems).toEqual([]);
  });

  test("what was written, and what was made safe of it, is told when it moves, and given back", async () => {
    const log = await followed();
    leader.got.length = 0;
    leader.say({ frames: [frame(1, 0), frame(1, 1)] });
    await world.nodes.runFor(20);
    expect(leader.got).toEqual([{ ...NOTHING, progress: [progress(0, 1, 2)], consumedBytes: 200 }]);
    expect(log.log.logEndOffset).toBe(2);
    // A safe offset may step back in the log (R4): that is not told.
    log.options.writeMs = Infinity;
    leader.say({ frames: [frame(1, 2)] });
    await world.nodes.runFor(20);
    Object.assign(log, { receivedOffset: 3, safeOffset: 1 });
    log.tell();
    await world.nodes.runFor(20);
    expect(leader.got.at(-1)).toEqual({
      ...NOTHING,
      progress: [progress(0, 1, 3, 2)],
      consumedBytes: 300,
    });
  });

  test("a frame of an older session is dropped after a statement, and its bytes are given back", async () => {
    const log = await followed();
    leader.say({ frames: [frame(1, 0)] });
    await world.nodes.runFor(20);
    follower.streams.follow(1, log);
    // On their way while the log was stated anew: one that would fit, and one that would not.
    leader.say({ frames: [frame(1, 1), frame(1, 0)] });
    await world.nodes.runFor(20);
    expect(lastStatement()).toMatchObject({ slot: 0, session: 2, fetchOffset: 1 });
    expect([log.log.logEndOffset, log.misfitCount]).toEqual([1, 0]);
    leader.say({ frames: [frame(1, 1)] });
    await world.nodes.runFor(20);
    expect(log.log.logEndOffset).toBe(1);
    leader.say({ frames: [frame(2, 1)] });
    await world.nodes.runFor(20);
    expect(log.log.logEndOffset).toBe(2);
    expect(leader.got.at(-1)!.consumedBytes).toBe(500);
  });

  test("an answer of an older session is not heeded, nor one of a slot that is not there", async () => {
    const log = await followed();
    follower.streams.follow(1, log);
    await world.nodes.runFor(20);
    const refused = { kind: "refused", error: "UNKNOWN_TOPIC_ID" } as const;
    leader.say({
      answers: [
        { slot: 0, session: 1, ...refused },
        { slot: 9, session: 2, ...refused },
      ],
      frames: [frame(2, 0, { slot: 9 })],
    });
    await world.nodes.runFor(20);
    expect(log.answers).toEqual([]);
    expect(leader.got.at(-1)!.consumedBytes).toBe(100);
    leader.say({ answers: [{ slot: 0, session: 2, ...refused }] });
    await world.nodes.runFor(20);
    expect(log.answers).toHaveLength(1);
  });

  test("while a log settles, nothing that comes is taken in, and it is stated when it has", async () => {
    const log = await followed();
    log.options.settleMs = 500;
    leader.say({ frames: [frame(1, 0)] });
    leader.say({ answers: [{ slot: 0, session: 1, kind: "diverging", epoch: -1, endOffset: -1 }] });
    leader.say({ frames: [frame(1, 1)] });
    await world.nodes.runFor(100);
    // Neither by a new stream, nor by its owner.
    leader.streams[0]!.destroy();
    follower.streams.follow(1, log);
    await world.nodes.runFor(300);
    expect(leader.got.flatMap(({ statements }) => statements)).toHaveLength(1);
    await world.nodes.runFor(300);
    expect(lastStatement()).toMatchObject({ session: 2, fetchOffset: 0 });
    expect([leader.streams.length, log.problems]).toEqual([2, []]);
  });

  test("a partition that is followed no more is dropped, and whatever comes for it", async () => {
    const log = await followed();
    follower.streams.unfollow(log);
    follower.streams.unfollow(log);
    leader.say({ frames: [frame(1, 0)] });
    await world.nodes.runFor(20);
    expect(leader.got.slice(1)).toEqual([
      { ...NOTHING, droppedSlots: [0] },
      { ...NOTHING, consumedBytes: 100 },
    ]);
    const again = await followed();
    const { slot, session } = lastStatement();
    expect(session).toBe(2);
    leader.say({ frames: [frame(session, 0, { slot })] });
    await world.nodes.runFor(20);
    expect([log.log.logEndOffset, again.log.logEndOffset]).toEqual([0, 1]);
  });

  test("what was taken in, and not written before the session was over, is given back", async () => {
    const log = await followed();
    log.options.writeMs = Infinity;
    leader.say({ frames: [frame(1, 0), frame(1, 1)] });
    await world.nodes.runFor(20);
    expect(leader.got.at(-1)!.consumedBytes).toBe(0);
    follower.streams.unfollow(log);
    await world.nodes.runFor(20);
    expect(leader.got.at(-1)).toEqual({ ...NOTHING, droppedSlots: [0], consumedBytes: 200 });
  });

  test("on a new stream credit begins anew, and nothing of the older one is told", async () => {
    const log = await followed();
    log.options.writeMs = 50;
    leader.say({ frames: [frame(1, 0)] });
    await world.nodes.runFor(20);
    leader.streams[0]!.destroy();
    leader.got.length = 0;
    await world.nodes.runFor(500);
    expect(leader.got.map(({ consumedBytes }) => consumedBytes).every((bytes) => bytes === 0)).toBe(
      true,
    );
    expect(lastStatement()).toMatchObject({ session: 2, fetchOffset: 1 });
    leader.say({ frames: [frame(2, 1)] });
    await world.nodes.runFor(100);
    expect(leader.got.at(-1)).toMatchObject({ consumedBytes: 100, progress: [progress(0, 2, 2)] });
  });

  test("bytes that are no message end the stream, and there is another one", async () => {
    const log = await followed();
    leader.streams[0]!.send(Buffer.from("ffffffff", "hex"));
    await world.nodes.runFor(3_000);
    expect(follower.warnings.join()).toContain("a damaged message of the leader");
    expect(leader.streams).toHaveLength(2);
    leader.say({ frames: [frame(lastStatement().session, 0)] });
    await world.nodes.runFor(20);
    expect(log.log.logEndOffset).toBe(1);
  });

  test("thousands of partitions are stated in parts, of a thousand each", async () => {
    for (let topic = 0; topic < 200; topic += 1) {
      for (let index = 0; index < 15; index += 1) {
        const log = new TestFollowed(follower.clock, topicOf(topic));
        follower.streams.follow(1, Object.assign(log, { partitionIndex: index }));
      }
    }
    await world.nodes.runFor(100);
    const counts = leader.got.map(({ statements }) => statements.length);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3_000);
    expect(Math.max(...counts)).toBeLessThanOrEqual(1_000);
    const told = leader.got.flatMap((message) => message.progress);
    expect(new Set(told.map(({ slot }) => slot)).size).toBe(3_000);
  });

  test("one that has moved is told of behind a thousand that have not", async () => {
    const logs = Array.from({ length: 150 }, (_, topic) =>
      Array.from({ length: 10 }, (__, partitionIndex) => {
        const log = new TestFollowed(follower.clock, topicOf(topic));
        return Object.assign(log, { partitionIndex });
      }),
    ).flat();
    for (const log of logs) follower.streams.follow(1, log);
    await world.nodes.runFor(100);
    leader.got.length = 0;
    for (const log of logs) log.writeAll();
    const last = logs.at(-1)!;
    last.log.batches = [testBatch(0, 0)];
    last.writeAll();
    // Each part has a turn of its own.
    for (let turn = 0; turn < 3; turn += 1) await world.nodes.runFor(10);
    expect(leader.got.flatMap((message) => message.progress)).toMatchObject([
      { receivedOffset: 1, safeOffset: 1 },
    ]);
  });

  test("a leader that sends beyond its credit is left, and not taken in for ever", async () => {
    const log = await followed();
    log.options.writeMs = Infinity;
    const records = (offset: number) => testBatch(offset, 0, { sizeBytes: CREDIT_BYTES / 4 }).bytes;
    for (let offset = 0; offset < 4; offset += 1) {
      leader.say({ frames: [frame(1, offset, { records: records(offset) })] });
    }
    await world.nodes.runFor(50);
    expect([log.log.logEndOffset, follower.warnings]).toEqual([4, []]);
    leader.say({ frames: [frame(1, 4)] });
    await world.nodes.runFor(50);
    expect(log.log.logEndOffset).toBe(4);
    expect(follower.warnings.join()).toContain("more than it has credit for");
    await world.nodes.runFor(2_000);
    // On the next stream the credit is whole again: for a batch that is larger than all of it, too.
    const { session } = lastStatement();
    const large = testBatch(4, 0, { sizeBytes: 2 * CREDIT_BYTES }).bytes;
    leader.say({ frames: [frame(session, 4, { records: large })] });
    await world.nodes.runFor(50);
    expect([log.log.logEndOffset, leader.streams.length]).toEqual([5, 2]);
  });
});
