import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface } from "node:readline";
import { type BrokerOptions, BrokerProcess } from "../support/broker-process.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { spawnPython } from "../support/python.ts";
import { type Attempt, auditGroups, type GroupReport, type Look } from "./group-audit.ts";
import { BUSY } from "./rounds.ts";

export interface GroupKillPlan {
  readonly rounds: number;
  /** Acknowledged commits that a round waits for before it kills: in all, and of members. */
  readonly ackedPerRound: number;
  readonly memberCommitsPerRound: number;
  /** How the members share: all at once give up what they have, or only what another gets. */
  readonly strategy: "range" | "cooperative-sticky";
}

export interface GroupKillReport extends GroupReport {
  /** Rounds whose kill came within CLOSE_MS of an ack, and those whose kill came later. */
  readonly rounds: number;
  readonly lateRounds: number;
  /** Commits of members, and how many different members had theirs acknowledged. */
  readonly memberCommits: number;
  readonly members: number;
  readonly ackToKillMs: readonly number[];
  readonly restartMs: readonly number[];
}

const TOPIC = "work";
const PARTITIONS = 4;
/** An ack that we got to see later than this is passed over: the kill would come too late after it. */
const FRESH_MS = 25;
/** __consumer_offsets is compacted all the time. */
const COMPACTING = { "log.cleaner.min.cleanable.ratio": 0.01 };
/** A member whose leave was lost in a kill keeps the others waiting for so long (group_clients.py). */
const SESSIONS = { "group.min.session.timeout.ms": 1000 };
const GROUP_ID_NOT_FOUND = 69;
const RETRY_MS = 20;
const MAX_TRIES = 1000;
/** A kill counts when it came within so long of an ack. */
const CLOSE_MS = 50;

/**
 * Kills the broker with SIGKILL again and again under members of a group that commit (one static, one
 * dynamic, one that comes and goes) and a client that commits from outside for groups that are deleted
 * later, while __consumer_offsets rolls and is compacted; looks at the committed offsets after each start.
 */
export async function killGroupRounds(
  options: BrokerOptions,
  plan: GroupKillPlan,
): Promise<GroupKillReport> {
  const busy = {
    ...options,
    overrides: { ...BUSY, ...COMPACTING, ...SESSIONS, ...options.overrides },
  };
  let broker = await BrokerProcess.start(busy);
  const { bootstrap } = broker;
  await makeTopic(bootstrap);
  const log = new AttemptLog((groupId) => deleteGroup(bootstrap, groupId));
  const clients = [
    ["outside"],
    ["member", "worker-1", "static", plan.strategy],
    ["member", "worker-2", "dynamic", plan.strategy],
    ["member", "worker-3", "restless", plan.strategy],
  ].map(([role, ...rest]) =>
    log.follow(spawnPython("test/kill/group_clients.py", role!, bootstrap, TOPIC, ...rest)),
  );
  const looks: Look[] = [];
  const ackToKillMs: number[] = [];
  const restartMs: number[] = [];
  const closeCount = () => ackToKillMs.filter((ageMs) => ageMs < CLOSE_MS).length;
  try {
    while (closeCount() < plan.rounds && ackToKillMs.length < 2 * plan.rounds) {
      const target = broker;
      await log.whenFresh(plan, async (ageMs) => {
        const noteGone = log.noteKill();
        const gone = target.kill9();
        ackToKillMs.push(ageMs());
        await gone;
        noteGone();
      });
      const startedMs = performance.now();
      broker = await BrokerProcess.start({ ...busy, port: broker.port });
      restartMs.push(performance.now() - startedMs);
      looks.push(...(await lookAt(bootstrap, log.groupIds, `round ${ackToKillMs.length}`)));
    }
    await Promise.all(clients.map((client) => client.finish()));
    await log.deletions();
    looks.push(...(await lookAt(bootstrap, log.groupIds, "the end")));
    return {
      ...auditGroups(log.attempts, looks),
      rounds: closeCount(),
      lateRounds: ackToKillMs.length - closeCount(),
      ...log.memberFigures(),
      ackToKillMs,
      restartMs,
    };
  } finally {
    for (const client of clients) client.kill();
    await broker.stop();
  }
}

