import { violationsOf } from "./invariants.ts";
import { momentsOf } from "./moments.ts";
import type { Outcome, Prober } from "./probe.ts";
import type { Recording } from "./recordings.ts";

export interface Violation {
  /** For `--only <recording> --state <id>`. */
  readonly recording: string;
  readonly state: string;
  /** The last event before the cut. */
  readonly event: string;
  readonly texts: readonly string[];
}

export interface Findings {
  recordingCount: number;
  stateCount: number;
  momentCount: number;
  /** Of the moments, those of which every state was looked at. */
  exhaustedCount: number;
  readonly hashes: Set<string>;
  readonly violations: Violation[];
}

export interface ExploreOptions {
  /** How many states of one moment are looked at. */
  readonly limit: number;
  readonly maxViolations: number;
  /** Only this one. */
  readonly state?: string;
  /** Of the workload's setup. */
  readonly prober: Prober;
}

export function noFindings(): Findings {
  const counts = { recordingCount: 0, stateCount: 0, momentCount: 0, exhaustedCount: 0 };
  return { ...counts, hashes: new Set(), violations: [] };
}

/**
 * Goes through the moments of a recording, recovers what cuts may leave there, and checks it. Adds to
 * the findings.
 *
 * Which of S1 to S18 (docs/reliability.md) is checked where, and what a crash state cannot show:
 * - S1, S3, S4, S5, S7, S13, S14, S15, S17 against what was done and promised (invariants.ts);
 * - S2, S6, S10, S11, S12, S16, S18 by what the product makes of the image alone (probe.ts, reads.ts);
 * - S9, S10, S11, S12, S15 in its files (file-invariants.ts).
 * - S8: a failed call that is made again is told by the disk that records (recorder.ts), and what a
 *   failed sync was to keep never becomes durable in the model, whatever is synced later. Every call
 *   site, every kind of failure: test/faults.
 * - S13 is about the high watermark, which a log does not know: test/sim and test/replica.
 * - S18 of clients: the high watermark is the replica's; test/sim checks every answer, test/server/handlers
 *   the bytes. Here: no read goes beyond the end that it was given.
 */
export async function explore(
  recording: Recording,
  options: ExploreOptions,
  findings: Findings = noFindings(),
): Promise<Findings> {
  findings.recordingCount += 1;
  const { prober } = options;
  for (const { event, history, isExhaustive, states } of momentsOf(recording, options.limit)) {
    findings.momentCount += 1;
    if (isExhaustive) findings.exhaustedCount += 1;
    // At one moment nothing new is promised.
    const judged = {
      process: new Map<Outcome, readonly string[]>(),
      power: new Map<Outcome, readonly string[]>(),
    };
    for (const { id, key, image, cut } of states) {
      if (options.state !== undefined && options.state !== id) continue;
      findings.stateCount += 1;
      const { hash, outcome } = prober.known(key) ?? (await prober.probe(key, image()));
      findings.hashes.add(hash);
      const texts = judged[cut].get(outcome) ?? violationsOf(history, outcome, cut);
      judged[cut].set(outcome, texts);
      if (texts.length === 0) continue;
      const place = { recording: `${recording.name}@${recording.seed}`, state: id };
      findings.violations.push({ ...place, event: event.where(), texts });
      if (findings.violations.length >= options.maxViolations) return findings;
    }
  }
  return findings;
}
