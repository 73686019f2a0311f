import type {
  DataOperation,
  Operation,
  Poll,
  PollOperation,
  Send,
  TransactionOperation,
} from "../../../../src/sim/checker/operation.ts";
import type { ErrorType } from "../../../../src/sim/checker/report.ts";
import { randomOf } from "./model.ts";
import type { ModelRun } from "./model.ts";
import { polls, sends } from "./story.ts";

/** What a mutation has planted: a case that has these facts, and that this operation is part of. */
export interface Planted {
  readonly type: ErrorType;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly witness: DataOperation;
}

interface PollPlace {
  readonly index: number;
  readonly operation: PollOperation;
  readonly step: Poll;
}

/** Keys that no record is missing of for good reason. */
const WHOLE = ["k", "l"];

/** One history that is as it should be, into which one thing that must not be is planted. */
export class Garden {
  readonly operations: Operation[];
  readonly #run: ModelRun;
  readonly #random: (below: number) => number;
  #nowMs: number;

  constructor(run: ModelRun, seed: number) {
    this.#run = run;
    this.#random = randomOf(seed);
    this.operations = [...run.operations];
    this.#nowMs = run.endMs;
  }

  readonly plant: Record<ErrorType, () => Planted> = {
    "inconsistent-offsets": () => {
      const place = this.#pick(this.#pollsOf("final", 1));
      const at = this.#random(place.step.records.length);
      const { offset } = place.step.records[at]!;
      this.#since({
        kind: "send",
        process: "x",
        outcome: "info",
        steps: sends(place.step.key, "x"),
      });
      // Another reader, who keeps to the order, was shown another value.
      const witness = this.#reads("y", place.step.key, `x@${offset}`);
      return { type: "inconsistent-offsets", facts: { key: place.step.key, offset }, witness };
    },
    duplicate: () => {
      const { step } = this.#pick(this.#pollsOf("final", 1));
      const { value } = this.#pick(step.records);
      const witness = this.#reads("y", step.key, `${value}@${this.#end(step.key)}`);
      return { type: "duplicate", facts: { key: step.key, value }, witness };
    },
    "lost-write": () => this.#forget(),
    unseen: () => {
      const witness = this.#sent("x", "k", `x@${this.#end("k")}`);
      return { type: "unseen", facts: { key: "k", value: "x" }, witness };
    },
    C21: () => {
      const witness = this.#reads("y", "k", `x@${this.#end("k")}`);
      return { type: "C21", facts: { key: "k", value: "x" }, witness };
    },
    G1a: () => {
      const failed = this.operations.filter(
        (operation): operation is TransactionOperation =>
          operation.kind === "txn" && operation.outcome === "fail" && sendsOf(operation).length > 0,
      );
      const witness = this.#pick(failed);
      const { key, value, offset = 0 } = this.#pick(sendsOf(witness));
      this.#reads("y", key, `${value}@${offset}`);
      return { type: "G1a", facts: { key, value, isTolerated: false }, witness };
    },
    "precommitted-read": () => {
      const committed = this.operations.flatMap((operation, index) =>
        operation.kind === "txn" && operation.outcome === "ok" && sendsOf(operation).length > 0
          ? [{ operation, index }]
          : [],
      );
      const { operation, index } = this.#pick(committed);
      const { key, value, offset = 0 } = this.#pick(sendsOf(operation));
      const steps = [...operation.steps, ...polls(key, `${value}@${offset}`)];
      const witness = { ...operation, steps };
      this.operations[index] = witness;
      return { type: "precommitted-read", facts: { key, value }, witness };
    },
    "int-poll-skip": () => {
      const place = this.#pick(this.#pollsOf("final", 3));
      const { key, records } = place.step;
      const at = 1 + this.#random(records.length - 2);
      const witness = this.#replace(place, records.toSpliced(at, 1));
      // Else it would be lost as well.
      this.#reads("y", key, `${records[at]!.value}@${records[at]!.offset}`);
      const [from, to] = [records[at - 1]!.offset, records[at + 1]!.offset];
      return { type: "int-poll-skip", facts: { key, from, to }, witness };
    },
    "poll-skip": () => {
      const [before, after] = this.#neighbours(2);
      const { key, records } = after.step;
      const witness = this.#replace(after, records.slice(1));
      this.#reads("y", key, `${records[0]!.value}@${records[0]!.offset}`);
      const facts = { key, from: before.step.records.at(-1)!.offset, to: records[1]!.offset };
      return { type: "poll-skip", facts, witness };
    },
    "int-nonmonotonic-poll": () => {
      const place = this.#pick(this.#pollsOf("final", 2));
      const { key, records } = place.step;
      const at = this.#random(records.length - 1);
      const [one, two] = [records[at]!, records[at + 1]!];
      const witness = this.#replace(place, records.toSpliced(at, 2, two, one));
      const facts = { key, from: two.offset, to: one.offset };
      return { type: "int-nonmonotonic-poll", facts, witness };
    },
    "nonmonotonic-poll": () => {
      const [before, after] = this.#neighbours(1);
      const last = before.step.records.at(-1)!;
      const witness = this.#replace(after, [last, ...after.step.records]);
      const facts = { key: after.step.key, from: last.offset, to: last.offset };
      return { type: "nonmonotonic-poll", facts, witness };
    },
    "int-nonmonotonic-send": () => {
      const end = this.#end("k");
      const witness = this.#txn("x", sends("k", `x@${end + 1} y@${end}`));
      this.#reads("y", "k", `y@${end} x@${end + 1}`);
      const facts = { key: "k", from: end + 1, to: end };
      return { type: "int-nonmonotonic-send", facts, witness };
    },
    "nonmonotonic-send": () => {
      const end = this.#end("k");
      this.#sent("x", "k", `x@${end + 1}`);
      const witness = this.#sent("x", "k", `y@${end}`);
      this.#reads("y", "k", `y@${end} x@${end + 1}`);
      const facts = { key: "k", from: end + 1, to: end };
      return { type: "nonmonotonic-send", facts, witness };
    },
    "int-send-skip": () => {
      const end = this.#end("k");
      const witness = this.#txn("x", sends("k", `x@${end} z@${end + 2}`));
      this.#sent("y", "k", `y@${end + 1}`);
      this.#reads("y", "k", `x@${end} y@${end + 1} z@${end + 2}`);
      const facts = { key: "k", from: end, to: end + 2, skipped: ["y"] };
      return { type: "int-send-skip", facts, witness };
    },
    G0: () => {
      const witness = this.#atOnce("x", [...sends("m", "a@0"), ...sends("n", "b@1")]);
      this.#atOnce("y", [...sends("m", "c@1"), ...sends("n", "d@0")]);
      this.#readTwo("a@0 c@1", "d@0 b@1");
      return { type: "G0", facts: { isTolerated: true }, witness };
    },
    "G0-process": () => this.#writesInTurn("x", "x", "G0-process"),
    "G0-realtime": () => this.#writesInTurn("x", "y", "G0-realtime"),
    G1c: () => {
      const witness = this.#atOnce("x", [...sends("m", "a@0"), ...polls("n", "b@0")]);
      this.#atOnce("y", [...sends("n", "b@0"), ...polls("m", "a@0")]);
      return { type: "G1c", facts: { isTolerated: false }, witness };
    },
    "G1c-process": () => this.#readInTurn("x", "x", "G1c-process"),
    "G1c-realtime": () => this.#readInTurn("x", "y", "G1c-realtime"),
    G2: () => {
      this.#atOnce("w", [...sends("m", "a@0"), ...sends("n", "b@0")]);
      const witness = this.#atOnce("x", [...polls("m", "a@0"), ...sends("n", "c@1")]);
      this.#atOnce("y", [...polls("n", "b@0"), ...sends("m", "d@1")]);
      this.#readTwo("a@0 d@1", "b@0 c@1");
      return { type: "G2", facts: { isTolerated: true }, witness };
    },
    "G2-process": () => this.#staleRead("x", "x", "G2-process"),
    "G2-realtime": () => this.#staleRead("x", "y", "G2-realtime"),
  };

  /** What one process wrote, or another after it, lies before what a third made of it. */
  #writesInTurn(first: string, second: string, type: ErrorType): Planted {
    const startedMs = this.#nowMs;
    const witness = this.#sent(first, "m", "a@1");
    this.#sent(second, "n", "b@0");
    const steps = [...sends("m", "c@0"), ...sends("n", "d@1")];
    this.#since({ kind: "txn", process: "z", outcome: "ok", steps }, startedMs);
    this.#readTwo("c@0 a@1", "b@0 d@1");
    return { type, facts: { isTolerated: true }, witness };
  }

  #readInTurn(first: string, second: string, type: ErrorType): Planted {
    const startedMs = this.#nowMs;
    const witness = this.#reads(first, "m", "a@0");
    this.#sent(second, "n", "b@0");
    const steps = [...polls("n", "b@0"), ...sends("m", "a@0")];
    this.#since({ kind: "txn", process: "z", outcome: "ok", steps }, startedMs);
    return { type, facts: { isTolerated: false }, witness };
  }

  #staleRead(writer: string, reader: string, type: ErrorType): Planted {
    this.#sent(writer, "m", "a@0");
    this.#sent(writer, "m", "b@1");
    const witness = this.#reads(reader, "m", "a@0");
    this.#reads(reader, "m", "b@1");
    return { type, facts: { isTolerated: true }, witness };
  }

  /** An acked record that nobody polled, though all went on. */
  #forget(): Planted {
    const written = this.operations.flatMap((operation) =>
      operation.kind !== "crash" && "steps" in operation && operation.outcome === "ok"
        ? sendsOf(operation).map((send) => ({ operation, send }))
        : [],
    );
    const lastOf = (key: string): number =>
      this.#pollsOf("final", 1, key).at(-1)!.step.records.at(-1)!.offset;
    const { operation: witness, send } = this.#pick(
      written.filter(
        ({ send: { key, offset } }) =>
          WHOLE.includes(key) && offset !== undefined && offset < lastOf(key),
      ),
    );
    for (const [index, operation] of this.operations.entries()) {
      if (!("steps" in operation) || operation.kind === "send") continue;
      const steps = operation.steps.map((step) =>
        step.kind === "poll" && step.key === send.key
          ? { ...step, records: step.records.filter(({ value }) => value !== send.value) }
          : step,
      );
      // The cast says what the map above keeps: polls stay polls.
      if (operation !== witness) this.operations[index] = { ...operation, steps } as Operation;
    }
    return { type: "lost-write", facts: { key: send.key, value: send.value }, witness };
  }

  /** Polls that follow each other of one reader and key, the second of at least so many records. */
  #neighbours(least: number): [PollPlace, PollPlace] {
    const pairs = WHOLE.flatMap((key) => {
      const places = this.#pollsOf("final", 1, key);
      return places.flatMap((after, index): [PollPlace, PollPlace][] => {
        const before = places[index - 1];
        return before !== undefined && after.step.records.length >= least ? [[before, after]] : [];
      });
    });
    return this.#pick(pairs);
  }

  #pollsOf(process: string, least: number, key?: string): PollPlace[] {
    return this.operations.flatMap((operation, index) => {
      if (operation.kind !== "poll" || operation.process !== process) return [];
      return operation.steps.flatMap((step) => {
        const isWanted = key === undefined ? WHOLE.includes(step.key) : step.key === key;
        return isWanted && step.records.length >= least ? [{ index, operation, step }] : [];
      });
    });
  }

  #replace({ index, operation }: PollPlace, records: Poll["records"]): PollOperation {
    const changed = { ...operation, steps: [{ ...operation.steps[0]!, records }] };
    this.operations[index] = changed;
    return changed;
  }

  #end(key: string): number {
    return this.#run.logs.get(key)!.nextOffset;
  }

  #reads(process: string, key: string, text: string): DataOperation {
    return this.#since({ kind: "poll", process, outcome: "ok", steps: polls(key, text) });
  }

  #readTwo(m: string, n: string): void {
    this.#reads("r", "m", m);
    this.#reads("r", "n", n);
  }

  #sent(process: string, key: string, text: string): DataOperation {
    return this.#since({ kind: "send", process, outcome: "ok", steps: sends(key, text) });
  }

  #txn(process: string, steps: (Send | Poll)[]): DataOperation {
    return this.#since({ kind: "txn", process, outcome: "ok", steps });
  }

  #atOnce(process: string, steps: (Send | Poll)[]): DataOperation {
    return this.#since({ kind: "txn", process, outcome: "ok", steps }, this.#run.endMs);
  }

  /** An operation that ends now, and began just before, if not at the given time. */
  #since(
    operation:
      | Omit<PollOperation, "startedMs" | "endedMs">
      | Omit<TransactionOperation, "startedMs" | "endedMs">
      | Omit<Extract<DataOperation, { kind: "send" }>, "startedMs" | "endedMs">,
    startedMs = this.#nowMs + 1,
  ): DataOperation {
    this.#nowMs += 2;
    const whole = { ...operation, startedMs, endedMs: this.#nowMs };
    this.operations.push(whole);
    return whole;
  }

  #pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error("the history has no place for this");
    return from[this.#random(from.length)]!;
  }
}

function sendsOf(operation: DataOperation): Send[] {
  return operation.steps.flatMap((step) => (step.kind === "send" ? [step] : []));
}
