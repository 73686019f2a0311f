import { syncBuiltinESMExports } from "node:module";

/** A use of the machine's own time or chance by code that runs inside a simulation. */
export interface Violation {
  readonly what: string;
  readonly stack: string;
}

/** Frames of these are the test runner's own, which shares the process with us. */
const RUNNER_FRAMES = /node_modules\/(vitest|@vitest|tinypool|birpc|vite|tsx|esbuild)\//;

type AnyFunction = (...values: unknown[]) => unknown;

interface Patch {
  readonly owner: object;
  readonly name: string;
  /** Undefined: the owner had inherited it. */
  readonly descriptor: PropertyDescriptor | undefined;
}

/**
 * While it is on, time and chance that do not come through the ports are recorded: Date, performance,
 * timers, Math.random, and the random functions of node:crypto. They still work, so that the run goes
 * on to its end and all of them are seen. One guard at a time in a process.
 */
export class Guard {
  readonly violations: Violation[] = [];
  readonly #patches: Patch[] = [];

  /** Runs `body` under guard; the originals are back when it has settled. */
  async run<T>(body: () => Promise<T>): Promise<T> {
    this.#install();
    try {
      return await body();
    } finally {
      this.#remove();
    }
  }

  #install(): void {
    const timers = process.getBuiltinModule("node:timers");
    const timerPromises = process.getBuiltinModule("node:timers/promises");
    const crypto = process.getBuiltinModule("node:crypto");
    for (const name of ["setTimeout", "setInterval", "setImmediate"] as const) {
      this.#watch(globalThis, name, name);
      this.#watch(timers, name, name);
      this.#watch(timerPromises, name, `timers/promises ${name}`);
    }
    this.#watch(globalThis.performance, "now", "performance.now");
    this.#watch(process.hrtime, "bigint", "process.hrtime.bigint");
    this.#watch(process, "hrtime", "process.hrtime");
    this.#watch(Math, "random", "Math.random");
    for (const name of [
      "randomUUID",
      "randomBytes",
      "randomInt",
      "randomFill",
      "randomFillSync",
      "getRandomValues",
    ]) {
      this.#watch(crypto, name, `crypto.${name}`);
    }
    this.#watch(globalThis.crypto, "getRandomValues", "crypto.getRandomValues");
    this.#watch(globalThis.crypto, "randomUUID", "crypto.randomUUID");
    this.#replace(globalThis, "Date", this.#watchedDate());
    syncBuiltinESMExports();
  }

  #remove(): void {
    for (const { owner, name, descriptor } of this.#patches.reverse()) {
      if (descriptor === undefined) Reflect.deleteProperty(owner, name);
      else Object.defineProperty(owner, name, descriptor);
    }
    this.#patches.length = 0;
    syncBuiltinESMExports();
  }

  #watch(owner: object, name: string, what: string): void {
    const original: unknown = Reflect.get(owner, name);
    if (typeof original !== "function") return;
    const record = (): void => this.#record(what);
    const watched = function (this: unknown, ...values: unknown[]): unknown {
      record();
      return Reflect.apply(original as AnyFunction, this, values);
    };
    // promisify and the like find their symbols on the watched function, too.
    const properties = Object.getOwnPropertyDescriptors(original);
    for (const key of ["length", "name", "prototype"]) Reflect.deleteProperty(properties, key);
    Object.defineProperties(watched, properties);
    this.#replace(owner, name, watched);
  }

  /** `new Date(value)` and Date.UTC are harmless; `new Date()`, Date() and Date.now are not. */
  #watchedDate(): unknown {
    const record = (what: string): void => this.#record(what);
    return new Proxy(globalThis.Date, {
      construct: (target, values: unknown[], newTarget) => {
        if (values.length === 0) record("new Date()");
        return Reflect.construct(target, values, newTarget) as object;
      },
      apply: (target, self, values) => {
        record("Date()");
        return Reflect.apply(target as unknown as AnyFunction, self, values);
      },
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (key !== "now") return value;
        return () => {
          record("Date.now");
          return (value as () => number)();
        };
      },
    });
  }

  #replace(owner: object, name: string, value: unknown): void {
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    // node:crypto has a few that cannot be replaced; they lead to those that are.
    if (descriptor?.configurable === false) return;
    this.#patches.push({ owner, name, descriptor });
    const enumerable = descriptor?.enumerable ?? true;
    Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable });
  }

  #record(what: string): void {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 30;
    const stack = new Error(what).stack ?? "";
    Error.stackTraceLimit = stackTraceLimit;
    if (isForeign(stack)) return;
    this.violations.push({ what, stack });
  }
}

/** Whether only the test runner or Node itself is on the stack. */
function isForeign(stack: string): boolean {
  const frames = stack
    .split("\n")
    .slice(1)
    .filter((line) => !/\/sim\/guard\.ts|\(node:|at node:|\(<anonymous>\)/.test(line));
  return frames.length === 0 || frames.every((line) => RUNNER_FRAMES.test(line));
}
