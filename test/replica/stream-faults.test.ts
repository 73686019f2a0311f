import { describe, expect, test } from "vitest";
import { type Random, randomBelow, SeededRandom } from "../../src/base/random.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { CREDIT_BYTES } from "../../src/replica/replication-messages.ts";
import { TestFollowed, TestLed, TestLeds, topicOf } from "./stream-support.ts";
import { StreamWorld, type TestFollower, type TestLeader } from "./stream-world.ts";

const LEADERS = [1, 2];
const FOLLOWERS = [3, 4];
const PARTITION_COUNT = 5;
const STEP_COUNT = 150;

/** Brokers to which all that can happen does; `heal` and nothing more, and all are to be equal. */
class Chaos {
  readonly world: StreamWorld;
  readonly #random: Random;
  readonly #leaders = new Map<number, TestLeader>();
  readonly #followers = new Map<number, TestFollower>();
  readonly #leds: { leaderId: number; led: TestLed }[] = [];
  /** By follower and partition. */
  readonly #logs = new Map<string, TestFollowed>();
  readonly problems: string[] = [];
  readonly wires: TestLeader["wire"][] = [];
  #brokerEpoch = 100;

  constructor(seed: number) {
    this.world = new StreamWorld(seed);
    this.#random = new SeededRandom(seed).fork("chaos");
  }

  async start(): Promise<void> {
    for (const id of LEADERS) await this.#startLeader(id, new TestLeds());
    for (const id of FOLLOWERS) this.#startFollower(id);
    for (let partition = 0; partition < PARTITION_COUNT; partition += 1) {
      this.#lead(partition, this.#pick(LEADERS), new TestLed(0));
      for (const id of FOLLOWERS) this.#newLog(id, partition, 0);
    }
  }

