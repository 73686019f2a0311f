import type { DataOperation, Operation, PollOperation, TransactionOperation } from "./operation.ts";
import type { OrderCase } from "./report.ts";
import type { KeyLog, KeyLogs } from "./key-log.ts";

type Polling = PollOperation | TransactionOperation;

/** Where a consumer stands in a key, and the operation that brought it there. */
interface Place {
  readonly offset: number;
  readonly operation: Polling;
}

interface Consumer {
  isSubscribed: boolean;
  /** By key. Two where nobody knows whether the client went back when its transaction failed. */
  readonly places: Map<string, readonly Place[]>;
}

export interface PollOrderOptions {
  /** Every change of an assignment is in `rebalancedKeys`, so a subscription excuses nothing more. */
  readonly rebalancesAreLogged: boolean;
}

/** What consumers jump over, and where they go back: inside of an operation, and from one to the next. */
export class PollOrder {
  readonly #logs: KeyLogs;
  readonly #options: PollOrderOptions;
  readonly #consumers = new Map<string, Consumer>();

  constructor(logs: KeyLogs, options: PollOrderOptions) {
    this.#logs = logs;
    this.#options = options;
  }

  *errors(history: readonly Operation[]): Generator<OrderCase> {
    for (const operation of history) {
      if (operation.kind === "poll" || operation.kind === "txn") yield* this.#onPoll(operation);
      else if (operation.kind !== "send") this.#onAssignment(operation);
    }
  }

  #onAssignment(operation: Exclude<Operation, DataOperation>): void {
    const { kind, process } = operation;
    const consumer = this.#consumer(process);
    if (kind === "crash") consumer.places.clear();
    if (kind === "crash" || operation.outcome === "fail") return;
    consumer.isSubscribed = kind === "subscribe";
    // Of an `info` nobody knows what the consumer goes by now.
    const goesOn = operation.outcome === "ok" && operation.seeks !== true;
    const kept = new Set(goesOn ? operation.keys : []);
    for (const key of consumer.places.keys()) if (!kept.has(key)) consumer.places.delete(key);
  }

  *#onPoll(operation: Polling): Generator<OrderCase> {
    const consumer = this.#consumer(operation.process);
    const rebalanced = new Set(operation.rebalancedKeys);
    for (const key of rebalanced) consumer.places.delete(key);
    for (const [key, offsets] of offsetsByKey(operation)) {
      // Before or after which record the assignment changed, nobody knows.
      if (rebalanced.has(key)) continue;
      const log = this.#logs.log(key);
      yield* insideErrors(log, offsets, operation);
      const [first] = offsets;
      const last = offsets.at(-1);
      if (first === undefined || last === undefined) continue;
      const before = consumer.places.get(key) ?? [];
      yield* this.#betweenErrors(log, before, { offset: first, operation }, consumer);
      const place = { offset: last, operation };
      if (operation.outcome === "ok") consumer.places.set(key, [place]);
      else if (before[0] !== undefined) consumer.places.set(key, [before[0], place]);
    }
  }

  *#betweenErrors(
    log: KeyLog,
    before: readonly Place[],
    to: Place,
    { isSubscribed }: Consumer,
  ): Generator<OrderCase> {
    const [settled] = before;
    if (settled === undefined || before.some(({ offset }) => follows(log, offset, to.offset)))
      return;
    const isBack = to.offset <= settled.offset;
    yield {
      type: isBack ? "nonmonotonic-poll" : "poll-skip",
      isTolerated: isSubscribed && !this.#options.rebalancesAreLogged,
      ...jump(log, settled.offset, to.offset),
      operations: [settled.operation, to.operation],
    };
  }

  #consumer(process: string): Consumer {
    let consumer = this.#consumers.get(process);
    if (consumer === undefined) {
      consumer = { isSubscribed: false, places: new Map() };
      this.#consumers.set(process, consumer);
    }
    return consumer;
  }
}

function* insideErrors(
  log: KeyLog,
  offsets: readonly number[],
  operation: Polling,
): Generator<OrderCase> {
  let from: number | null = null;
  for (const to of offsets) {
    if (from !== null && !follows(log, from, to)) {
      const type = to <= from ? "int-nonmonotonic-poll" : "int-poll-skip";
      yield { type, isTolerated: false, ...jump(log, from, to), operations: [operation] };
    }
    from = to;
  }
}

function follows(log: KeyLog, from: number, to: number): boolean {
  return to > from && log.between(from, to).length === 0;
}

function jump(
  log: KeyLog,
  from: number,
  to: number,
): Pick<OrderCase, "key" | "from" | "to" | "skipped"> {
  const between = to > from ? log.between(from, to) : [];
  return { key: log.key, from, to, skipped: between.map(({ version }) => version.value) };
}

/** What was polled of each key, over all polls of the operation. */
function offsetsByKey(operation: Polling): Map<string, number[]> {
  const byKey = new Map<string, number[]>();
  for (const step of operation.steps) {
    if (step.kind !== "poll") continue;
    const offsets = byKey.get(step.key) ?? [];
    for (const { offset } of step.records) offsets.push(offset);
    byKey.set(step.key, offsets);
  }
  return byKey;
}
