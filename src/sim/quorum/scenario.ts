import { type Random, randomBelow } from "../../base/random.ts";
import { AdminClient } from "./admin-client.ts";
import { FaultSchedule } from "./faults.ts";
import type { QuorumNode } from "./quorum-node.ts";
import type { QuorumPlan } from "./plan.ts";
import type { QuorumSimWorld } from "./world.ts";

/** Faults go on for so long at least, and until so many commands are committed. */
const FAULTY_MS = 60_000;
const MIN_COMMANDS = 200;
const MIN_FAULTS = 3;
/** Longer, and the cluster does not get on. */
const MAX_FAULTY_MS = 240_000;
/** So long after the last fault everything must be well again. */
const CONVERGENCE_MS = 60_000;

/** One run: clients change the metadata while all goes wrong; then nothing does, and all is compared. */
export class QuorumScenario {
  readonly #world: QuorumSimWorld;
  readonly #plan: QuorumPlan;
  readonly #random: Random;
  readonly #schedule: FaultSchedule;
  faultyMs = 0;
  #isOver = false;

  constructor(world: QuorumSimWorld, plan: QuorumPlan, random: Random) {
    this.#world = world;
    this.#plan = plan;
    this.#random = random;
    this.#schedule = new FaultSchedule(world, plan, random.fork("faults"));
  }

  get faults(): ReadonlyMap<string, number> {
    return this.#schedule.counts;
  }

  async run(): Promise<void> {
    const { nodes, clock, verdict, reference } = this.#world;
    for (const node of nodes) {
      clock.schedule("io", randomBelow(this.#random, 3_000), () => this.#world.start(node));
    }
    await this.#until(() => this.#isFormed(), CONVERGENCE_MS, "forming a cluster");
    verdict.tell("the cluster is formed");
    const clients = Array.from({ length: this.#plan.clientCount }, (_, index) =>
      this.#client(`c${index}`).run(),
    );
    const beganMs = clock.nowMs;
    await this.#schedule.run(() => {
      const passedMs = clock.nowMs - beganMs;
      const isEnough = reference.commandCount >= MIN_COMMANDS && this.#schedule.count >= MIN_FAULTS;
      return (passedMs >= FAULTY_MS && isEnough) || passedMs >= MAX_FAULTY_MS;
    });
    this.faultyMs = clock.nowMs - beganMs;
    await this.#schedule.mend();
    this.#isOver = true;
    await Promise.all(clients);
    await this.#converge();
    if (reference.commandCount < MIN_COMMANDS || this.#schedule.count < MIN_FAULTS) {
      verdict.report(
        "workload",
        `${reference.commandCount} commands and ${this.#schedule.count} faults are too few`,
      );
    }
  }

  #client(name: string): AdminClient {
    const { net, history, brokers } = this.#world;
    return new AdminClient(
      {
        ...{ net, history, random: this.#random.fork(name), brokerCount: brokers.length },
        ports: brokers.map(({ options }) => options.clientPort),
        sleep: (ms) => this.#world.sleep(ms),
        isOver: () => this.#isOver,
        nowMs: () => this.#world.clock.nowMs,
      },
      name,
    );
  }

  #isFormed(): boolean {
    const { leader, nodes } = this.#world;
    return leader !== null && nodes.every(({ process }) => process?.isStarted === true);
  }

  /** One leader, all nodes at its log's end, all brokers unfenced; then a new topic can be made. */
  async #converge(): Promise<void> {
    const { clock, verdict, reference, history } = this.#world;
    if (!(await this.#until(() => this.#isWhole(), CONVERGENCE_MS, "one cluster"))) return;
    const client = this.#client("last");
    const isMade = await client.createAtLast(clock.nowMs + CONVERGENCE_MS);
    verdict.that("E15", isMade, () => "no new topic can be made");
    await this.#until(() => this.#isWhole(), CONVERGENCE_MS, "one cluster after the last topic");
    history.judgeAll(reference.image, "in the end");
    this.#compare();
    for (const node of this.#world.brokers) await this.#compareServed(client, node);
  }

  /** K16, E15: each broker serves what all have agreed on. */
  async #compareServed(client: AdminClient, { id, options }: QuorumNode): Promise<void> {
    const { verdict, reference } = this.#world;
    const { brokers, topics } = await client.served(options.clientPort);
    const { topicsByName, brokers: agreed } = reference.image;
    const unfenced = [...agreed.values()].filter(({ isFenced }) => !isFenced);
    const idsOf = (ids: readonly number[]): string => ids.toSorted((a, b) => a - b).join();
    const said = idsOf(brokers.map(({ nodeId }) => nodeId));
    const known = idsOf(unfenced.map(({ brokerId }) => brokerId));
    verdict.that("K16", said === known, () => `node ${id} tells of ${said}, not ${known}`);
    const textOf = (name: string | null, topicId: string, count: number): string =>
      `${name}/${topicId}/${count}`;
    const served = topics.map((one) => textOf(one.name, one.topicId, one.partitions.length));
    const expected = [...topicsByName.values()].map((one) =>
      textOf(one.name, one.topicId, one.partitions.length),
    );
    const isSame = served.toSorted().join() === expected.toSorted().join();
    verdict.that("E15", isSame, () => `node ${id} serves ${served.join()}, not ${expected.join()}`);
  }

  #isWhole(): boolean {
    const { leader, nodes, brokers, reference } = this.#world;
    if (leader === null) return false;
    const end = leader.process?.raft?.nextOffset;
    const isAtEnd = nodes.every(({ process }) => {
      const raft = process?.raft;
      if (process?.isStarted !== true || raft === null || raft === undefined) return false;
      return raft.leader.leaderId === leader.id && raft.highWatermark === end;
    });
    return (
      isAtEnd &&
      reference.endOffset === end &&
      brokers.every(({ id }) => reference.image.brokers.get(id)?.isFenced === false)
    );
  }

  /** K3: what lies on the platters is the same, wherever it lies. */
  #compare(): void {
    const { nodes, verdict } = this.#world;
    const checksums = new Map<string, number>();
    for (const node of nodes) {
      for (const { baseOffset, leaderEpoch, checksum } of node.platter.batches()) {
        const place = `${baseOffset}/${leaderEpoch}`;
        const known = checksums.get(place) ?? checksum;
        verdict.that("K3", known === checksum, () => `${place} is another on node ${node.id}`);
        checksums.set(place, known);
      }
    }
  }

  async #until(condition: () => boolean, timeoutMs: number, what: string): Promise<boolean> {
    const { clock, verdict } = this.#world;
    const deadlineMs = clock.nowMs + timeoutMs;
    while (!condition()) {
      if (clock.nowMs > deadlineMs) {
        verdict.report("convergence", `it never came: ${what}\n${this.#describe()}`);
        return false;
      }
      await this.#world.sleep(50);
    }
    return true;
  }

  #describe(): string {
    const { nodes, reference } = this.#world;
    const brokers = [...reference.image.brokers.values()].map(
      ({ brokerId, isFenced }) => `${brokerId}${isFenced ? " fenced" : ""}`,
    );
    const lines = nodes.map(({ id, process }) => {
      const { leader, nextOffset, highWatermark } = process?.raft ?? {};
      const { isStarted } = process ?? {};
      return `node ${id}: ${JSON.stringify({ isStarted, leader, nextOffset, highWatermark })}`;
    });
    return [...lines, `agreed: ${reference.endOffset}, brokers ${brokers.join(", ")}`].join("\n");
  }
}
