import type { Offload } from "../base/offload.ts";
import { randomBelow, type Random } from "../base/random.ts";
import { APIS } from "../protocol/apis.ts";
import { errorName } from "../protocol/errors.ts";
import type { GroupHistory } from "./group-history.ts";
import { COORDINATOR_AWAY, fetchCommitted, type GroupWorld } from "./group-requests.ts";
import type { History } from "./history.ts";
import { type SimClient, untilAnswered } from "./sim-client.ts";
import { SimMember } from "./sim-member.ts";
import { SimOutsider } from "./sim-outsider.ts";
import type { TopicFacts } from "./sim-producer.ts";

export interface GroupPlan {
  readonly memberCount: number;
  /** Of these, members with an instance id. */
  readonly staticCount: number;
  readonly outsiderCount: number;
  /** What each client does before it ends. */
  readonly turnsEach: number;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** Offsets are kept for so long, and it is worth the wait to see them go; null: they stay. */
  readonly expiryMs: number | null;
}

export interface GroupScenarioDependencies {
  readonly random: Random;
  readonly offload: Offload;
  readonly history: History;
  readonly groups: GroupHistory;
  readonly sleep: (ms: number) => Promise<void>;
  readonly connect: (clientId: string) => Promise<SimClient>;
}

const MEMBERS = "members";
const OUTSIDE = "outside";
const KEPT = "kept";
/** More than the check interval, the session of whoever vanished, and a stall or two. */
const EXPIRY_SLACK_MS = 15_000;

/** Groups beside the producers: members that commit, clients that commit from outside, and the verdict. */
export class GroupScenario {
  readonly #dependencies: GroupScenarioDependencies;
  readonly #plan: GroupPlan;

  constructor(dependencies: GroupScenarioDependencies, plan: GroupPlan) {
    this.#dependencies = dependencies;
    this.#plan = plan;
  }