async function makeTopic(bootstrap: string): Promise<void> {
  const admin = kafkaClient(bootstrap).admin();
  await admin.connect();
  // What is read does not matter here: it shall not fill the disk with small segments.
  const configEntries = [{ name: "segment.ms", value: "604800000" }];
  await admin.createTopics({
    topics: [{ topic: TOPIC, numPartitions: PARTITIONS, configEntries }],
  });
  await admin.disconnect();
}

/** What the groups have committed, as a client sees it. */
async function lookAt(
  bootstrap: string,
  groupIds: readonly string[],
  when: string,
): Promise<Look[]> {
  const admin = kafkaClient(bootstrap).admin();
  await admin.connect();
  const looks = groupIds.map(async (groupId): Promise<Look[]> => {
    const [found, startNs, endNs] = await untilAnswered(async () => {
      const askedNs = process.hrtime.bigint();
      const [answer] = await admin.fetchOffsets({ groupId, topics: [TOPIC] });
      return [answer!, askedNs, process.hrtime.bigint()] as const;
    });
    return found.partitions.map(({ partition, offset, metadata }) => ({
      ...{ when, groupId, partition, startNs, endNs },
      // confluent-kafka sends the terminating null of its string along.
      id: Number(offset) < 0 ? null : (metadata ?? "").replace(/\0$/, ""),
      offset: Number(offset),
    }));
  });
  const all = await Promise.all(looks);
  await admin.disconnect();
  return all.flat();
}

/** Resolves when the group is gone, however often the broker dies meanwhile. */
async function deleteGroup(bootstrap: string, groupId: string): Promise<void> {
  const admin = kafkaClient(bootstrap).admin();
  await untilAnswered(async () => {
    try {
      await admin.connect();
      await admin.deleteGroups([groupId]);
    } catch (error) {
      // The answer to an earlier try was lost.
      if (!isNotFound(error)) throw error;
    }
  });
  await admin.disconnect();
}

function isNotFound(error: unknown): boolean {
  const { groups } = error as { groups?: readonly { readonly errorCode: number }[] };
  return groups?.[0]?.errorCode === GROUP_ID_NOT_FOUND;
}

