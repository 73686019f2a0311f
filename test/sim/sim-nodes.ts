import { loopTurn } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { ProcessClock, SimClock } from "../../src/sim/sim-clock.ts";
import { type SimRpcHost, SimRpcNet } from "../../src/sim/sim-rpc.ts";

/** A world of processes that reach each other by SimRpcNet; the machines are called as the tests like. */
export class SimNodes {
  readonly clock = new SimClock();
  readonly random: SeededRandom;
  readonly net: SimRpcNet;

  constructor(seed = 1, options: { readonly maxMessageBytes?: number } = {}) {
    this.random = new SeededRandom(seed);
    this.net = new SimRpcNet({ clock: this.clock, random: this.random }, options);
  }

  process(machine: string): { readonly rpc: SimRpcHost; readonly clock: ProcessClock } {
    return { rpc: this.net.host(machine), clock: new ProcessClock(this.clock) };
  }

  /** Rejects when it never comes to pass. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      const event = this.clock.next();
      if (event === null) throw new Error("nothing will ever happen any more");
      event();
      await loopTurn();
    }
  }

  /** All that happens in so long. */
  async runFor(ms: number): Promise<void> {
    let isOver = false;
    this.clock.schedule("timer", ms, () => (isOver = true));
    await this.until(() => isOver);
  }
}
