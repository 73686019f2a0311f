import { afterEach, describe, expect, test } from "vitest";
import { loopTurn, SystemClock } from "../../src/base/clock.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { FollowerStreams } from "../../src/replica/follower-streams.ts";
import { LeaderStreams } from "../../src/replica/leader-streams.ts";
import { REPLICATION_SERVICE } from "../../src/replica/replication-codec.ts";
import { CREDIT_BYTES } from "../../src/replica/replication-messages.ts";
import { GrpcRpc } from "../../src/server/net/grpc-rpc.ts";
import { proxies } from "../server/net/proxies.ts";
import { TestFollowed, TestLed, TestLeds, topicOf } from "./stream-support.ts";
import { helloOf, Wire } from "./stream-world.ts";

const TOPIC_COUNT = 4;
const BATCH_BYTES = 100_000;
/** 50 MB in all. */
const BATCH_COUNT = 125;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await loopTurn();
}

/** The rest is proven in virtual time; here is what only the real network can show. */
describe("records between brokers over gRPC", () => {
  const clock = new SystemClock();
  const rpc = new GrpcRpc({ clock }, { tls: null });
  const closers: (() => unknown)[] = [];
  const ways = proxies();

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    await ways.close();
  });

  test("fifty megabytes come whole and in order, also when the connection breaks in between", async () => {
    const leds = new TestLeds();
    const wire = new Wire();
    const all = Array.from({ length: TOPIC_COUNT }, () => new TestLed());
    for (const [topic, led] of all.entries()) leds.byTopic.set(topicOf(topic), led);
    const leader = new FollowerStreams(
      { clock, logger: SILENT_LOGGER },
      { hello: () => helloOf(1, 1), partitions: leds },
    );
    const port = await rpc.listen(
      { host: "127.0.0.1", port: 0 },
      new Map([[REPLICATION_SERVICE, wire.tap(leader.service)]]),
    );
    const way = await ways.breakable(port.port);
    const follower = new LeaderStreams(
      { rpc, clock, random: new SeededRandom(1), logger: SILENT_LOGGER },
      {
        hello: () => helloOf(2, 7),
        addressOf: () => ({ host: "127.0.0.1", port: way.port }),
      },
    );
    closers.push(
      () => port.close(),
      () => leader.close(),
      () => follower.close(),
    );
    const followed = all.map((_, topic) => new TestFollowed(clock, topicOf(topic)));
    for (const log of followed) follower.follow(1, log);
    // Half of it is there before, half of it is written while the first half is under way.
    for (let index = 0; index < BATCH_COUNT; index += 1) {
      for (const led of all) led.append({ sizeBytes: BATCH_BYTES, fill: index });
      if (index > BATCH_COUNT / 2) await loopTurn();
    }
    await until(() => followed.some(({ log }) => log.logEndOffset > BATCH_COUNT / 3));
    way.break();
    await until(() => all.every(({ progress }) => progress.get(2)?.safe === BATCH_COUNT));
    for (const led of all) led.setHighWatermark(BATCH_COUNT);
    await until(() => followed.every(({ highWatermark }) => highWatermark === BATCH_COUNT));
    for (const [topic, { log, problems }] of followed.entries()) {
      const expected = all[topic]!.log.batches;
      // Compared as bytes: an equality of values takes seconds for so many.
      const isEqual = log.batches.every(({ bytes }, index) => bytes.equals(expected[index]!.bytes));
      expect([log.batches.length, isEqual]).toEqual([BATCH_COUNT, true]);
      expect(problems).toEqual([]);
    }
    expect(wire.recordBytes).toBeGreaterThanOrEqual(TOPIC_COUNT * BATCH_COUNT * BATCH_BYTES);
    expect(wire.maxUnderWayBytes).toBeLessThanOrEqual(CREDIT_BYTES);
    expect(wire.openedCount).toBeGreaterThanOrEqual(2);
    expect(wire.problems).toEqual([]);
  });
});
