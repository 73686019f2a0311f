import { loopTurn } from "../../../src/base/clock.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { SimClock } from "../../../src/sim/sim-clock.ts";
import { SimDisk } from "../../../src/sim/sim-disk.ts";

export const DIRECTORY = "/disk/logs";

/** A clock and a disk of their own, for tests of what needs no more. */
export function diskWorld(seed: number, writebackAgeMs = Infinity) {
  const clock = new SimClock();
  const disk = new SimDisk(
    { clock, random: new SeededRandom(seed) },
    { directories: [DIRECTORY], writebackAgeMs },
  );
  /** Runs events until the promise settles. */
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    const state = { isSettled: false };
    const settled = promise.finally(() => {
      state.isSettled = true;
    });
    settled.catch(() => undefined);
    await loopTurn();
    for (let count = 0; !state.isSettled; count += 1) {
      if (count > 100_000) throw new Error("the promise takes too long to settle");
      const event = clock.next();
      if (event === null) throw new Error("the promise will never settle");
      event();
      await loopTurn();
    }
    return settled;
  };
  /** Runs so many events, or all there are. */
  const steps = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      const event = clock.next();
      if (event === null) return;
      event();
      await loopTurn();
    }
  };
  return { clock, disk, run, steps };
}
