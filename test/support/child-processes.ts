import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** Processes that run, and the folder that each works in. */
const running = new Map<ChildProcess, string>();

// Also when a test is given up in the middle: whoever starts a process leaves none behind.
process.on("exit", () => {
  for (const child of running.keys()) child.kill("SIGKILL");
});

/** The process ends with the folder, at the latest. */
export function ownProcess(child: ChildProcess, folder: string): void {
  running.set(child, folder);
  child.once("exit", () => running.delete(child));
}

/** Kills what still works in the folder, or below it; resolves when it is gone. */
export async function endProcessesIn(folder: string): Promise<void> {
  const left = [...running].filter(([, own]) => own === folder || own.startsWith(`${folder}/`));
  await Promise.all(
    left.map(async ([child]) => {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }),
  );
}
