import { createInterface } from "node:readline";
import { BrokerProcess, type BrokerOptions } from "../support/broker-process.ts";
import { runPython, spawnPython } from "../support/python.ts";

export interface KillPlan {
  readonly rounds: number;
  /** Acknowledged records that a round waits for before it kills. */
  readonly ackedPerRound: number;
  readonly recordsPerSecond: number;
}

export interface KillReport {
  /** Rounds whose kill came within CLOSE_MS of an ack. */
  readonly rounds: number;
  /** Rounds whose kill came later, since the machine was slow to deliver it: they do not count. */
  readonly lateRounds: number;
  readonly sent: number;
  /** Records whose sending the producer gave up (must be none: it retries for ever). */
  readonly failed: number;
  readonly acked: number;
  /** Acknowledged values that are not in the log, or not at the offset that was acknowledged. */
  readonly lost: readonly number[];
  /** Values that stand more than once in the log. */
  readonly duplicated: readonly number[];
  /** For each round: from the moment the producer saw an ack to the kill. */
  readonly ackToKillMs: readonly number[];
  /** For each round: from the start of the process to its listening. */
  readonly restartMs: readonly number[];
}

const TOPIC = "kill";

/** A kill counts when it came within so long of an ack. */
const CLOSE_MS = 50;

/** An ack that we got to see later than this is passed over: the kill would come too late after it. */
const FRESH_MS = 25;

/**
 * Kills the broker with SIGKILL again and again under an idempotent librdkafka producer (acks=all) and
 * starts it on the same port and directory; then reads the log back and holds it against the acks.
 */
export async function killRounds(options: BrokerOptions, plan: KillPlan): Promise<KillReport> {
  let broker = await BrokerProcess.start(options);
  const bootstrap = broker.bootstrap;
  const producer = spawnPython(
    "test/kill/producer.py",
    bootstrap,
    TOPIC,
    String(plan.recordsPerSecond),
  );
  const acks = new AckLog(createInterface({ input: producer.stdout }));
  const ackToKillMs: number[] = [];
  const restartMs: number[] = [];
  try {
    const isDone = () =>
      ackToKillMs.filter((ageMs) => ageMs < CLOSE_MS).length >= plan.rounds ||
      ackToKillMs.length >= 2 * plan.rounds;
    let hasProducerEnded = false;
    while (!isDone() && !hasProducerEnded) {
      const target = broker;
      const killed = acks.whenFresh(acks.count + plan.ackedPerRound, async (ageMs) => {
        const gone = target.kill9();
        ackToKillMs.push(ageMs());
        await gone;
      });
      const ended = acks.finished.then(() => true);
      hasProducerEnded = await Promise.race([killed.then(() => false), ended]);
      await target.kill9();
      const startedMs = performance.now();
      broker = await BrokerProcess.start({ ...options, port: broker.port });
      restartMs.push(performance.now() - startedMs);
    }
    producer.stdin.end();
    const { sent, failed } = await acks.finished;
    const found = await readLog(bootstrap);
    return {
      rounds: ackToKillMs.filter((ageMs) => ageMs < CLOSE_MS).length,
      lateRounds: ackToKillMs.filter((ageMs) => ageMs >= CLOSE_MS).length,
      sent,
      failed,
      ...compare(acks.offsets, found),
      ackToKillMs,
      restartMs,
    };
  } finally {
    producer.kill("SIGKILL");
    await broker.stop();
  }
}

/** What the producer printed: the offset of each value that was acknowledged. */
class AckLog {
  readonly offsets = new Map<number, number>();
  readonly finished: Promise<{ sent: number; failed: number }>;
  #wanted: { readonly count: number; readonly act: (ageMs: () => number) => void } | null = null;

  constructor(
    lines: AsyncIterable<string> & { on(event: "line", use: (line: string) => void): void },
  ) {
    this.finished = new Promise((resolve) => {
      lines.on("line", (line) => {
        const done = /^done (\d+) (\d+)$/.exec(line);
        if (done !== null) resolve({ sent: Number(done[1]), failed: Number(done[2]) });
        else this.#acked(line);
      });
    });
  }

  get count(): number {
    return this.offsets.size;
  }

  /**
   * Acts when that many records were acknowledged, synchronously with an ack that came just now: one
   * that we got to see late is passed over, so that what happens next is close to an ack.
   */
  whenFresh(count: number, act: (ageMs: () => number) => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wanted = { count, act: (ageMs) => void act(ageMs).then(resolve, reject) };
    });
  }

  #acked(line: string): void {
    const match = /^(\d+) (-?\d+) (\d+)\.\.(\d+)$/.exec(line);
    if (match === null) return;
    const [, ns, offset, first, last] = match;
    for (let value = Number(first); value <= Number(last); value += 1) {
      this.offsets.set(value, Number(offset) + value - Number(first));
    }
    const ageMs = (): number => Number(process.hrtime.bigint() - BigInt(ns!)) / 1e6;
    if (this.#wanted === null || this.count < this.#wanted.count || ageMs() > FRESH_MS) return;
    const { act } = this.#wanted;
    this.#wanted = null;
    act(ageMs);
  }
}

async function readLog(bootstrap: string): Promise<[offset: number, value: number][]> {
  const text = await runPython("test/support/consume.py", bootstrap, TOPIC, "0");
  return text
    .trimEnd()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" ").map(Number) as [number, number]);
}

function compare(acked: ReadonlyMap<number, number>, found: readonly [number, number][]) {
  const valueAt = new Map(found);
  const counts = new Map<number, number>();
  for (const [, value] of found) counts.set(value, (counts.get(value) ?? 0) + 1);
  return {
    acked: acked.size,
    lost: [...acked]
      .filter(([value, offset]) => valueAt.get(offset) !== value)
      .map(([value]) => value),
    duplicated: [...counts].filter(([, count]) => count > 1).map(([value]) => value),
  };
}
