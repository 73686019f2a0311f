import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Answer, Report, Task } from "./worker.ts";

/** Processes that work on tasks side by side, each on one at a time. */
export class Workers {
  readonly #children: readonly ChildProcess[];
  readonly #cpuMs = new Map<ChildProcess, number>();

  /** `root` holds the sources and tests that they run. */
  constructor(root: string, count: number) {
    this.#children = Array.from({ length: count }, () =>
      fork(join(root, "test/crash/worker.ts"), {
        // Most of what a probe makes dies young.
        execArgv: ["--max-semi-space-size=64", "--import", "tsx"],
      }),
    );
  }

  /** Draws tasks while there are any. Throws when a worker ends. */
  async run<T extends Task>(
    tasks: Iterator<T>,
    onAnswer: (task: T, answer: Answer) => void,
  ): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        for (let next = tasks.next(); next.done !== true; next = tasks.next()) {
          const { answer, cpuMs } = await ask(child, next.value);
          this.#cpuMs.set(child, cpuMs);
          onAnswer(next.value, answer);
        }
      }),
    );
  }

  /** What all have taken so far: the machine may have had other work. */
  get cpuSeconds(): number {
    return [...this.#cpuMs.values()].reduce((sum, ms) => sum + ms, 0) / 1000;
  }

  close(): void {
    for (const child of this.#children) child.kill();
  }
}

function ask(child: ChildProcess, task: Task): Promise<Report> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`a worker has ended (${code}) with ${JSON.stringify(task)}`));
    child.once("exit", onExit);
    child.once("message", (report: Report) => {
      child.off("exit", onExit);
      resolve(report);
    });
    child.send(task);
  });
}
