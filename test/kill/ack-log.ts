import { createInterface } from "node:readline";
import { type ChildProcessWithoutNullStreams } from "node:child_process";

/** An ack that we got to see later than this is passed over: the kill would come too late after it. */
const FRESH_MS = 25;

/** What a producer has sent in all. */
export interface ProducerEnd {
  readonly sent: number;
  readonly failed: number;
  /** It broke down, and did not say: librdkafka does when a log has forgotten what it acknowledged. */
  readonly isCrashed: boolean;
}

/** What producer.py printed: the offset of each value that was acknowledged. */
export class AckLog {
  /** By value. */
  readonly offsets = new Map<number, number>();
  readonly finished: Promise<ProducerEnd>;
  #wanted: { readonly count: number; readonly act: (ageMs: () => number) => void } | null = null;

  constructor(producer: ChildProcessWithoutNullStreams) {
    this.finished = new Promise((resolve) => {
      createInterface({ input: producer.stdout }).on("line", (line) => {
        const done = /^done (\d+) (\d+)$/.exec(line);
        if (done === null) this.#acked(line);
        else resolve({ sent: Number(done[1]), failed: Number(done[2]), isCrashed: false });
      });
      producer.on("close", () => {
        resolve({ sent: this.count, failed: 0, isCrashed: true });
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
