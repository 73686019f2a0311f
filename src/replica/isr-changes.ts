import type { Uuid } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import type { BrokerIncarnations, IsrProposal } from "./isr-state.ts";
import type { Partition } from "./partition.ts";

/** An ISR that a leader asks the controller for. */
export interface IsrChange {
  readonly topicId: Uuid;
  readonly partitionIndex: number;
  readonly proposal: IsrProposal;
}

/** AlterPartition: one outcome a change, in their order. Rejects with KafkaError: it is not known what became of them. */
export type AlterIsr = (changes: readonly IsrChange[]) => Promise<readonly (ErrorName | null)[]>;

export interface IsrChangesDependencies {
  readonly alterIsr: AlterIsr;
  readonly brokers: BrokerIncarnations;
  /** replica.lag.time.max.ms. */
  readonly lagMaxMs: () => number;
  readonly timers: TimerQueue;
  readonly logger: Logger;
}

const RETRY_MS = 100;
/** In one request; more wait for the next. */
const MAX_CHANGES = 1_000;

/** Nothing was changed, and nothing newer is known to the controller. */
const REFUSALS: ReadonlySet<ErrorName> = new Set(["INELIGIBLE_REPLICA", "INVALID_REQUEST"]);

/** Brings the ISRs of the partitions that are led here to the controller: one request at a time for all of them. */
export class IsrChanges {
  readonly #dependencies: IsrChangesDependencies;
  readonly #waiting = new Set<Partition>();
  #isPumping = false;
  #isClosed = false;

  constructor(dependencies: IsrChangesDependencies) {
    this.#dependencies = dependencies;
  }

  /** Its ISR may be another than the committed one. */
  consider(partition: Partition): void {
    if (this.#isClosed) return;
    this.#waiting.add(partition);
    if (!this.#isPumping) void this.#pump();
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    try {
      // What comes in the same turn goes together.
      await Promise.resolve();
      for (let asked = this.#proposals(); asked.length > 0; asked = this.#proposals()) {
        await this.#ask(asked);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #proposals() {
    const { lagMaxMs, brokers, logger } = this.#dependencies;
    const asked: { readonly partition: Partition; readonly change: IsrChange }[] = [];
    for (const partition of this.#waiting) {
      if (asked.length === MAX_CHANGES) break;
      this.#waiting.delete(partition);
      const proposal = partition.proposeIsr(lagMaxMs(), brokers);
      if (proposal === null) continue;
      const { topic, topicId, partitionIndex, isr } = partition;
      const wanted = proposal.members.map(({ brokerId }) => brokerId);
      const what = wanted.length < isr.length ? "shrinks" : "grows";
      logger.info({ topic, partitionIndex, isr, wanted }, `the ISR ${what}`);
      asked.push({ partition, change: { topicId, partitionIndex, proposal } });
    }
    return asked;
  }

  async #ask(
    asked: readonly { readonly partition: Partition; readonly change: IsrChange }[],
  ): Promise<void> {
    const outcomes = await this.#outcomesOf(asked.map(({ change }) => change));
    for (const [index, { partition, change }] of asked.entries()) {
      const error = outcomes === null ? "NETWORK_EXCEPTION" : (outcomes[index] ?? null);
      const outcome = outcomes === null ? "unknown" : meaningOf(error);
      partition.settleIsr(change.proposal, outcome);
      if (outcome !== "told") this.#retryLater(partition, error);
    }
  }

  async #outcomesOf(changes: readonly IsrChange[]): Promise<readonly (ErrorName | null)[] | null> {
    try {
      return await this.#dependencies.alterIsr(changes);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      this.#dependencies.logger.warn(
        { error: error.errorName },
        `no ISR changes: ${error.message}`,
      );
      return null;
    }
  }

  #retryLater(partition: Partition, error: ErrorName | null): void {
    const { topic, partitionIndex } = partition;
    this.#dependencies.logger.info({ topic, partitionIndex, error }, "the ISR stays as it was");
    this.#dependencies.timers.after(RETRY_MS, () => this.consider(partition));
  }
}

/**
 * See IsrState.settle. Something newer that a controller has refused for may never be committed, if that controller is deposed:
 * so it is asked again until the metadata say what holds.
 */
function meaningOf(error: ErrorName | null): "refused" | "unknown" | "told" {
  if (error === null) return "told";
  return REFUSALS.has(error) ? "refused" : "unknown";
}
