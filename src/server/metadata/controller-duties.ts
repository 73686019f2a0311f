import { afterForPeer, type Clock, type Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { KafkaError } from "../../protocol/errors.ts";
import type { ActiveController } from "./active-controller.ts";
import { type BrokerIncarnation, fenceIncarnation } from "./broker-fencing.ts";
import type { BrokerSessions } from "./broker-sessions.ts";
import { bootstrapCluster } from "./broker-registration.ts";
import { balanceLeaders, electWhereLeaderless } from "./leader-balance.ts";
import type { ControllerResult } from "./controller.ts";
import type { MetadataImage } from "./image.ts";
import type { TopicConfigs } from "./topic-configs.ts";
import { type AskLogEnds, BestLogElections } from "./best-log-elections.ts";

export interface ControllerDutiesDependencies {
  readonly controller: ActiveController;
  readonly sessions: BrokerSessions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly topicConfigs: TopicConfigs;
  /** As they are set at each look. */
  readonly settings: () => BalanceSettings;
  /** null: this node is the whole cluster. */
  readonly askLogEnds: AskLogEnds | null;
}

export interface BalanceSettings {
  /** auto.leader.rebalance.enable. */
  readonly isBalanced: boolean;
  readonly balanceIntervalMs: number;
  /** unclean.leader.election.interval.ms. */
  readonly electionIntervalMs: number;
  /** holdfast.recovery.wait.ms; Infinity: for ever. */
  readonly recoveryWaitMs: number;
}

/** A late look costs no more than that. */
const MAX_WAIT_MS = 500;

/** What the active controller does of its own accord: nobody asks for it. */
export class ControllerDuties {
  readonly #dependencies: ControllerDutiesDependencies;
  readonly #nodeId: number;
  #timer: Timer | null = null;
  #lastBalanceMs = 0;
  #lastElectionMs = 0;
  readonly #bestLogs: BestLogElections | null;

  constructor(dependencies: ControllerDutiesDependencies, options: { readonly nodeId: number }) {
    this.#dependencies = dependencies;
    this.#nodeId = options.nodeId;
    const { askLogEnds, settings } = dependencies;
    const waitMs = (): number => settings().recoveryWaitMs;
    this.#bestLogs =
      askLogEnds === null ? null : new BestLogElections({ ...dependencies, askLogEnds, waitMs });
  }

  /** This node has become the active controller: the cluster begins, or goes on with full sessions. */
  begin(): void {
    const { controller, sessions, clock } = this.#dependencies;
    this.#run(bootstrapCluster);
    if (controller.image !== null) sessions.reset(controller.image, clock.nowMs());
    this.#electWhereLeaderless();
    this.#bestLogs?.reset();
    this.#lastBalanceMs = clock.nowMs();
    this.#lastElectionMs = clock.nowMs();
    this.#arm();
  }

  /** Another node is the active controller, or none. Idempotent. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** R16: this incarnation's process is known to be gone, and is not waited for. */
  brokerGone(incarnation: BrokerIncarnation): void {
    this.#fence(incarnation, "its process is gone");
  }

  #arm(): void {
    const { clock } = this.#dependencies;
    this.#timer = afterForPeer(clock, MAX_WAIT_MS, () => {
      this.#endSessions();
      this.#balance();
      this.#bestLogs?.look();
      if (this.#timer !== null) this.#arm();
    });
  }

  #endSessions(): void {
    const { sessions, clock } = this.#dependencies;
    for (const incarnation of sessions.expired(clock.nowMs())) {
      // This process lives, whatever it was too busy for.
      if (incarnation.brokerId === this.#nodeId) continue;
      this.#fence(incarnation, "its session has ended");
    }
  }

  /** Preferred leaders, and what may be elected by now, each in its interval. */
  #balance(): void {
    const { clock, settings, topicConfigs } = this.#dependencies;
    const nowMs = clock.nowMs();
    const { isBalanced, balanceIntervalMs, electionIntervalMs } = settings();
    if (nowMs - this.#lastElectionMs >= electionIntervalMs) {
      this.#lastElectionMs = nowMs;
      this.#electWhereLeaderless();
    }
    if (!isBalanced || nowMs - this.#lastBalanceMs < balanceIntervalMs) return;
    // With more to do the next look goes on.
    const look = this.#run((image) => balanceLeaders(image, topicConfigs));
    if (look?.hasMore !== true) this.#lastBalanceMs = nowMs;
  }

  #electWhereLeaderless(): void {
    const { topicConfigs } = this.#dependencies;
    while (this.#run((image) => electWhereLeaderless(image, topicConfigs))?.hasMore === true);
  }

  #fence(incarnation: BrokerIncarnation, why: string): void {
    const { sessions, logger, topicConfigs } = this.#dependencies;
    const isFenced = this.#run((image) => fenceIncarnation(image, incarnation, topicConfigs));
    // Not appended: the next look tries again.
    if (isFenced === null) return;
    sessions.end(incarnation);
    if (isFenced) logger.warn({ ...incarnation }, `fenced a broker: ${why}`);
  }

  /** null: this node does not lead any more, or its log takes nothing. */
  #run<A>(decide: (image: MetadataImage) => ControllerResult<A>): A | null {
    try {
      return this.#dependencies.controller.run(decide).answer;
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return null;
    }
  }
}
