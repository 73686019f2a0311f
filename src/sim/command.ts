import type { Offload } from "../base/offload.ts";

/** What the command line asks of a workload. */
export interface CommandOptions {
  readonly offload: Offload;
  /** Each seed is run once, and nobody compares. */
  readonly isOnce: boolean;
  readonly isVerbose: boolean;
}

interface Traced {
  readonly hash: string;
  readonly lines: readonly string[];
}

/** Where two runs of one seed part; `run` runs it once more and keeps the lines. */
export async function differencesOf(
  first: Traced,
  second: Traced,
  run: () => Promise<Traced>,
): Promise<string[]> {
  if (first.hash === second.hash) return [];
  const { lines: one } = await run();
  const { lines: two } = await run();
  const at = one.findIndex((line, index) => line !== two[index]);
  const message = `not deterministic: ${first.hash} and ${second.hash}`;
  if (at < 0) return [message];
  const before = one.slice(Math.max(0, at - 5), at).join("\n    ");
  return [`${message}\n    ${before}\n  - ${one[at] ?? ""}\n  + ${two[at] ?? "the end"}`];
}
