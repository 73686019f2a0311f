import { must } from "../../base/assert.ts";
import { ZERO_UUID } from "../../base/ids.ts";
import { type Random, randomBelow } from "../../base/random.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorName } from "../../protocol/errors.ts";
import { TOPIC_RESOURCE } from "../../server/metadata/image.ts";
import { ConnectionLostError, SimClient } from "../sim-client.ts";
import type { SimNet } from "../sim-net.ts";
import type { AdminHistory, TopicFacts } from "./admin-history.ts";

export interface AdminWorld {
  readonly net: SimNet;
  readonly random: Random;
  readonly history: AdminHistory;
  /** Where brokers listen for clients. */
  readonly ports: readonly number[];
  readonly brokerCount: number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly isOver: () => boolean;
  readonly nowMs: () => number;
}

const TIMEOUT_MS = 5_000;
/** Live topics of a client: more make each node slow, and the rest of the run short. */
const MAX_TOPICS = 8;
const SET = 0;

/** What the cluster has said to a change. */
type Answer = "done" | "refused" | "unknown";

/**
 * The change is refused for what it is, or for the state of the cluster. That a topic is there already may be
 * by the very request, which brokers forward again when an answer of the controller is lost, as Kafka's do.
 */
const REFUSALS = new Set([
  "INVALID_REPLICATION_FACTOR",
  "UNKNOWN_TOPIC_OR_PARTITION",
  "INVALID_PARTITIONS",
]);

/** A client that changes topics of its own through any broker, and remembers what it was told. */
export class AdminClient {
  readonly #world: AdminWorld;
  readonly #name: string;
  #client: SimClient | null = null;
  #topicCount = 0;

  constructor(world: AdminWorld, name: string) {
    this.#world = world;
    this.#name = name;
  }

  async run(): Promise<void> {
    const { random, sleep, isOver } = this.#world;
    while (!isOver()) {
      await this.#tryOne();
      await sleep(20 + randomBelow(random, 500));
    }
    this.#client?.close();
  }

  /** A new topic, whatever it takes. False: not within the time. */
  async createAtLast(deadlineMs: number): Promise<boolean> {
    while (this.#world.nowMs() < deadlineMs) {
      const facts = this.#newTopic();
      const answer = await this.#answered("create", facts, () => this.#create(facts));
      if (answer === "done") return true;
      await this.#world.sleep(200);
    }
    return false;
  }

  /** What the broker at the port tells its clients. Throws ConnectionLostError. */
  async served(port: number) {
    const client = await SimClient.connect(this.#world.net, port, this.#name);
    const request = { topics: null, includeTopicAuthorizedOperations: false };
    const answer = await client.request(APIS.metadata, client.version(APIS.metadata, 12), request);
    client.close();
    return answer;
  }

  async #tryOne(): Promise<void> {
    const { random, history } = this.#world;
    const mine = history.topics.filter(
      ({ name, mayExist }) => mayExist && name.startsWith(`${this.#name}-`),
    );
    const facts = mine[randomBelow(random, Math.max(1, mine.length))];
    const draw = randomBelow(random, 100);
    if (facts === undefined || (draw < 30 && mine.length < MAX_TOPICS)) {
      const created = this.#topicToCreate();
      await this.#answered("create", created, () => this.#create(created));
    } else if (draw < 55) await this.#answered("alter", facts, () => this.#alterConfig(facts));
    else if (draw < 65) await this.#answered("grow", facts, () => this.#createPartitions(facts));
    else if (draw < 85) await this.#answered("delete", facts, () => this.#delete(facts));
    else if (draw < 92) await this.#answered("elect", facts, () => this.#elect(facts));
    else await this.#answered("producer id", null, () => this.#producerId());
  }

