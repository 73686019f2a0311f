import { checkHistory } from "../../../../src/sim/checker/check.ts";
import type { CheckOptions } from "../../../../src/sim/checker/check.ts";
import type {
  AssignOperation,
  CrashOperation,
  Operation,
  Poll,
  PollOperation,
  Send,
  SendOperation,
  TransactionOperation,
} from "../../../../src/sim/checker/operation.ts";

type Loose<T extends Operation> = Partial<Omit<T, "kind" | "process" | "steps">>;

/** `value@offset`, or `value` alone where no offset is known. */
export function sends(key: string, text: string): Send[] {
  return words(text).map((word) => {
    const [value = "", offset] = word.split("@");
    return { kind: "send", key, value, ...(offset === undefined ? {} : { offset: +offset }) };
  });
}

/** `value@offset`, one poll of one key. */
export function polls(key: string, text: string): Poll[] {
  const records = words(text).map((word) => {
    const [value = "", offset = ""] = word.split("@");
    return { value, offset: +offset };
  });
  return [{ kind: "poll", key, records }];
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

/** A history that is told in order: each operation ends before the next begins, unless it says so. */
export class Story {
  readonly operations: Operation[] = [];
  #nowMs = 0;

  send(process: string, steps: Send[], rest: Loose<SendOperation> = {}): SendOperation {
    return this.#add({ kind: "send", process, steps, ...this.#frame(), ...rest });
  }

  poll(process: string, steps: Poll[], rest: Loose<PollOperation> = {}): PollOperation {
    return this.#add({ kind: "poll", process, steps, ...this.#frame(), ...rest });
  }

  txn(
    process: string,
    steps: (Send | Poll)[],
    rest: Loose<TransactionOperation> = {},
  ): TransactionOperation {
    return this.#add({ kind: "txn", process, steps, ...this.#frame(), ...rest });
  }

  assign(process: string, keys: string[], rest: Loose<AssignOperation> = {}): AssignOperation {
    return this.#add({ kind: "assign", process, keys, ...this.#frame(), ...rest });
  }

  subscribe(process: string, keys: string[], rest: Loose<AssignOperation> = {}): AssignOperation {
    return this.#add({ kind: "subscribe", process, keys, ...this.#frame(), ...rest });
  }

  crash(process: string, rest: Loose<CrashOperation> = {}): CrashOperation {
    return this.#add({ kind: "crash", process, ...this.#frame(), outcome: "info", ...rest });
  }

  check(options: CheckOptions = {}) {
    return checkHistory(this.operations, options);
  }

  /** The types that are found; in brackets those that are tolerated only. */
  types(options: CheckOptions = {}): string[] {
    return [...this.check(options).cases].map(([type, cases]) =>
      cases.every(({ isTolerated }) => isTolerated) ? `(${type})` : type,
    );
  }

  #frame() {
    this.#nowMs += 10;
    return { outcome: "ok" as const, startedMs: this.#nowMs, endedMs: this.#nowMs + 5 };
  }

  #add<T extends Operation>(operation: T): T {
    this.operations.push(operation);
    return operation;
  }
}
