import { beforeEach, describe, expect, test } from "vitest";
import { loopTurn } from "../../src/base/clock.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { CREDIT_BYTES } from "../../src/replica/replication-messages.ts";
import { TestFollowed, type TestFollowedOptions, TestLed, topicOf } from "./stream-support.ts";
import { StreamWorld, type TestFollower, type TestLeader } from "./stream-world.ts";

const MIB = 1024 * 1024;

describe("records between brokers", () => {
  let world: StreamWorld;
  let leader: TestLeader;
  let follower: TestFollower;

  beforeEach(async () => {
    world = new StreamWorld();
    leader = await world.leader(1);
    follower = world.follower(2);
  });

  function lead(topic: number, led = new TestLed(), at = leader): TestLed {
    at.leds.byTopic.set(topicOf(topic), led);
    return led;
  }

  function follow(
    topic: number,
    options: Partial<TestFollowedOptions> = {},
    by = follower,
  ): TestFollowed {
    const followed = new TestFollowed(by.clock, topicOf(topic), 0, options);
    by.streams.follow(1, followed);
    return followed;
  }

  function expectEqual(led: TestLed, followed: TestFollowed): void {
    expect(followed.log.logEndOffset).toBe(led.log.logEndOffset);
    expect(followed.log.batches.length).toBe(led.log.batches.length);
    for (const [index, { bytes }] of followed.log.batches.entries()) {
      expect(bytes.equals(led.log.batches[index]!.bytes)).toBe(true);
    }
    expect(followed.problems).toEqual([]);
  }

  test("what is there comes, and what is written afterwards, in order, with both marks", async () => {
    const led = lead(0);
    for (let index = 0; index < 5; index += 1) led.append({ count: 3, fill: index });
    const followed = follow(0);
    await world.nodes.runFor(50);
    expectEqual(led, followed);
    for (let index = 0; index < 100; index += 1) {
      led.append({ fill: index });
      if (index % 10 === 0) await world.nodes.runFor(1);
    }
    led.setHighWatermark(40);
    await world.nodes.runFor(50);
    expectEqual(led, followed);
    expect(followed.highWatermark).toBe(40);
    expect(led.progress.get(2)).toEqual({ received: 115, safe: 115 });
    expect(led.unreleasedCount).toBe(0);
    expect([leader.warnings, follower.warnings, leader.wire.problems]).toEqual([[], [], []]);
  });

  test("many partitions are stated in one message, and come in few", async () => {
    const leds = Array.from({ length: 100 }, (_, topic) => lead(topic));
    for (const led of leds) led.append();
    const all = leds.map((_, topic) => follow(topic));
    await world.nodes.runFor(50);
    for (const [index, led] of leds.entries()) expectEqual(led, all[index]!);
    expect(leader.wire.messages.length).toBeLessThan(15);
    expect(leader.wire.openedCount).toBe(1);
  });

  test("a high watermark that moves without records goes alone, and so does a log's start", async () => {
    const led = lead(0);
    led.append({ count: 10 });
    led.append({ count: 10 });
    const followed = follow(0);
    await world.nodes.runFor(50);
    leader.wire.messages.length = 0;
    led.setHighWatermark(10);
    await world.nodes.runFor(50);
    led.removeBefore(10);
    await world.nodes.runFor(50);
    expect(followed.highWatermark).toBe(10);
    expect(leader.wire.frames).toMatchObject([
      { highWatermark: 10, logStartOffset: 0 },
      { highWatermark: 10, logStartOffset: 10 },
    ]);
    expect(leader.wire.recordBytes).toBe(0);
  });

  test("an idle partition says nothing at all", async () => {
    const led = lead(0);
    led.append();
    follow(0);
    await world.nodes.runFor(1_000);
    const [messageCount, readCount] = [leader.wire.messages.length, led.readCount];
    await world.nodes.runFor(600_000);
    expect(leader.wire.messages.length).toBe(messageCount);
    expect(led.readCount).toBe(readCount);
    expect(world.nodes.net.openedCount).toBe(1);
  });

  test("no more than the credit is under way, and it flows again when it has been written", async () => {
    const leds = [lead(0), lead(1), lead(2)];
    for (const led of leds) for (let i = 0; i < 80; i += 1) led.append({ sizeBytes: 200_000 });
    const all = leds.map((_, topic) => follow(topic, { writeMs: Infinity }));
    await world.nodes.runFor(2_000);
    expect(leader.wire.recordBytes).toBeGreaterThan(CREDIT_BYTES / 2);
    expect(leader.wire.recordBytes).toBeLessThanOrEqual(CREDIT_BYTES);
    for (let round = 0; round < 100; round += 1) {
      for (const followed of all) followed.writeAll();
      await world.nodes.runFor(20);
    }
    for (const [index, led] of leds.entries()) expectEqual(led, all[index]!);
    expect(leader.wire.maxUnderWayBytes).toBeLessThanOrEqual(CREDIT_BYTES);
    expect(leader.wire.problems).toEqual([]);
  });

  test("a batch beyond all credit comes too, alone", async () => {
    const [large, small] = [lead(0), lead(1)];
    large.append({ sizeBytes: CREDIT_BYTES + 2 * MIB });
    large.append();
    for (let index = 0; index < 60; index += 1) small.append({ sizeBytes: 300_000 });
    const all = [follow(0), follow(1)];
    await world.nodes.runFor(3_000);
    expectEqual(large, all[0]!);
    expectEqual(small, all[1]!);
    expect(leader.wire.maxUnderWayBytes).toBe(CREDIT_BYTES + 2 * MIB);
  });

  test("a read that hangs holds up nobody but its own partition", async () => {
    const [hanging, quick] = [lead(0), lead(1)];
    let goOn: () => void = () => undefined;
    hanging.append();
    hanging.beforeRead = () => new Promise((resolve) => (goOn = resolve));
    const all = [follow(0), follow(1)];
    for (let index = 0; index < 200; index += 1) {
      quick.append({ sizeBytes: 100_000 });
      await world.nodes.runFor(1);
    }
    await world.nodes.runFor(50);
    expectEqual(quick, all[1]!);
    expect(all[0]!.log.batches).toEqual([]);
    hanging.beforeRead = () => Promise.resolve();
    goOn();
    await loopTurn();
    await world.nodes.runFor(50);
    expectEqual(hanging, all[0]!);
  });

  test("what is written while a read comes back with nothing is read afterwards", async () => {
    const led = lead(0);
    led.writtenEndOffset = 0;
    let goOn: () => void = () => undefined;
    led.afterRead = () => new Promise((resolve) => (goOn = resolve));
    const followed = follow(0);
    await world.nodes.runFor(20);
    led.append();
    await world.nodes.runFor(20);
    expect(led.readCount).toBe(1);
    led.writtenEndOffset = 1;
    led.tell();
    await world.nodes.runFor(20);
    led.afterRead = () => Promise.resolve();
    goOn();
    await loopTurn();
    await world.nodes.runFor(20);
    expectEqual(led, followed);
  });

  test("a session that ends while something is read, or waits to be sent, leaves nothing behind", async () => {
    const [led, busy] = [lead(0), lead(1)];
    led.append({ sizeBytes: CREDIT_BYTES });
    let goOn: () => void = () => undefined;
    led.beforeRead = () => new Promise((resolve) => (goOn = resolve));
    for (const isHeldUp of [false, true]) {
      const followed = follow(0);
      const other = follow(1);
      await world.nodes.runFor(20);
      world.nodes.net.links.delay("node-1", "node-2", isHeldUp ? 200 : 0);
      for (let index = 0; index < 15; index += 1) busy.append({ sizeBytes: 100_000 });
      await world.nodes.runFor(5);
      if (isHeldUp) {
        goOn();
        await loopTurn();
        await world.nodes.runFor(5);
        expect(led.unreleasedCount).toBe(1);
      }
      follower.streams.unfollow(followed);
      await world.nodes.runFor(20);
      if (!isHeldUp) goOn();
      await loopTurn();
      await world.nodes.runFor(1_000);
      busy.append();
      await world.nodes.runFor(1_000);
      expect([led.unreleasedCount, led.sessions.size]).toEqual([0, 0]);
      expect(followed.log.logEndOffset).toBe(0);
      expectEqual(busy, other);
    }
  });

  test("after a session that went well, the next refusal is tried again soon", async () => {
    const led = new TestLed();
    const followed = follow(0);
    await world.nodes.runFor(10_000);
    lead(0, led);
    await world.nodes.runFor(2_000);
    expect(led.sessions.size).toBe(1);
    led.endSessions("NOT_LEADER_OR_FOLLOWER");
    await world.nodes.runFor(300);
    expect(led.sessions.size).toBe(1);
    expectEqual(led, followed);
  });

  test("what has been read is sent before there is another read, whatever comes in between", async () => {
    const [hanging, led] = [lead(0), lead(1)];
    hanging.append();
    hanging.beforeRead = () => new Promise(() => undefined);
    follow(0);
    const followed = follow(1);
    await world.nodes.runFor(20);
    led.beforeRead = () => {
      // Before the turn in which it is sent.
      world.nodes.clock.afterPoll(() => led.tell());
      return Promise.resolve();
    };
    for (let index = 0; index < 10; index += 1) {
      led.append();
      await world.nodes.runFor(5);
    }
    expectEqual(led, followed);
    expect([led.readCount, followed.misfitCount, led.unreleasedCount]).toEqual([10, 0, 0]);
  });

  test.each([1, 4, 12])(
    "%i partitions whose writes hang at the follower leave credit for another one",
    async (hangingCount) => {
      for (let topic = 1; topic <= hangingCount; topic += 1) {
        const led = lead(topic);
        for (let index = 0; index < 100; index += 1) led.append({ sizeBytes: 100_000 });
        follow(topic, { writeMs: Infinity });
      }
      await world.nodes.runFor(1_000);
      const led = lead(0);
      const followed = follow(0);
      for (let index = 0; index < 50; index += 1) led.append({ sizeBytes: 100_000 });
      await world.nodes.runFor(1_000);
      expectEqual(led, followed);
    },
  );

  test("while the network is slow, what is new waits where it still comes together", async () => {
    const [led, other] = [lead(0), lead(1)];
    const [followed] = [follow(0), follow(1)];
    await world.nodes.runFor(50);
    world.nodes.net.links.delay("node-1", "node-2", 100);
    for (let index = 0; index < 40; index += 1) led.append({ sizeBytes: 100_000 });
    await world.nodes.runFor(10);
    leader.wire.messages.length = 0;
    // Nobody needs to know of all the places where it has been meanwhile.
    for (let offset = 1; offset <= 40; offset += 1) {
      other.setHighWatermark(offset);
      await world.nodes.runFor(1);
    }
    await world.nodes.runFor(1_000);
    expectEqual(led, followed);
    expect(leader.wire.frames.filter(({ slot }) => slot === 1).length).toBeLessThan(5);
    expect(leader.wire.maxQueuedBytes).toBeLessThan(1.3 * MIB);
  });

  test("all that happens in one turn goes in one frame", async () => {
    const led = lead(0);
    const followed = follow(0);
    await world.nodes.runFor(50);
    leader.wire.messages.length = 0;
    for (let index = 0; index < 50; index += 1) {
      led.append();
      led.setHighWatermark(index);
    }
    await world.nodes.runFor(50);
    expectEqual(led, followed);
    expect(leader.wire.frames).toHaveLength(1);
  });

  test("messages have up to 256 KiB, unless a batch is larger", async () => {
    const leds = Array.from({ length: 8 }, (_, topic) => lead(topic));
    for (const led of leds) for (let i = 0; i < 40; i += 1) led.append({ sizeBytes: 50_000 });
    const all = leds.map((_, topic) => follow(topic));
    await world.nodes.runFor(500);
    for (const [index, led] of leds.entries()) expectEqual(led, all[index]!);
    expect(Math.max(...leader.wire.messageBytes)).toBeLessThan(260 * 1024);
  });

  test("a connection that breaks is made anew, and goes on where the log stands", async () => {
    const led = lead(0);
    const followed = follow(0);
    for (let round = 0; round < 20; round += 1) {
      for (let index = 0; index < 20; index += 1) {
        led.append({ sizeBytes: 50_000, fill: round + index });
        await world.nodes.runFor(0.5);
      }
      world.nodes.net.breakConnections("node-1", "node-2");
      await world.nodes.runFor(round * 10);
    }
    await world.nodes.runFor(5_000);
    expectEqual(led, followed);
    expect(led.unreleasedCount).toBe(0);
    expect(led.sessions.size).toBe(1);
  });

  test("a link that is cut and mended loses nothing", async () => {
    const led = lead(0);
    const followed = follow(0);
    for (const cutMs of [500, 10_000]) {
      for (const [from, to] of [
        ["node-1", "node-2"],
        ["node-2", "node-1"],
      ] as const) {
        for (let index = 0; index < 100; index += 1) {
          led.append({ sizeBytes: 20_000 });
          if (index === 50) world.nodes.net.links.cut(from, to);
          await world.nodes.runFor(1);
        }
        await world.nodes.runFor(cutMs);
        world.nodes.net.links.mendAll();
        await world.nodes.runFor(3_000);
        expectEqual(led, followed);
      }
    }
  });

  test("logs that part are cut where the leader says, and followed from there", async () => {
    const before = new TestLed(0);
    for (let index = 0; index < 5; index += 1) before.append({ fill: 1 });
    const led = lead(0, new TestLed(1, before.log));
    for (let index = 0; index < 5; index += 1) led.append({ fill: 2 });
    const followed = new TestFollowed(follower.clock, topicOf(0), 1);
    followed.log.batches = [...before.log.batches];
    // Of epoch 0, and nobody else has them.
    const alone = new TestLed(0, before.log);
    for (let index = 0; index < 3; index += 1) alone.append({ fill: 3 });
    followed.log.batches = [...alone.log.batches];
    followed.writeAll();
    follower.streams.follow(1, followed);
    await world.nodes.runFor(100);
    expect(followed.answers).toMatchObject([{ kind: "diverging", epoch: 0, endOffset: 5 }]);
    expectEqual(led, followed);
  });

  test("what was removed at the leader is not asked for for ever", async () => {
    const led = lead(0);
    for (let index = 0; index < 10; index += 1) led.append();
    led.removeBefore(7);
    const followed = follow(0);
    await world.nodes.runFor(100);
    expect(followed.answers).toMatchObject([
      { kind: "outOfRange", logStartOffset: 7, logEndOffset: 10 },
    ]);
    expectEqual(led, followed);
  });

  test("what is removed while it is about to be read ends the session, too", async () => {
    const led = lead(0);
    for (let index = 0; index < 10; index += 1) led.append();
    led.beforeRead = () => {
      led.log.removeBefore(5);
      led.beforeRead = () => Promise.resolve();
      return Promise.resolve();
    };
    const followed = follow(0);
    await world.nodes.runFor(100);
    expect(followed.answers).toMatchObject([
      { kind: "outOfRange", logStartOffset: 5, logEndOffset: 10 },
    ]);
    expectEqual(led, followed);
    expect(leader.wire.problems).toEqual([]);
  });

  test("a read that fails is told by its name, and tried again after a while", async () => {
    const led = lead(0);
    led.append();
    led.beforeRead = () => Promise.reject(new KafkaError("CORRUPT_MESSAGE"));
    const followed = follow(0);
    await world.nodes.runFor(1_000);
    expect(followed.answers[0]).toMatchObject({ kind: "refused", error: "CORRUPT_MESSAGE" });
    expect(followed.answers.length).toBeLessThan(7);
    led.beforeRead = () => Promise.resolve();
    await world.nodes.runFor(1_500);
    expectEqual(led, followed);
  });

  test("a partition that is not there is asked for again, less and less, until it is", async () => {
    const followed = follow(0);
    await world.nodes.runFor(60_000);
    expect(followed.answers[0]).toMatchObject({ kind: "refused", error: "UNKNOWN_TOPIC_ID" });
    expect(followed.answers.length).toBeGreaterThan(50);
    expect(followed.answers.length).toBeLessThan(66);
    const led = lead(0);
    led.append();
    await world.nodes.runFor(1_100);
    expectEqual(led, followed);
  });

  test("a leader that leads no more says so, and its follower may know better", async () => {
    const led = lead(0);
    led.append();
    const followed = follow(0);
    await world.nodes.runFor(50);
    followed.verdictOfRefusal = "never";
    led.endSessions("NOT_LEADER_OR_FOLLOWER");
    leader.leds.byTopic.set(topicOf(0), "NOT_LEADER_OR_FOLLOWER");
    await world.nodes.runFor(10_000);
    expect(followed.answers).toMatchObject([{ kind: "refused", error: "NOT_LEADER_OR_FOLLOWER" }]);
    expect(led.statements).toHaveLength(1);
    lead(0, led);
    follower.streams.follow(1, followed);
    led.append();
    await world.nodes.runFor(2_000);
    expectEqual(led, followed);
  });

  test("a log that has failed gets nothing more, gives its credit back, and may come again", async () => {
    const [led, other] = [lead(0), lead(1)];
    for (let index = 0; index < 100; index += 1) {
      led.append({ sizeBytes: 100_000 });
      other.append({ sizeBytes: 100_000 });
    }
    const failing = follow(0, { writeMs: Infinity });
    await world.nodes.runFor(100);
    failing.isFailed = true;
    follower.streams.unfollow(failing);
    const followed = follow(1);
    await world.nodes.runFor(1_000);
    expectEqual(other, followed);
    expect([led.sessions.size, failing.hasListener]).toEqual([0, false]);
    follower.streams.follow(1, failing);
    await world.nodes.runFor(1_000);
    // "failed" is what takeIn has said this time.
    expect([led.sessions.size, failing.hasListener]).toEqual([0, false]);
    failing.isFailed = false;
    failing.options.writeMs = 1;
    failing.writeAll();
    follower.streams.follow(1, failing);
    await world.nodes.runFor(1_000);
    expectEqual(led, failing);
  });

  test("a frame that does not fit is not asked for at full speed", async () => {
    const led = lead(0);
    led.append();
    const followed = follow(0);
    await world.nodes.runFor(50);
    followed.takeIn = ({ records }) => {
      if (records.length === 0) return "taken";
      followed.misfitCount += 1;
      return Promise.resolve();
    };
    led.append();
    await world.nodes.runFor(10_000);
    expect(followed.misfitCount).toBeGreaterThan(5);
    expect(followed.misfitCount).toBeLessThan(20);
    expect(followed.problems).toEqual([]);
  });

  test("a partition moves to another leader, and only that one's records count", async () => {
    const other = await world.leader(3);
    const led = lead(0);
    led.append({ fill: 1 });
    const followed = follow(0);
    await world.nodes.runFor(50);
    const next = lead(0, new TestLed(1, led.log), other);
    next.append({ fill: 2 });
    led.append({ fill: 3 });
    followed.leaderEpoch = 1;
    follower.streams.follow(3, followed);
    await world.nodes.runFor(100);
    expectEqual(next, followed);
    expect(led.sessions.size).toBe(0);
    // Where nothing is followed any more, no stream is kept.
    await world.nodes.runFor(2_000);
    const before = world.nodes.net.openedCount;
    leader.kill();
    await world.nodes.runFor(5_000);
    expect(world.nodes.net.openedCount).toBe(before);
  });

  test("another log of the same partition takes the place of the one before", async () => {
    const led = lead(0);
    led.append();
    const first = follow(0);
    await world.nodes.runFor(50);
    const second = follow(0);
    led.append();
    await world.nodes.runFor(50);
    expect([first.hasListener, first.log.logEndOffset]).toEqual([false, 1]);
    expectEqual(led, second);
    follower.streams.unfollow(first);
    led.append();
    await world.nodes.runFor(50);
    expectEqual(led, second);
    expect(leader.wire.openedCount).toBe(1);
  });

  test("a leader that starts anew gets everything stated anew", async () => {
    const leds = [lead(0), lead(1)];
    for (const led of leds) led.append();
    const all = [follow(0), follow(1)];
    await world.nodes.runFor(50);
    leader.kill();
    await world.nodes.runFor(3_000);
    const restarted = await world.leader(1);
    const ledsAgain = leds.map((led, topic) => lead(topic, new TestLed(0, led.log), restarted));
    for (const led of ledsAgain) led.append();
    await world.nodes.runFor(2_000);
    for (const [index, led] of ledsAgain.entries()) expectEqual(led, all[index]!);
  });

  test("a leader is looked for where it is said to be, each time", async () => {
    const led = lead(0);
    led.append();
    const there = world.addresses.get(1)!;
    world.addresses.delete(1);
    const followed = follow(0);
    await world.nodes.runFor(5_000);
    expect(world.nodes.net.openedCount).toBe(0);
    world.addresses.set(1, { host: "node-9", port: 1 });
    await world.nodes.runFor(2_000);
    expect(world.nodes.net.openedCount).toBeGreaterThan(1);
    world.addresses.set(1, there);
    await world.nodes.runFor(2_000);
    expectEqual(led, followed);
    // Told of, there is no need to wait for an attempt.
    world.addresses.delete(1);
    follower.streams.retry();
    await world.nodes.runFor(10);
    expect(led.sessions.size).toBe(0);
    world.addresses.set(1, there);
    led.append();
    follower.streams.retry();
    await world.nodes.runFor(20);
    expectEqual(led, followed);
  });

  test("nobody is asked before this node has registered as a broker", async () => {
    let epoch: number | null = null;
    const early = world.follower(5, () => epoch);
    const led = lead(0);
    led.append();
    const followed = follow(0, {}, early);
    await world.nodes.runFor(5_000);
    expect(world.nodes.net.openedCount).toBe(0);
    epoch = 8;
    early.streams.retry();
    await world.nodes.runFor(50);
    expectEqual(led, followed);
    expect(led.sessions.get(5)!.follower).toEqual({ brokerId: 5, brokerEpoch: 8 });
  });

  test("a new incarnation ends what the older one had begun, and its positions", async () => {
    const led = lead(0);
    led.append();
    follow(0);
    await world.nodes.runFor(50);
    expect(led.progress.get(2)).toEqual({ received: 1, safe: 1 });
    follower.rpc.cutPower();
    const again = world.follower(2, () => 200);
    const followed = follow(0, { writeMs: Infinity }, again);
    await world.nodes.runFor(10);
    expect(led.sessions.get(2)!.follower.brokerEpoch).toBe(200);
    // Written is nothing yet, by this one.
    expect(led.progress.get(2)).toEqual({ received: 0, safe: 0 });
    expectEqual(led, followed);
    const late = world.follower(2, () => 102);
    follow(0, {}, late);
    await world.nodes.runFor(500);
    expect(led.sessions.get(2)!.follower.brokerEpoch).toBe(200);
    expect(leader.warnings.join()).toContain("epoch 102 is over");
  });

  test("a stream that is lost voids the positions that were told on it", async () => {
    const led = lead(0);
    led.append();
    follow(0);
    await world.nodes.runFor(50);
    expect(led.progress.size).toBe(1);
    follower.kill();
    await world.nodes.runFor(50);
    expect([led.progress.size, led.sessions.size]).toEqual([0, 0]);
  });

  test("after close neither side is told anything", async () => {
    const led = lead(0);
    led.append();
    const followed = follow(0);
    await world.nodes.runFor(50);
    follower.streams.close();
    follower.streams.close();
    led.append();
    follower.streams.follow(1, followed);
    await world.nodes.runFor(5_000);
    expect([followed.log.logEndOffset, followed.hasListener]).toEqual([1, false]);
    expect(led.sessions.size).toBe(0);

    const second = follow(0, {}, world.follower(6));
    await world.nodes.runFor(50);
    expectEqual(led, second);
    leader.streams.close();
    leader.streams.close();
    led.append();
    await world.nodes.runFor(5_000);
    expect([led.sessions.size, second.log.logEndOffset]).toEqual([0, 2]);
  });
});
