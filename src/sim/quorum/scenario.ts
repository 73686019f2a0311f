import { type Random, randomBelow } from "../../base/random.ts";
import type { MetadataImage } from "../../server/metadata/image.ts";
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
/** And so long after that each broker has applied it. */
const SERVED_MS = 20_000;

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

  /** K16, E15: each broker comes to serve what all have agreed on. */
  async #compareServed(client: AdminClient, node: QuorumNode): Promise<void> {
    const { clock, verdict, reference } = this.#world;
    const agreed = agreedText(reference.image);
    const deadlineMs = clock.nowMs + SERVED_MS;
    let served = await this.#servedText(client, node);
    // What is agreed on is applied a little later.
    while (served.text !== agreed && clock.nowMs < deadlineMs) {
      await this.#world.sleep(50);
      served = await this.#servedText(client, node);
    }
    const { text, brokers } = served;
    const known = idsText(unfencedIds(reference.image));
    verdict.that(
      "K16",
      brokers === known,
      () => `node ${node.id} tells of ${brokers}, not ${known}`,
    );
    verdict.that("E15", text === agreed, () => `node ${node.id} serves ${text}, not ${agreed}`);
  }

  async #servedText(client: AdminClient, { options }: QuorumNode) {
    const { brokers, topics } = await client.served(options.clientPort);
    const names = topics.map(({ name, topicId, partitions }) =>
      topicText(name, topicId, partitions.length),
    );
    const ids = idsText(brokers.map(({ nodeId }) => nodeId));
    return { brokers: ids, text: [ids, ...names.toSorted()].join() };
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

function agreedText(image: MetadataImage): string {
  const names = [...image.topicsByName.values()].map(({ name, topicId, partitions }) =>
    topicText(name, topicId, partitions.length),
  );
  return [idsText(unfencedIds(image)), ...names.toSorted()].join();
}

function unfencedIds({ brokers }: MetadataImage): number[] {
  return [...brokers.values()].flatMap(({ brokerId, isFenced }) => (isFenced ? [] : [brokerId]));
}

function topicText(name: string | null, topicId: string, partitionCount: number): string {
  return `${name}/${topicId}/${partitionCount}`;
}

function idsText(ids: readonly number[]): string {
  return ids.toSorted((a, b) => a - b).join(" ");
}
