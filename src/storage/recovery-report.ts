import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";

/** What one log's recovery did. */
export interface RecoveryOutcome {
  readonly scannedBytes: number;
  readonly cutBytes: number;
  readonly damagedStretches: number;
}

const PROGRESS_INTERVAL_MS = 5_000;
/** The clock is looked at once in so many batches. */
const BATCHES_PER_LOOK = 256;

/** What the recoveries of one start do, all logs together: progress while they last, and a summary. */
export class RecoveryReport {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #startMs: number;
  #saidMs: number;
  #batchCount = 0;
  #scannedBytes = 0;
  #cutBytes = 0;
  #damagedStretches = 0;
  #damagedLogs = 0;
  #recoveredLogs = 0;
  #cutLogs = 0;
  /** Logs that are still to be opened, by log directory. */
  readonly #logsLeft = new Map<string, number>();

  constructor(dependencies: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
    this.#startMs = dependencies.clock.nowMs();
    this.#saidMs = this.#startMs;
  }

  /** So many logs lie in the directory. */
  expect(logDirectory: string, logCount: number): void {
    this.#logsLeft.set(logDirectory, logCount);
  }

  /** A batch was checked. */
  scanned(logDirectory: string, byteCount: number): void {
    this.#scannedBytes += byteCount;
    this.#batchCount += 1;
    if (this.#batchCount % BATCHES_PER_LOOK !== 0) return;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#saidMs < PROGRESS_INTERVAL_MS) return;
    this.#saidMs = nowMs;
    this.#logger.info(
      {
        directory: logDirectory,
        logsLeft: this.#logsLeft.get(logDirectory) ?? 0,
        scannedBytes: this.#scannedBytes,
        seconds: Math.round((nowMs - this.#startMs) / 1000),
      },
      "recovering logs",
    );
  }

  /** The log is open; null: nothing had to be recovered. */
  opened(logDirectory: string, outcome: RecoveryOutcome | null): void {
    this.#logsLeft.set(logDirectory, Math.max(0, (this.#logsLeft.get(logDirectory) ?? 0) - 1));
    if (outcome === null) return;
    this.#recoveredLogs += 1;
    this.#cutBytes += outcome.cutBytes;
    this.#damagedStretches += outcome.damagedStretches;
    if (outcome.cutBytes > 0) this.#cutLogs += 1;
    if (outcome.damagedStretches > 0) this.#damagedLogs += 1;
  }

  /** All that this start opens is open: says what was recovered, if anything was. */
  summarize(): void {
    if (this.#recoveredLogs === 0) return;
    const facts = {
      recoveredLogs: this.#recoveredLogs,
      scannedBytes: this.#scannedBytes,
      cutLogs: this.#cutLogs,
      cutBytes: this.#cutBytes,
      damagedLogs: this.#damagedLogs,
      damagedStretches: this.#damagedStretches,
      elapsedMs: Math.round(this.#clock.nowMs() - this.#startMs),
    };
    if (this.#damagedLogs > 0) {
      this.#logger.error(facts, "recovered; some logs are damaged where they were durable");
    } else {
      this.#logger.info(facts, "recovered the logs that were not stopped in order");
    }
  }
}