  /** Now and then a name comes back that was deleted (E16). */
  #topicToCreate(): TopicFacts {
    const { random, history } = this.#world;
    const gone = history.topics.filter(
      ({ name, mayExist }) => !mayExist && name.startsWith(`${this.#name}-`),
    );
    const again = gone[randomBelow(random, Math.max(1, gone.length))];
    return again !== undefined && randomBelow(random, 3) === 0 ? again : this.#newTopic();
  }

  #newTopic(): TopicFacts {
    this.#topicCount += 1;
    return this.#world.history.newTopic(`${this.#name}-${this.#topicCount}`);
  }

  /** One request on whatever connection there is. A lost answer leaves it open what has happened. */
  async #answered(
    what: string,
    facts: TopicFacts | null,
    change: () => Promise<Answer>,
  ): Promise<Answer> {
    const { history, nowMs } = this.#world;
    let answer: Answer = "unknown";
    facts?.events.push(`${Math.round(nowMs())} ms ${what}`);
    try {
      answer = await change();
      facts?.events.push(`${Math.round(nowMs())} ms ${answer}`);
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error;
      facts?.events.push(`${Math.round(nowMs())} ms lost`);
      this.#client?.close();
      this.#client = null;
    }
    if (answer === "unknown") {
      history.unknownCount += 1;
      // Another node may know more.
      if (randomBelow(this.#world.random, 2) === 0) this.#client = null;
    }
    if (answer === "refused") history.refusedCount += 1;
    return answer;
  }

  async #create(facts: TopicFacts): Promise<Answer> {
    const { random, brokerCount, history } = this.#world;
    const numPartitions = 1 + randomBelow(random, 2);
    const replicationFactor = Math.min(brokerCount, randomBelow(random, 4) === 0 ? 1 : 3);
    const client = await this.#connected();
    const wasGone = !facts.mayExist;
    const { openChanges } = facts;
    const wasOpen = openChanges.create;
    facts.mayExist = true;
    facts.topicId = null;
    facts.partitionCounts.add(numPartitions);
    openChanges.create = true;
    const { topics } = await this.#within(
      client.request(APIS.createTopics, client.version(APIS.createTopics, 7), {
        topics: [
          { name: facts.name, numPartitions, replicationFactor, assignments: [], configs: [] },
        ],
        timeoutMs: TIMEOUT_MS,
        validateOnly: false,
      }),
    );
    const result = must(topics[0], "one topic was asked for");
    const answer = answerOf(result.errorCode);
    if (answer !== "unknown") openChanges.create = wasOpen;
    if (answer === "done") {
      facts.mayBeGone = openChanges.delete;
      if (!wasOpen && !openChanges.delete) facts.topicId = result.topicId;
      if (!wasOpen) facts.partitionCounts = new Set([numPartitions]);
      facts.retentions = new Set([null, ...openChanges.retentions]);
      history.onAnswer(facts);
    } else if (answer === "refused" && wasGone && !wasOpen) {
      facts.mayExist = false;
      facts.partitionCounts.clear();
    }
    return answer;
  }

  async #delete(facts: TopicFacts): Promise<Answer> {
    const { history } = this.#world;
    const client = await this.#connected();
    const { openChanges } = facts;
    const wasOpen = openChanges.delete;
    facts.mayBeGone = true;
    openChanges.delete = true;
    const { responses } = await this.#within(
      client.request(APIS.deleteTopics, client.version(APIS.deleteTopics, 6), {
        topics: [{ name: facts.name, topicId: ZERO_UUID }],
        timeoutMs: TIMEOUT_MS,
      }),
    );
    const result = must(responses[0], "one topic was named");
    const name = errorName(result.errorCode);
    // That it is not there any more is what an earlier, lost answer may have said.
    if (name === "UNKNOWN_TOPIC_OR_PARTITION") return "unknown";
    const answer = answerOf(result.errorCode);
    if (answer !== "unknown") openChanges.delete = wasOpen;
    if (answer !== "done") return answer;
    facts.mayExist = openChanges.create;
    history.deletedIds.add(result.topicId);
    if (!openChanges.create) facts.partitionCounts = new Set();
    facts.retentions = new Set([null, ...openChanges.retentions]);
    facts.topicId = null;
    history.onAnswer(facts);
    return answer;
  }

  async #createPartitions(facts: TopicFacts): Promise<Answer> {
    const count = Math.max(...facts.partitionCounts, 1) + 1;
    if (count > 3) return "refused";
    const client = await this.#connected();
    facts.partitionCounts.add(count);
    const { results } = await this.#within(
      client.request(APIS.createPartitions, client.version(APIS.createPartitions, 3), {
        topics: [{ name: facts.name, count, assignments: null }],
        timeoutMs: TIMEOUT_MS,
        validateOnly: false,
      }),
    );
    const answer = answerOf(must(results[0], "one topic was named").errorCode);
    if (answer !== "done") return answer;
    if (!facts.openChanges.create) facts.partitionCounts = new Set([count]);
    facts.mayBeGone = facts.openChanges.delete;
    this.#world.history.onAnswer(facts);
    return answer;
  }

  async #alterConfig(facts: TopicFacts): Promise<Answer> {
    const value = String(1_000_000 + randomBelow(this.#world.random, 1_000_000));
    const client = await this.#connected();
    const { openChanges } = facts;
    facts.retentions.add(value);
    openChanges.retentions.add(value);
    const config = { name: "retention.ms", configOperation: SET, value };
    const { responses } = await this.#within(
      client.request(
        APIS.incrementalAlterConfigs,
        client.version(APIS.incrementalAlterConfigs, 1),
        {
          resources: [
            { resourceType: TOPIC_RESOURCE, resourceName: facts.name, configs: [config] },
          ],
          validateOnly: false,
        },
      ),
    );
    const answer = answerOf(must(responses[0], "one resource was named").errorCode);
    if (answer !== "unknown") openChanges.retentions.delete(value);
    if (answer !== "done") return answer;
    facts.retentions = new Set([value, ...openChanges.retentions]);
    // One that is made anew by a lost request begins without.
    if (openChanges.create) facts.retentions.add(null);
    facts.mayBeGone = openChanges.delete;
    this.#world.history.onAnswer(facts);
    return answer;
  }

  /** Preferred leaders; where there is none to elect, nothing happens. */
  async #elect({ name }: TopicFacts): Promise<Answer> {
    const client = await this.#connected();
    const { errorCode } = await this.#within(
      client.request(APIS.electLeaders, client.version(APIS.electLeaders, 2), {
        electionType: 0,
        topicPartitions: [{ topic: name, partitions: [0] }],
        timeoutMs: TIMEOUT_MS,
      }),
    );
    return answerOf(errorCode);
  }

  async #producerId(): Promise<Answer> {
    const client = await this.#connected();
    const answer = await this.#within(
      client.request(APIS.initProducerId, client.version(APIS.initProducerId, 4), {
        ...{ transactionalId: null, transactionTimeoutMs: 60_000 },
        ...{ producerId: -1, producerEpoch: -1, enable2Pc: false, keepPreparedTxn: false },
      }),
    );
    if (answer.errorCode === 0) this.#world.history.onProducerId(answer.producerId);
    return answerOf(answer.errorCode);
  }

  async #connected(): Promise<SimClient> {
    const { net, random, ports } = this.#world;
    if (this.#client?.isOpen === true && randomBelow(random, 10) > 0) return this.#client;
    this.#client?.close();
    const port = must(ports[randomBelow(random, ports.length)], "there are brokers");
    const connecting = SimClient.connect(net, port, this.#name);
    try {
      this.#client = await this.#within(connecting);
    } catch (error) {
      // One that comes after all is of no use any more.
      void connecting.then(
        (client) => client.close(),
        () => undefined,
      );
      throw error;
    }
    return this.#client;
  }

  /** Nobody waits for ever for a process that stands still. */
  async #within<T>(promise: Promise<T>): Promise<T> {
    const late = this.#world.sleep(2 * TIMEOUT_MS).then(() => {
      throw new ConnectionLostError("no answer in time");
    });
    late.catch(() => undefined);
    return Promise.race([promise, late]);
  }
}

/** What an error means for a change. */
function answerOf(errorCode: number): Answer {
  if (errorCode === 0) return "done";
  return REFUSALS.has(errorName(errorCode)) ? "refused" : "unknown";
}
