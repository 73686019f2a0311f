import type { Uuid } from "../base/ids.ts";
import type { Offload } from "../base/offload.ts";
import { randomBelow, type Random } from "../base/random.ts";
import { APIS } from "../protocol/apis.ts";
import { errorName } from "../protocol/errors.ts";
import type { LogRecord } from "../protocol/records/record.ts";
import type { GroupHistory } from "./group-history.ts";
import { type GroupPlan, GroupScenario } from "./group-scenario.ts";
import type { History } from "./history.ts";
import { ConnectionLostError, SimClient, untilAnswered } from "./sim-client.ts";
import type { SimClock } from "./sim-clock.ts";
import { fetchOnce } from "./sim-consumer.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { SimNet } from "./sim-net.ts";
import { type ProducerWorld, SimProducer, type TopicFacts } from "./sim-producer.ts";

export interface Plan {
  readonly port: number;
  readonly topicCount: number;
  readonly partitionCount: number;
  readonly producerCount: number;
  readonly consumerCount: number;
  readonly recordsEach: number;
  readonly maxValueBytes: number;
  readonly crashCount: number;
  readonly mayCutPower: boolean;
  /** Unsynced acks and power cuts: acked records may be missing, and that is the expected result. */
  readonly mayLose: boolean;
  readonly groups: GroupPlan;
}

export interface Outcome {
  readonly crashes: { kill: number; power: number; stop: number };
  polledCount: number;
  lostCount: number;
  logCount: number;
}

export interface ScenarioDependencies {
  readonly clock: SimClock;
  readonly net: SimNet;
  readonly machine: SimMachine;
  readonly random: Random;
  readonly offload: Offload;
  readonly history: History;
  readonly groups: GroupHistory;
}

/** One run: clients produce and consume while the broker is killed; then all is read and judged. */
export class Scenario {
  readonly #dependencies: ScenarioDependencies;
  readonly #plan: Plan;
  readonly #groups: GroupScenario;
  readonly outcome: Outcome = {
    crashes: { kill: 0, power: 0, stop: 0 },
    polledCount: 0,
    lostCount: 0,
    logCount: 0,
  };
  #isBusy = true;

