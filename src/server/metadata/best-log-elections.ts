import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { KafkaError } from "../../protocol/errors.ts";
import type { AskedLog, LogEnds } from "../../replica/log-ends.ts";
import type { ActiveController } from "./active-controller.ts";
import {
  type AwaitedPartition,
  chooseBestLog,
  electBestLog,
  type LogAnswer,
  partitionsAwaitingBestLog,
} from "./best-log.ts";
import type { MetadataImage } from "./image.ts";
import { type ActiveBroker, activeBrokers } from "./image-queries.ts";
import type { TopicConfigs } from "./topic-configs.ts";

/** Asks a broker how far its logs go; rejects with an Error when it does not answer. */
export type AskLogEnds = (broker: ActiveBroker, asked: readonly AskedLog[]) => Promise<LogEnds>;

export interface BestLogElectionsDependencies {
  readonly controller: ActiveController;
  readonly askLogEnds: AskLogEnds;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly topicConfigs: TopicConfigs;
  /** holdfast.recovery.wait.ms; Infinity: for ever. */
  readonly waitMs: () => number;
}

interface Wait {
  readonly sinceMs: number;
  /** By broker. */
  readonly answers: Map<number, LogAnswer>;
}

/** Partitions of a question, in one message. */
const MAX_ASKED = 10_000;

/**
 * R11: where no member of ISR or ELR is left, the last known members are asked for their logs, and the one with
 * the greatest leads; all of them, or those that are there when the wait is over.
 */
export class BestLogElections {
  readonly #dependencies: BestLogElectionsDependencies;
  /** By topic id and partition. */
  readonly #waits = new Map<string, Wait>();
  #known: { readonly topics: unknown; readonly awaited: readonly AwaitedPartition[] } | null = null;
  readonly #asking = new Set<number>();

  constructor(dependencies: BestLogElectionsDependencies) {
    this.#dependencies = dependencies;
  }

  /** This node begins to lead: it knows nothing yet. */
  reset(): void {
    this.#waits.clear();
    this.#known = null;
  }

  /** Asks whom it does not know about, and elects where all is known or the time is over. */
  look(): void {
    const { controller, clock } = this.#dependencies;
    const { image } = controller;
    if (image === null) return;
    const awaited = this.#awaitedOf(image);
    const nowMs = clock.nowMs();
    for (const each of awaited) {
      const key = keyOf(each);
      if (!this.#waits.has(key)) this.#waits.set(key, { sinceMs: nowMs, answers: new Map() });
    }
    if (awaited.length === 0) this.#waits.clear();
    else this.#elect(awaited, nowMs);
    for (const broker of activeBrokers(image)) {
      const asked = awaited.filter((each) => this.#isUnknown(each, broker)).slice(0, MAX_ASKED);
      if (asked.length > 0 && !this.#asking.has(broker.brokerId)) void this.#ask(broker, asked);
    }
  }

  #awaitedOf(image: MetadataImage): readonly AwaitedPartition[] {
    if (this.#known?.topics !== image.topicsById) {
      this.#known = { topics: image.topicsById, awaited: partitionsAwaitingBestLog(image) };
    }
    return this.#known.awaited;
  }

  #isUnknown(each: AwaitedPartition, { brokerId, brokerEpoch }: ActiveBroker): boolean {
    if (!each.partition.lastKnownElr.includes(brokerId)) return false;
    return this.#waits.get(keyOf(each))?.answers.get(brokerId)?.brokerEpoch !== brokerEpoch;
  }

  async #ask(broker: ActiveBroker, awaited: readonly AwaitedPartition[]): Promise<void> {
    const { askLogEnds, logger } = this.#dependencies;
    const { brokerId } = broker;
    const asked = awaited.map(({ topic: { topicId }, partition: { partitionIndex } }) => ({
      ...{ topicId, partitionIndex },
    }));
    this.#asking.add(brokerId);
    try {
      const { brokerEpoch, ends } = await askLogEnds(broker, asked);
      for (const { topicId, partitionIndex, ...end } of ends) {
        const wait = this.#waits.get(`${topicId}-${partitionIndex}`);
        wait?.answers.set(brokerId, { brokerEpoch, ...end });
      }
    } catch (error) {
      // It is asked again.
      logger.debug({ brokerId, error }, "a broker has not said how far its logs go");
      return;
    } finally {
      this.#asking.delete(brokerId);
    }
    this.look();
  }

  #elect(awaited: readonly AwaitedPartition[], nowMs: number): void {
    const { controller, topicConfigs, logger, waitMs } = this.#dependencies;
    for (const { topic, partition } of awaited) {
      const wait = this.#waits.get(keyOf({ topic, partition }));
      if (wait === undefined) continue;
      const { answers, sinceMs } = wait;
      const isDeadlinePassed = nowMs - sinceMs >= waitMs();
      const { lastKnownElr, partitionIndex, partitionEpoch } = partition;
      const best = chooseBestLog(lastKnownElr, answers, isDeadlinePassed);
      if (best.kind === "wait") continue;
      const command = { topicId: topic.topicId, partitionIndex, partitionEpoch };
      try {
        const { answer } = controller.run((image) =>
          electBestLog(image, { ...command, answers, isDeadlinePassed }, topicConfigs),
        );
        if (answer !== null) continue;
      } catch (error) {
        if (error instanceof KafkaError) return;
        throw error;
      }
      const isExposed = best.kind !== "elect" || best.isExposed;
      const facts = { topic: topic.name, partitionIndex, ...best, answers: [...answers] };
      const message = "elected the greatest log of those that are left (R11)";
      if (isExposed) logger.warn(facts, `${message}; records that were acknowledged may be lost`);
      else logger.info(facts, message);
    }
  }
}

function keyOf({ topic, partition }: AwaitedPartition): string {
  return `${topic.topicId}-${partition.partitionIndex}`;
}