  async step(): Promise<void> {
    const partition = randomBelow(this.#random, PARTITION_COUNT);
    const { led } = this.#leds[partition]!;
    const follower = this.#pick(FOLLOWERS);
    const machines: [string, string] = [`node-${this.#pick(LEADERS)}`, `node-${follower}`];
    if (this.#chance(2)) machines.reverse();
    const { net } = this.world.nodes;
    switch (randomBelow(this.#random, 18)) {
      case 0:
        net.breakConnections(...machines);
        break;
      case 1:
        net.links.cut(...machines);
        break;
      case 2:
        net.links.delay(...machines, randomBelow(this.#random, 50));
        break;
      case 3:
        if (this.#chance(2)) net.links.mendAll();
        break;
      case 4:
        this.#elect(partition);
        break;
      case 5:
        if (this.#chance(3)) this.#restartFollower(follower);
        break;
      case 6:
        if (this.#chance(3)) await this.#restartLeader(this.#pick(LEADERS));
        break;
      case 7:
        led.removeBefore(
          this.#pick([led.log.logStartOffset, ...led.log.batches.map((b) => b.baseOffset)]),
        );
        break;
      case 8:
        this.#log(follower, partition).options.writeMs = this.#pick([0, 0.1, 20, Infinity]);
        break;
      case 9:
        this.#log(follower, partition).options.settleMs = this.#pick([0, 1, 300]);
        break;
      case 10:
        led.beforeRead = this.#pick([hanging, failing, quick, quick]);
        break;
      case 11:
        this.#unfollow(follower, partition);
        break;
      case 12:
        this.#follow(follower, partition);
        break;
      default:
        for (let count = randomBelow(this.#random, 20); count > 0; count -= 1) {
          const sizeBytes = this.#pick([50, 1_000, 30_000, 300_000]);
          led.append({
            sizeBytes,
            count: 1 + randomBelow(this.#random, 5),
            fill: randomBelow(this.#random, 256),
          });
        }
        this.#commit(partition);
    }
    await this.world.nodes.runFor(this.#pick([0.1, 1, 10, 100]));
  }

  /** Nobody is hindered any more. */
  async heal(): Promise<void> {
    this.world.nodes.net.links.mendAll();
    for (const [partition, { led }] of this.#leds.entries()) {
      led.beforeRead = quick;
      for (const follower of FOLLOWERS) {
        const log = this.#log(follower, partition);
        log.options.writeMs = 0.1;
        log.options.settleMs = 1;
        log.writeAll();
        this.#follow(follower, partition);
      }
    }
    // Reads that hang are over with the streams on which they were begun.
    for (const leader of LEADERS) {
      for (const follower of FOLLOWERS) {
        this.world.nodes.net.breakConnections(`node-${leader}`, `node-${follower}`);
      }
    }
    await this.world.nodes.runFor(20_000);
    for (const partition of this.#leds.keys()) this.#commit(partition);
    await this.world.nodes.runFor(1_000);
  }

  check(): void {
    for (const [partition, { led }] of this.#leds.entries()) {
      const { logStartOffset, logEndOffset, batches } = led.log;
      expect(led.highWatermark).toBe(logEndOffset);
      for (const follower of FOLLOWERS) {
        const { log, highWatermark, problems } = this.#log(follower, partition);
        expect(problems).toEqual([]);
        expect(highWatermark).toBe(logEndOffset);
        const own = log.batches.filter(({ baseOffset }) => baseOffset >= logStartOffset);
        expect(own.length).toBe(batches.length);
        expect(own.every(({ bytes }, index) => bytes.equals(batches[index]!.bytes))).toBe(true);
      }
    }
    expect(this.problems).toEqual([]);
    for (const { problems, maxUnderWayBytes } of this.wires) {
      expect(problems).toEqual([]);
      expect(maxUnderWayBytes).toBeLessThanOrEqual(CREDIT_BYTES);
    }
    for (const { warnings } of [...this.#leaders.values(), ...this.#followers.values()]) {
      expect(warnings.filter((text) => !text.includes("is over"))).toEqual([]);
    }
  }

  async #startLeader(id: number, leds: TestLeds): Promise<void> {
    const leader = await this.world.leader(id, leds);
    this.#leaders.set(id, leader);
    this.wires.push(leader.wire);
  }

  #startFollower(id: number): void {
    this.#brokerEpoch += 1;
    const epoch = this.#brokerEpoch;
    this.#followers.set(
      id,
      this.world.follower(id, () => epoch),
    );
  }

  async #restartLeader(id: number): Promise<void> {
    this.#leaders.get(id)!.kill();
    await this.world.nodes.runFor(randomBelow(this.#random, 500));
    await this.#startLeader(id, new TestLeds());
    for (const [partition, { leaderId, led }] of this.#leds.entries()) {
      if (leaderId !== id) continue;
      // Written is all that it has told of.
      const again = new TestLed(led.leaderEpoch, led.log);
      again.highWatermark = led.highWatermark;
      this.#lead(partition, id, again);
    }
  }

  #restartFollower(id: number): void {
    this.#followers.get(id)!.kill();
    const before = this.#leds.map((_, partition) => this.#log(id, partition));
    this.#startFollower(id);
    for (const [
      partition,
      { log, receivedOffset, leaderEpoch, highWatermark },
    ] of before.entries()) {
      const again = this.#newLog(id, partition, leaderEpoch);
      again.log.batches = log.batches.filter(({ endOffset }) => endOffset <= receivedOffset);
      again.log.logStartOffset = log.logStartOffset;
      again.highWatermark = Math.min(highWatermark, again.log.logEndOffset);
      again.writeAll();
    }
  }

  #newLog(follower: number, partition: number, leaderEpoch: number): TestFollowed {
    const { clock } = this.#followers.get(follower)!;
    const log = new TestFollowed(clock, topicOf(partition), leaderEpoch);
    this.#logs.set(`${follower}:${partition}`, log);
    this.#follow(follower, partition);
    return log;
  }

  #log(follower: number, partition: number): TestFollowed {
    return this.#logs.get(`${follower}:${partition}`)!;
  }

  #follow(follower: number, partition: number): void {
    const log = this.#log(follower, partition);
    const { leaderId, led } = this.#leds[partition]!;
    log.leaderEpoch = led.leaderEpoch;
    this.#followers.get(follower)!.streams.follow(leaderId, log);
  }

  #unfollow(follower: number, partition: number): void {
    this.#followers.get(follower)!.streams.unfollow(this.#log(follower, partition));
  }

  #lead(partition: number, leaderId: number, led: TestLed): void {
    this.#leds[partition] = { leaderId, led };
    led.onProgress = ({ brokerId }, received) => {
      const followed = this.#log(brokerId, partition);
      // Of a leader that it follows no more it may have cut something since.
      if (followed.leaderEpoch !== led.leaderEpoch) return;
      const has = (offset: number, bytes: Buffer): boolean =>
        followed.log.batches.some((own) => own.baseOffset === offset && own.bytes.equals(bytes));
      const isTrue = led.log.batches.every(
        ({ baseOffset, endOffset, bytes }) => endOffset > received || has(baseOffset, bytes),
      );
      if (!isTrue) this.problems.push(`broker ${brokerId} has told more than it has`);
    };
    this.#leaders.get(leaderId)!.leds.byTopic.set(topicOf(partition), led);
  }

  /** Another one, with what was committed and perhaps some more; followers hear of it when they do. */
  #elect(partition: number): void {
    const { leaderId, led } = this.#leds[partition]!;
    const nextId = this.#pick(LEADERS);
    this.#leaders.get(leaderId)!.leds.byTopic.set(topicOf(partition), "NOT_LEADER_OR_FOLLOWER");
    led.endSessions("NOT_LEADER_OR_FOLLOWER");
    const next = new TestLed(led.leaderEpoch + 1, led.log);
    next.highWatermark = led.highWatermark;
    const ends = led.log.batches.map(({ endOffset }) => endOffset);
    next.log.truncateTo(
      this.#pick([led.log.logEndOffset, ...ends.filter((end) => end >= led.highWatermark)]),
    );
    next.append({ fill: 9 });
    this.#lead(partition, nextId, next);
    for (const follower of FOLLOWERS) {
      const log = this.#log(follower, partition);
      this.world.nodes.clock.schedule("timer", randomBelow(this.#random, 300), () => {
        if (this.#log(follower, partition) === log) this.#follow(follower, partition);
      });
    }
  }

  #commit(partition: number): void {
    const { led } = this.#leds[partition]!;
    const safe = FOLLOWERS.map((id) => led.progress.get(id)?.safe ?? -1);
    const committed = Math.min(led.log.logEndOffset, ...safe);
    if (committed > led.highWatermark) led.setHighWatermark(committed);
  }

  #chance(oneIn: number): boolean {
    return randomBelow(this.#random, oneIn) === 0;
  }

  #pick<T>(items: readonly T[]): T {
    return items[randomBelow(this.#random, items.length)]!;
  }
}

const quick = (): Promise<void> => Promise.resolve();
const hanging = (): Promise<void> => new Promise(() => undefined);
const failing = (): Promise<void> => Promise.reject(new KafkaError("KAFKA_STORAGE_ERROR"));

describe("records between brokers that have no luck", () => {
  const seeds = Array.from({ length: Number(process.env["SEEDS"] ?? 40) }, (_, index) => index + 1);

  test.each(seeds)("are all there in the end (seed %i)", async (seed) => {
    const chaos = new Chaos(seed);
    await chaos.start();
    for (let count = 0; count < STEP_COUNT; count += 1) await chaos.step();
    await chaos.heal();
    chaos.check();
  });
});
