import type { Admin } from "kafkajs";
import { BrokerProcess, type BrokerOptions } from "../support/broker-process.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { spawnPython } from "../support/python.ts";
import { AckLog } from "./ack-log.ts";
import { auditKeyed, auditPlain, readLog, type TopicReport } from "./audit.ts";

export interface KillPlan {
  readonly rounds: number;
  /** Acknowledged records of the plain topic that a round waits for before it kills. */
  readonly ackedPerRound: number;
  readonly recordsPerSecond: number;
}

export interface KillReport {
  /** Rounds whose kill came within CLOSE_MS of an ack. */
  readonly rounds: number;
  /** Rounds whose kill came later, since the machine was slow to deliver it: they do not count. */
  readonly lateRounds: number;
  readonly sent: number;
  /** Records whose sending a producer gave up (must be none: they retry for ever). */
  readonly failed: number;
  readonly crashedProducers: number;
  readonly plain: TopicReport;
  readonly keyed: TopicReport;
  readonly deletions: {
    /** DeleteRecords that were answered, and how often the log's start lay above all of them: retention. */
    readonly answered: number;
    readonly byRetention: number;
    /** Log starts seen after a restart that lie below one seen before, or below what was deleted. */
    readonly undone: readonly string[];
    /** Offsets that nothing allowed to be deleted: neither a DeleteRecords nor retention.bytes. */
    readonly unasked: number;
  };
  /** For each round: from the moment the producer saw an ack to the kill. */
  readonly ackToKillMs: readonly number[];
  /** For each round: from the start of the process to its listening. */
  readonly restartMs: readonly number[];
}

export const PLAIN = "plain";
export const KEYED = "keyed";
const KEYS = 200;

const RETENTION_BYTES = 524_288;
/** At most so large is a record of producer.py in the log, in a batch of its own. */
const MAX_RECORD_BYTES = 180;

/** Everything that changes files goes on all the time. */
export const BUSY = {
  "log.roll.ms": 100,
  "log.initial.task.delay.ms": 0,
  "log.retention.check.interval.ms": 50,
  "log.segment.delete.delay.ms": 100,
  "log.cleaner.backoff.ms": 50,
};

/** A kill counts when it came within so long of an ack. */
const CLOSE_MS = 50;
/** Every so many rounds records are deleted; every other time the kill does not wait for the answer. */
const DELETE_EVERY = 3;

/**
 * Kills the broker with SIGKILL again and again under two idempotent librdkafka producers (acks=all),
 * while segments roll, retention and DeleteRecords cut one topic and the cleaner compacts the other,
 * and starts it on the same port and directory; then reads both logs and holds them against the acks.
 */
export async function killRounds(options: BrokerOptions, plan: KillPlan): Promise<KillReport> {
  const busy = { ...options, overrides: { ...BUSY, ...options.overrides } };
  let broker = await BrokerProcess.start(busy);
  const { bootstrap } = broker;
  const starts = new LogStarts(bootstrap);
  const rate = String(plan.recordsPerSecond);
  await makeTopics(bootstrap);
  const producers = [
    spawnPython("test/kill/producer.py", bootstrap, PLAIN, rate),
    spawnPython("test/kill/producer.py", bootstrap, KEYED, rate, String(KEYS)),
  ] as const;
  const [plainAcks, keyedAcks] = [new AckLog(producers[0]), new AckLog(producers[1])];
  const ackToKillMs: number[] = [];
  const restartMs: number[] = [];
  try {
    const isDone = () =>
      ackToKillMs.filter((ageMs) => ageMs < CLOSE_MS).length >= plan.rounds ||
      ackToKillMs.length >= 2 * plan.rounds;
    let hasProducerEnded = false;
    while (!isDone() && !hasProducerEnded) {
      const target = broker;
      const round = ackToKillMs.length;
      const deleting = round % DELETE_EVERY === DELETE_EVERY - 1 ? starts.deleteHalf() : null;
      if (round % 2 === 0) await deleting;
      const killed = plainAcks.whenFresh(plainAcks.count + plan.ackedPerRound, async (ageMs) => {
        const gone = target.kill9();
        ackToKillMs.push(ageMs());
        await gone;
      });
      const ended = Promise.race([plainAcks.finished, keyedAcks.finished]).then(() => true);
      hasProducerEnded = await Promise.race([killed.then(() => false), ended]);
      await target.kill9();
      await deleting;
      const startedMs = performance.now();
      broker = await BrokerProcess.start({ ...busy, port: broker.port });
      restartMs.push(performance.now() - startedMs);
      await starts.look(`round ${round}`);
    }
    for (const { stdin } of producers) stdin.end();
    const ends = await Promise.all([plainAcks.finished, keyedAcks.finished]);
    const found = await readLog(bootstrap, PLAIN);
    const low = await starts.look("the end");
    return {
      rounds: ackToKillMs.filter((ageMs) => ageMs < CLOSE_MS).length,
      lateRounds: ackToKillMs.filter((ageMs) => ageMs >= CLOSE_MS).length,
      sent: ends[0].sent + ends[1].sent,
      failed: ends[0].failed + ends[1].failed,
      crashedProducers: ends.filter(({ isCrashed }) => isCrashed).length,
      plain: auditPlain(plainAcks.offsets, found, low),
      keyed: auditKeyed(keyedAcks.offsets, await readLog(bootstrap, KEYED), writtenAs),
      deletions: starts.report(found.length),
      ackToKillMs,
      restartMs,
    };
  } finally {
    for (const producer of producers) producer.kill("SIGKILL");
    await broker.stop();
  }
}