  /** Resolves when all clients have had their turns. */
  async run(topics: readonly TopicFacts[]): Promise<void> {
    const { memberCount, staticCount, outsiderCount, turnsEach } = this.#plan;
    const outsiders = Array.from({ length: outsiderCount }, (_, index) =>
      this.#outsider(topics, `outsider-${index}`, afterTurns(turnsEach)),
    );
    // A group that has committed is there until that expires, whoever is a member of it.
    await outsiders[0]?.commitFirst(MEMBERS);
    const members = Array.from({ length: memberCount }, (_, index) =>
      this.#member(topics, {
        name: `member-${index}`,
        groupId: MEMBERS,
        groupInstanceId: index < staticCount ? `static-${index}` : null,
        isOver: afterTurns(turnsEach),
      }),
    );
    await Promise.all([...outsiders, ...members].map((client) => client.run()));
  }

  /** After the last crash: what was acked is there (G3). */
  async judge(topics: readonly TopicFacts[]): Promise<void> {
    for (const topic of topics) {
      for (const groupId of [MEMBERS, OUTSIDE]) {
        await this.#read({ groupId, topic, mayExpire: groupId === OUTSIDE });
      }
    }
  }

  /** Waits until offsets are past their retention, and sees that those without members go (G10). */
  async expire(topics: readonly TopicFacts[], crash: () => Promise<void>): Promise<void> {
    const { expiryMs, sessionTimeoutMs } = this.#plan;
    const [topic] = topics;
    if (expiryMs === null || topic === undefined) return;
    let isOver = false;
    const outsider = this.#outsider(topics, "keeper", () => isOver);
    await outsider.commitFirst(KEPT);
    const member = this.#member(topics, {
      name: "kept-member",
      groupId: KEPT,
      groupInstanceId: null,
      isOver: () => isOver,
    });
    const kept = member.run();
    await this.#dependencies.sleep(expiryMs + 2 * sessionTimeoutMs + EXPIRY_SLACK_MS);
    await this.#expectExpired(topics);
    await crash();
    await this.#expectExpired(topics);
    for (const each of topics) await this.#read({ groupId: KEPT, topic: each, mayExpire: false });
    isOver = true;
    await kept;
  }

  async #expectExpired(topics: readonly TopicFacts[]): Promise<void> {
    for (const groupId of [MEMBERS, OUTSIDE]) {
      for (const topic of topics) {
        const found = await this.#read({ groupId, topic, mayExpire: true });
        const left = [...found].filter(([, offset]) => offset >= 0);
        if (left.length > 0) this.#report(`${groupId} ${topic.name} still has ${left.join(" ")}`);
      }
    }
    const listed = await this.#retry(async (client) => {
      const version = client.version(APIS.listGroups, 5);
      const answer = await client.request(APIS.listGroups, version, {
        statesFilter: [],
        typesFilter: [],
      });
      return errorName(answer.errorCode) === "NONE" ? answer.groups : null;
    });
    const ids = listed.map(({ groupId }) => groupId);
    if (ids.join() !== KEPT) this.#report(`the groups are ${ids.join()}`);
  }

  #report(detail: string): void {
    this.#dependencies.history.report("G10", `past its retention, ${detail}`);
  }

  #read(query: {
    readonly groupId: string;
    readonly topic: TopicFacts;
    readonly mayExpire: boolean;
  }): Promise<Map<number, number>> {
    const random = this.#dependencies.random.fork("judge");
    return this.#retry(async (client) => {
      const found = await fetchCommitted(this.#world([query.topic]), client, random, query);
      if (typeof found !== "string") return found;
      if (!COORDINATOR_AWAY.has(found)) await this.#dependencies.sleep(20);
      return null;
    });
  }

  #retry<T>(task: (client: SimClient) => Promise<T | null>): Promise<T> {
    const { sleep, connect } = this.#dependencies;
    return untilAnswered({ sleep, connect: () => connect("judge") }, task);
  }

  #world(topics: readonly TopicFacts[]): GroupWorld {
    const { history, groups, sleep, connect } = this.#dependencies;
    return { history, groups, topics, sleep, connect };
  }

  #outsider(topics: readonly TopicFacts[], name: string, isOver: () => boolean): SimOutsider {
    const random = this.#dependencies.random.fork(name);
    const world = { ...this.#world(topics), random, isOver };
    return new SimOutsider(world, { name, groupId: OUTSIDE, otherGroupId: MEMBERS });
  }

  #member(
    topics: readonly TopicFacts[],
    who: {
      readonly name: string;
      readonly groupId: string;
      readonly groupInstanceId: string | null;
      readonly isOver: () => boolean;
    },
  ): SimMember {
    const { offload } = this.#dependencies;
    const random = this.#dependencies.random.fork(who.name);
    const { sessionTimeoutMs, rebalanceTimeoutMs } = this.#plan;
    const isCalm = who.groupId === KEPT;
    return new SimMember(
      { ...this.#world(topics), random, offload, isOver: who.isOver },
      {
        ...who,
        isCalm,
        sessionTimeoutMs: isCalm ? CALM_SESSION_MS : sessionTimeoutMs,
        rebalanceTimeoutMs,
      },
    );
  }
}

const CALM_SESSION_MS = 10_000;

/** Says that it is over when it has been asked so often. */
function afterTurns(count: number): () => boolean {
  let left = count;
  return () => {
    left -= 1;
    return left < 0;
  };
}

/** What the groups of a seed are like. */
export function groupPlanOf(random: Random, mayLose: boolean): GroupPlan {
  const memberCount = 1 + randomBelow(random, 3);
  const mayExpire = randomBelow(random, 5) === 0;
  return {
    memberCount,
    staticCount: randomBelow(random, memberCount + 1),
    outsiderCount: 1 + randomBelow(random, 2),
    turnsEach: 20 + randomBelow(random, 60),
    sessionTimeoutMs: 100 + randomBelow(random, 900),
    rebalanceTimeoutMs: 100 + randomBelow(random, 900),
    expiryMs: mayExpire && !mayLose ? 60_000 : null,
  };
}