/** kafkajs gives these up at the first error; a coordinator that loads is asked again. */
async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (tries === MAX_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

interface Client {
  /** Lets it end what it does, and waits for that. */
  finish(): Promise<void>;
  kill(): void;
}

type Act = (ageMs: () => number) => void;

/** What the clients printed. */
class AttemptLog {
  readonly #attempts = new Map<string, Attempt>();
  readonly #committers = new Set<string>();
  /** The last one; before the first, nothing was on its way. */
  #kill: { readonly sentNs: bigint; readonly goneNs: bigint | null } = { sentNs: 0n, goneNs: 0n };
  readonly #deleteGroup: (groupId: string) => Promise<void>;
  readonly #deletions: Promise<void>[] = [];
  #wanted: { readonly isEnough: () => boolean; readonly act: Act } | null = null;
  #acked = 0;
  #memberCommits = 0;

  constructor(deleteGroup: (groupId: string) => Promise<void>) {
    this.#deleteGroup = deleteGroup;
  }

  /** The groups of late: what was long deleted is looked at no more. */
  get groupIds(): string[] {
    const all = [...new Set([...this.#attempts.values()].map(({ groupId }) => groupId))];
    return ["workers", ...all.filter((groupId) => groupId !== "workers").slice(-3)];
  }

  /** Resolves when all groups that ended are deleted. */
  async deletions(): Promise<void> {
    await Promise.all(this.#deletions);
  }

  get attempts(): Attempt[] {
    return [...this.#attempts.values()].sort((a, b) => (a.triedNs < b.triedNs ? -1 : 1));
  }

  memberFigures(): { readonly memberCommits: number; readonly members: number } {
    return { memberCommits: this.#memberCommits, members: this.#committers.size };
  }

  follow(child: ChildProcessWithoutNullStreams): Client {
    const complaints: string[] = [];
    child.stderr.on("data", (text: string) => complaints.push(text));
    const finished = new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line === "done") resolve();
        else if (line.startsWith("end ")) this.#deletions.push(this.#delete(line.slice(4)));
        else this.#read(line.split(" "));
      });
      child.on("exit", () => reject(new Error(`a client ended: ${complaints.join("")}`)));
    });
    // Who waits for it sees it; a client that ends early is seen by what is missing in the report.
    finished.catch(() => undefined);
    return {
      finish: () => {
        child.stdin.end();
        return finished;
      },
      kill: () => void child.kill("SIGKILL"),
    };
  }

  /** Acts when a round's commits were acknowledged, synchronously with an ack that came just now. */
  whenFresh(plan: GroupKillPlan, act: (ageMs: () => number) => Promise<void>): Promise<void> {
    const acked = this.#acked + plan.ackedPerRound;
    const memberCommits = this.#memberCommits + plan.memberCommitsPerRound;
    return new Promise((resolve, reject) => {
      this.#wanted = {
        isEnough: () => this.#acked >= acked && this.#memberCommits >= memberCommits,
        act: (ageMs) => void act(ageMs).then(resolve, reject),
      };
    });
  }

  #read([word, id = "", ns = "0", groupId = "", places = ""]: readonly string[]): void {
    if (word === "try") this.#tried(id, groupId, BigInt(ns), offsetsOf(places));
    else this.#settled(this.#attempts.get(id)!, word === "ok", BigInt(ns), word === "refused");
  }

  /** To be called before the broker is killed; what it returns, when the broker is gone. */
  noteKill(): () => void {
    const sentNs = process.hrtime.bigint();
    this.#kill = { sentNs, goneNs: null };
    return () => (this.#kill = { sentNs, goneNs: process.hrtime.bigint() });
  }

  async #delete(groupId: string): Promise<void> {
    const id = `delete ${groupId}`;
    this.#tried(id, groupId, process.hrtime.bigint(), null);
    await this.#deleteGroup(groupId);
    const attempt = this.#attempts.get(id)!;
    attempt.outcome = "acked";
    attempt.settledNs = process.hrtime.bigint();
  }

  #tried(id: string, groupId: string, triedNs: bigint, offsets: Attempt["offsets"]): void {
    const settledNs = null;
    this.#attempts.set(id, { id, groupId, triedNs, offsets, outcome: "unknown", settledNs });
  }

  #settled(attempt: Attempt, isAcked: boolean, ns: bigint, isRefused: boolean): void {
    attempt.settledNs = ns;
    // librdkafka tries again what was on its way when the broker died: the first try may have come in.
    const { sentNs, goneNs } = this.#kill;
    const isTriedAgain = ns > sentNs && (goneNs === null || attempt.triedNs < goneNs);
    if (isRefused && !isTriedAgain) attempt.outcome = "refused";
    if (isAcked) this.#onAck(attempt, ns);
  }

  #onAck(attempt: Attempt, ns: bigint): void {
    attempt.outcome = "acked";
    this.#acked += 1;
    if (attempt.groupId === "workers") {
      this.#memberCommits += 1;
      this.#committers.add(attempt.id.slice(0, attempt.id.lastIndexOf("-")));
    }
    const ageMs = (): number => Number(process.hrtime.bigint() - ns) / 1e6;
    if (this.#wanted?.isEnough() !== true || ageMs() > FRESH_MS) return;
    const { act } = this.#wanted;
    this.#wanted = null;
    act(ageMs);
  }
}

/** "0:17,3:5" as partition -> offset. */
function offsetsOf(places: string): Map<number, number> {
  return new Map(
    places.split(",").map((place) => {
      const [partition, offset] = place.split(":");
      return [Number(partition), Number(offset)];
    }),
  );
}