async function makeTopics(bootstrap: string): Promise<void> {
  const admin = kafkaClient(bootstrap).admin();
  await admin.connect();
  const topic = (name: string, settings: Record<string, string>) => ({
    topic: name,
    numPartitions: 1,
    replicationFactor: 1,
    configEntries: Object.entries(settings).map(([key, value]) => ({ name: key, value })),
  });
  await admin.createTopics({
    topics: [
      topic(PLAIN, { "retention.bytes": String(RETENTION_BYTES) }),
      topic(KEYED, {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "0",
      }),
    ],
  });
  await admin.disconnect();
}

/** The key of a value, and whether it was written as a tombstone: as producer.py does it. */
function writtenAs(value: number): { readonly key: string; readonly isTombstone: boolean } {
  const key = value % KEYS;
  const turn = Math.floor(value / KEYS);
  const isLastTwentieth = key >= KEYS * 0.95;
  if (isLastTwentieth && turn > 5) return { key: `k${key - KEYS / 2}`, isTombstone: false };
  const isTombstone = key >= KEYS * 0.9 && (turn === 5 || (turn % 2 === 1 && !isLastTwentieth));
  return { key: `k${key}`, isTombstone };
}

/** Where the plain topic's log begins, and why. */
class LogStarts {
  readonly #bootstrap: string;
  readonly #undone: string[] = [];
  /** Below this everything was seen to be deleted, or was answered to be. */
  #floor = 0;
  #answered = 0;
  #byRetention = 0;
  #greatestAsked = 0;
  #low = 0;

  constructor(bootstrap: string) {
    this.#bootstrap = bootstrap;
  }

  /** After a restart: what a client sees now may never be taken back. */
  async look(when: string): Promise<number> {
    const { low } = await this.#offsets();
    if (low < this.#floor) this.#undone.push(`${when}: ${low} after ${this.#floor}`);
    if (low > this.#greatestAsked) this.#byRetention += 1;
    this.#floor = Math.max(this.#floor, low);
    this.#low = low;
    return low;
  }

  /** Deletes the older half; the answer, if one comes, is a promise. Never rejects. */
  async deleteHalf(): Promise<void> {
    const admin = kafkaClient(this.#bootstrap).admin({ retry: { retries: 0 } });
    try {
      await admin.connect();
      // With the same admin: it deletes only from partitions whose leader it knows.
      const { low, high } = await offsetsOf(admin);
      const offset = Math.floor((low + high) / 2);
      this.#greatestAsked = Math.max(this.#greatestAsked, offset);
      await admin.deleteTopicRecords({
        topic: PLAIN,
        partitions: [{ partition: 0, offset: String(offset) }],
      });
      this.#answered += 1;
      this.#floor = Math.max(this.#floor, offset);
    } catch {
      // The broker was killed before it had answered: it may have deleted, or not.
    } finally {
      await admin.disconnect();
    }
  }

  report(keptCount: number): KillReport["deletions"] {
    const mustKeep = Math.floor(RETENTION_BYTES / MAX_RECORD_BYTES);
    const isAllowed = this.#low <= this.#greatestAsked || keptCount >= mustKeep;
    return {
      answered: this.#answered,
      byRetention: this.#byRetention,
      undone: this.#undone,
      unasked: isAllowed ? 0 : this.#low - this.#greatestAsked,
    };
  }

  async #offsets(): Promise<{ low: number; high: number }> {
    const admin = kafkaClient(this.#bootstrap).admin();
    await admin.connect();
    const offsets = await offsetsOf(admin);
    await admin.disconnect();
    return offsets;
  }
}

async function offsetsOf(admin: Admin): Promise<{ low: number; high: number }> {
  const [partition] = await admin.fetchTopicOffsets(PLAIN);
  return { low: Number(partition!.low), high: Number(partition!.high) };
}
