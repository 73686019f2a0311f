import type { CompressionType } from "../../base/offload.ts";
import { buildBatch } from "../../protocol/records/batch-builder.ts";
import { BATCH_OVERHEAD } from "../../protocol/records/batch.ts";
import type { KeyValue, Outcome, Reply, TimerChange } from "./core.ts";

/** A command and who waits for it. */
export interface StagedCommand<Command> {
  readonly command: Command;
  readonly ticket: number | null;
  /** The deadline that brought it. */
  readonly timerKey: string | null;
}

/** Most that a record costs besides key and value: lengths, deltas, attributes, header count. */
const RECORD_OVERHEAD_BYTES = 32;

type AnyOutcome<Command> = Outcome<Command, unknown>;

/** What the commands of one turn decided, until it becomes one batch of the log. */
export class BatchInProgress<Command> {
  /** Where the state goes back to when the log refuses the batch. */
  readonly positionBefore: number;
  readonly commands: {
    readonly staged: StagedCommand<Command>;
    readonly onRefused: AnyOutcome<Command>["onRefused"];
  }[] = [];
  readonly replies: Reply[] = [];
  readonly timers: TimerChange<Command>[] = [];
  readonly #maxBytes: number;
  readonly #records: KeyValue[] = [];
  readonly #touchedTimers = new Set<string>();
  #bytes = BATCH_OVERHEAD;

  constructor(positionBefore: number, maxBytes: number) {
    this.positionBefore = positionBefore;
    this.#maxBytes = maxBytes;
  }

  get isEmpty(): boolean {
    return this.commands.length === 0;
  }

  /** Takes the command with its records, or nothing when they do not fit: then false. */
  add(
    staged: StagedCommand<Command>,
    outcome: AnyOutcome<Command>,
    records: readonly KeyValue[],
  ): boolean {
    const bytes = records.reduce(
      (sum, { key, value }) => sum + key.length + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES,
      0,
    );
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    this.#records.push(...records);
    this.commands.push({ staged, onRefused: outcome.onRefused });
    this.replies.push(...outcome.replies);
    for (const change of outcome.timers) {
      this.timers.push(change);
      this.#touchedTimers.add(change.key);
    }
    return true;
  }

  touchesTimer(key: string): boolean {
    return this.#touchedTimers.has(key);
  }

  /** The batch; null when no command had records. */
  build(timestampMs: number, compression: CompressionType): Buffer | null {
    if (this.#records.length === 0) return null;
    return buildBatch({ records: this.#records, timestampMs, compression });
  }
}
