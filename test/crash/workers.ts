import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { Answer, Task } from "./worker.ts";

/** Processes that work on tasks side by side, each on one at a time. */
export class Workers {
  readonly #children: readonly ChildProcess[];

  /** `root` holds the sources and tests that they run. */
  constructor(root: string, count: number) {
    this.#children = Array.from({ length: count }, () =>
      fork(join(root, "test/crash/worker.ts"), { execArgv: ["--import", "tsx"] }),
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
          onAnswer(next.value, await ask(child, next.value));
        }
      }),
    );
  }

  close(): void {
    for (const child of this.#children) child.kill();
  }
}

function ask(child: ChildProcess, task: Task): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`a worker has ended (${code}) with ${JSON.stringify(task)}`));
    child.once("exit", onExit);
    child.once("message", (answer: Answer) => {
      child.off("exit", onExit);
      resolve(answer);
    });
    child.send(task);
  });
}