  constructor(dependencies: ScenarioDependencies, plan: Plan) {
    this.#dependencies = dependencies;
    this.#plan = plan;
    this.#groups = new GroupScenario(
      {
        ...dependencies,
        random: dependencies.random.fork("groups"),
        sleep: (ms) => this.#sleep(ms),
        connect: (clientId) => this.#connect(clientId),
      },
      plan.groups,
    );
  }

  async run(): Promise<void> {
    const { machine, history } = this.#dependencies;
    await this.#start();
    const crashes = this.#crashNowAndThen();
    const topics = await this.#createTopics();
    const consumers = this.#consumers(topics);
    await Promise.all([...this.#producers(topics), this.#groups.run(topics)]);
    this.#isBusy = false;
    await crashes;
    await Promise.all(consumers);
    // The last acks are the ones at risk: nothing but the ack says that they are kept.
    const lastCrash = this.#plan.mayCutPower ? "power" : "kill";
    await this.#crash(lastCrash);
    await this.#judgeTopics(topics);
    await this.#groups.judge(topics);
    const logs = await this.#readAll(topics);
    for (const [partition, records] of logs) {
      this.outcome.logCount += records.length;
      this.outcome.lostCount += history.judge(partition, records);
    }
    await this.#groups.expire(topics, () => this.#crash(lastCrash));
    await machine.stop();
    await this.#start();
    this.#compare(logs, await this.#readAll(topics));
    await machine.stop();
  }

  #producers(topics: readonly TopicFacts[]): Promise<void>[] {
    const { recordsEach: recordCount, producerCount, maxValueBytes, mayLose } = this.#plan;
    return Array.from({ length: producerCount }, (_, index) => {
      const name = `producer-${index}`;
      const world: ProducerWorld = {
        random: this.#dependencies.random.fork(name),
        history: this.#dependencies.history,
        topics,
        wallMs: () => this.#dependencies.clock.wallMs,
        sleep: (ms) => this.#sleep(ms),
        connect: (clientId) => this.#connect(clientId),
      };
      const acks = index % 3 === 2 ? 1 : -1;
      return new SimProducer(world, { name, acks, recordCount, maxValueBytes, mayLose }).run();
    });
  }

  #consumers(topics: readonly TopicFacts[]): Promise<void>[] {
    return Array.from({ length: this.#plan.consumerCount }, (_, index) =>
      this.#consume(topics, `consumer-${index}`),
    );
  }

  /** Reads all partitions in turn, from the start, while there are producers or groups. */
  async #consume(topics: readonly TopicFacts[], name: string): Promise<void> {
    const random = this.#dependencies.random.fork(name);
    const positions = positionsOf(topics);
    let client: SimClient | null = null;
    while (this.#isBusy) {
      const at = positions[randomBelow(random, positions.length)];
      if (at === undefined) return;
      try {
        if (client?.isOpen !== true) client = await this.#connect(name);
        const options = { ...this.#dependencies, random, maxWaitMs: randomBelow(random, 300) };
        const fetched = await fetchOnce(client, at, options);
        if (fetched.error === "NONE") {
          for (const record of fetched.records)
            this.#dependencies.history.onPoll(keyOf(at), record);
          this.outcome.polledCount += fetched.records.length;
          at.offset = fetched.nextOffset;
        } else {
          this.#onFetchRefused(at, fetched.error);
        }
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) throw error;
      }
    }
    client?.close();
  }

  #onFetchRefused(at: Position, error: string): void {
    if (error === "OFFSET_OUT_OF_RANGE" && this.#plan.mayLose) at.offset = 0;
    else if (!BROKER_STARTING.has(error)) {
      this.#dependencies.history.report(
        "refusal",
        `${keyOf(at)}@${at.offset}: Fetch answered ${error}`,
      );
    }
  }

  async #crashNowAndThen(): Promise<void> {
    const random = this.#dependencies.random.fork("crashes");
    for (let count = 0; count < this.#plan.crashCount && this.#isBusy; count += 1) {
      // Now and then before the start is through: recovery must bear a crash, too (S6).
      const isSoon = randomBelow(random, 4) === 0;
      await this.#sleep(randomBelow(random, isSoon ? 30 : 600));
      const kinds = this.#plan.mayCutPower
        ? (["power", "kill", "power", "stop"] as const)
        : (["kill", "kill", "kill", "stop"] as const);
      await this.#crash(kinds[randomBelow(random, kinds.length)] ?? "kill");
    }
  }

  async #crash(kind: "kill" | "power" | "stop"): Promise<void> {
    const { machine, random } = this.#dependencies;
    this.outcome.crashes[kind] += 1;
    if (kind === "stop") await machine.stop();
    else if (kind === "kill") machine.kill();
    else machine.cutPower();
    await this.#sleep(randomBelow(random, 100));
    const start = this.#start();
    if (randomBelow(random, 4) > 0) await start;
  }

  async #start(): Promise<void> {
    const { machine, history, groups } = this.#dependencies;
    groups.onStart();
    try {
      await machine.start();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      history.report("refused start", text);
      throw error;
    }
  }

  /** Topics that have been acked; the broker may die at any time meanwhile. */
  async #createTopics(): Promise<TopicFacts[]> {
    const names = Array.from({ length: this.#plan.topicCount }, (_, index) => `topic-${index}`);
    for (const name of names) await this.#retry((client) => this.#createTopic(client, name));
    return await this.#retry((client) => this.#describeTopics(client, names));
  }

  async #createTopic(client: SimClient, name: string): Promise<true | null> {
    const answer = await client.request(APIS.createTopics, client.version(APIS.createTopics, 7), {
      topics: [
        {
          name,
          numPartitions: this.#plan.partitionCount,
          replicationFactor: 1,
          assignments: [],
          configs: [],
        },
      ],
    });
    const error = errorName(answer.topics[0]?.errorCode ?? 0);
    // One whose answer was lost may be there.
    if (error === "NONE" || error === "TOPIC_ALREADY_EXISTS") return true;
    this.#dependencies.history.report("refusal", `CreateTopics ${name}: ${error}`);
    return null;
  }

  /** Null while the broker does not say that it leads them all. */
  async #describeTopics(client: SimClient, names: readonly string[]): Promise<TopicFacts[] | null> {
    const answer = await client.request(APIS.metadata, client.version(APIS.metadata, 12), {
      topics: names.map((name) => ({ name })),
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
    });
    const topics = answer.topics.map(({ name, topicId, partitions }) => ({
      name: name ?? "",
      topicId: topicId satisfies Uuid,
      partitionCount: partitions.length,
    }));
    for (const { name, errorCode } of answer.topics) {
      const error = errorName(errorCode);
      if (error !== "NONE") this.#dependencies.history.report("R12", `${name ?? ""}: ${error}`);
    }
    return topics.every(({ partitionCount }) => partitionCount === this.#plan.partitionCount)
      ? topics
      : null;
  }

  /** A topic that was acked is there for ever, whatever its data are worth (R12). */
  async #judgeTopics(topics: readonly TopicFacts[]): Promise<void> {
    const names = topics.map(({ name }) => name);
    const now = await this.#retry((client) => this.#describeTopics(client, names));
    for (const { name, topicId } of topics) {
      const found = now.find((topic) => topic.name === name);
      if (found?.topicId !== topicId) {
        this.#dependencies.history.report("R12", `${name} was ${topicId}, is ${found?.topicId}`);
      }
    }
  }

  #retry<T>(task: (client: SimClient) => Promise<T | null>): Promise<T> {
    const sleep = (ms: number): Promise<void> => this.#sleep(ms);
    return untilAnswered({ sleep, connect: () => this.#connect("admin") }, task);
  }

  /** All records of all partitions, from offset 0 to the end. */
  async #readAll(topics: readonly TopicFacts[]): Promise<Map<string, LogRecord[]>> {
    const logs = new Map<string, LogRecord[]>();
    for (const at of positionsOf(topics)) {
      const records: LogRecord[] = [];
      for (let isAtEnd = false; !isAtEnd;) {
        const client = await this.#connect("reader");
        try {
          isAtEnd = await this.#readOn(client, at, records);
        } catch (error) {
          if (!(error instanceof ConnectionLostError)) throw error;
        }
        client.close();
      }
      logs.set(keyOf(at), records);
    }
    return logs;
  }

  async #readOn(client: SimClient, at: Position, records: LogRecord[]): Promise<boolean> {
    const version = client.version(APIS.listOffsets, 5);
    const answer = await client.request(APIS.listOffsets, version, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [
        {
          name: at.topic.name,
          partitions: [{ partitionIndex: at.partitionIndex, timestamp: -1n }],
        },
      ],
    });
    const latest = answer.topics[0]?.partitions[0];
    if (latest === undefined || errorName(latest.errorCode) !== "NONE") return false;
    const options = { ...this.#dependencies, maxWaitMs: 0 };
    while (at.offset < latest.offset) {
      const fetched = await fetchOnce(client, at, options);
      if (fetched.error !== "NONE" || fetched.nextOffset === at.offset) {
        this.#dependencies.history.report(
          "unreadable",
          `${keyOf(at)}@${at.offset} of ${latest.offset}: ${fetched.error}, ${fetched.records.length} records`,
        );
        return true;
      }
      records.push(...fetched.records);
      at.offset = fetched.nextOffset;
    }
    return true;
  }

  /** A clean stop and start change nothing. */
  #compare(before: Map<string, LogRecord[]>, after: Map<string, LogRecord[]>): void {
    for (const [partition, records] of before) {
      const again = after.get(partition) ?? [];
      const isSame =
        again.length === records.length &&
        records.every((record, index) => textOf(record) === textOf(again[index]));
      if (!isSame) {
        this.#dependencies.history.report(
          "S3",
          `${partition}: ${records.length} records before a clean stop, ${again.length} after it`,
        );
      }
    }
  }

  async #connect(clientId: string): Promise<SimClient> {
    for (;;) {
      try {
        return await SimClient.connect(this.#dependencies.net, this.#plan.port, clientId);
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) throw error;
        await this.#sleep(20);
      }
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#dependencies.clock.schedule("io", ms, resolve);
    });
  }
}

interface Position {
  readonly topic: TopicFacts;
  readonly partitionIndex: number;
  offset: number;
}

/** A broker that has just begun to serve may not lead everything yet. */
const BROKER_STARTING = new Set([
  "UNKNOWN_TOPIC_OR_PARTITION",
  "UNKNOWN_TOPIC_ID",
  "NOT_LEADER_OR_FOLLOWER",
  "LEADER_NOT_AVAILABLE",
]);

function positionsOf(topics: readonly TopicFacts[]): Position[] {
  return topics.flatMap((topic) =>
    Array.from({ length: topic.partitionCount }, (_, partitionIndex) => ({
      topic,
      partitionIndex,
      offset: 0,
    })),
  );
}

function textOf(record: LogRecord | undefined): string {
  return `${record?.offset}:${record?.value?.toString("latin1")}`;
}

function keyOf({ topic, partitionIndex }: Position): string {
  return `${topic.name}-${partitionIndex}`;
}
