import { findCycles } from "./cycles.ts";
import { IndexedHistory } from "./indexed-history.ts";
import { lagsOf } from "./lag.ts";
import type { KeyFacts, Operation } from "./operation.ts";
import { PollOrder } from "./poll-order.ts";
import { ERROR_TYPES } from "./report.ts";
import type { Case, ErrorType, Report } from "./report.ts";
import { sendErrors } from "./send-order.ts";
import {
  inconsistentOffsets,
  precommittedReads,
  unseenOverTime,
  valueErrors,
} from "./value-errors.ts";

export interface CheckOptions {
  /** What is known of partitions besides the history. */
  readonly keys?: ReadonlyMap<string, KeyFacts>;
  /**
   * Every change of an assignment is in `rebalancedKeys`. Otherwise a subscription excuses that its
   * consumer jumps over records, or goes back, between two polls.
   */
  readonly rebalancesAreLogged?: boolean;
  /** Look for G2 too: cycles that need a poll which did not show the newest. Every history has some. */
  readonly antiDependencies?: boolean;
  /** What this run is allowed besides, as where a power cut takes what was not synced. */
  readonly alsoTolerated?: readonly ErrorType[];
}

/**
 * Judges what clients did and saw, by the rules of reliability.md, section 4. A pure function: equal
 * histories have equal reports. Operations may come in any order but that of a process (`Operation`).
 * For `lost-write` and `unseen` somebody must have polled each key from its start to its end.
 */
export function checkHistory(operations: readonly Operation[], options: CheckOptions = {}): Report {
  const { rebalancesAreLogged = false, antiDependencies = false } = options;
  const history = new IndexedHistory(operations, options.keys ?? new Map<string, KeyFacts>());
  const found = new Map<ErrorType, Case[]>(ERROR_TYPES.map((type) => [type, []]));
  const alsoTolerated = new Set(options.alsoTolerated);
  const report = (cases: Iterable<Case>): void => {
    for (const each of cases) {
      const isTolerated = each.isTolerated || alsoTolerated.has(each.type);
      found.get(each.type)?.push({ ...each, isTolerated });
    }
  };
  report(inconsistentOffsets(history));
  report(valueErrors(history));
  report(precommittedReads(history));
  report(new PollOrder({ rebalancesAreLogged }).errors(history.entries));
  report(sendErrors(history.entries));
  report(findCycles(history, { antiDependencies }));
  const cases = new Map([...found].filter(([, ofType]) => ofType.length > 0));
  return {
    isValid: [...cases.values()].flat().every(({ isTolerated }) => isTolerated),
    cases,
    unseenOverTime: unseenOverTime(history),
    ...lagsOf(history),
  };
}
