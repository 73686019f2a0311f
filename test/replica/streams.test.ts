import { beforeEach, describe, expect, test } from "vitest";
import { CREDIT_BYTES } from "../../src/replica/follower-stream.ts";
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
});
