import { SeededRandom } from "../../../src/base/random.ts";
import { FetchSessions } from "../../../src/server/fetch-sessions.ts";

/** Sessions as a broker has them, on a clock of the test's. */
export function newFetchSessions(
  options: {
    readonly clock?: { nowMs(): number };
    readonly maxSessions?: number;
    readonly maxPartitions?: number;
  } = {},
): FetchSessions {
  return new FetchSessions(
    { clock: options.clock ?? { nowMs: () => 0 }, random: new SeededRandom(1) },
    {
      maxSessions: () => options.maxSessions ?? 1000,
      maxPartitions: options.maxPartitions ?? 200_000,
    },
  );
}
