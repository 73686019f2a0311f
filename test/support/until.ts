import { setTimeout as pause } from "node:timers/promises";

/** Asks another process again and again, until it has come so far; how long that takes is its own affair. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadlineMs = performance.now() + 180_000;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`not within three minutes: ${what}`);
    await pause(20);
  }
}
