import { randomBelow, type Random } from "../base/random.ts";
import { APIS } from "../protocol/apis.ts";
import { errorName } from "../protocol/errors.ts";
import {
  commitOnce,
  COORDINATOR_AWAY,
  fetchCommitted,
  findCoordinator,
  type GroupWorld,
  registerOf,
  settle,
} from "./group-requests.ts";
import { ConnectionLostError, type SimClient } from "./sim-client.ts";
import type { TopicFacts } from "./sim-producer.ts";

export interface OutsiderWorld extends GroupWorld {
  readonly random: Random;
  isOver(): boolean;
}

export interface OutsiderOptions {
  readonly name: string;
  /** The group that it commits for, with others: nobody is a member of it. */
  readonly groupId: string;
  /** One that it looks at, which has committed and keeps what it has. */
  readonly otherGroupId: string;
}

/**
 * A client that is no member: it commits what it likes, up and down, deletes offsets and the whole group, and looks
 * at what groups have committed.
 */
export class SimOutsider {
  readonly #world: OutsiderWorld;
  readonly #options: OutsiderOptions;
  #client: SimClient | null = null;
  #serial = 0;

  constructor(world: OutsiderWorld, options: OutsiderOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** Resolves when the world is over. */
  async run(): Promise<void> {
    while (!this.#world.isOver()) {
      try {
        await this.#act(await this.#connected());
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) throw error;
      }
      await this.#world.sleep(1 + randomBelow(this.#world.random, 40));
    }
    this.#client?.close();
  }

  /** Resolves when the group has committed something that was acked. */
  async commitFirst(groupId: string): Promise<void> {
    for (let error = ""; error !== "NONE";) {
      try {
        const client = await this.#connected();
        error = await this.#commit(client, groupId, this.#someTopic());
      } catch (problem) {
        if (!(problem instanceof ConnectionLostError)) throw problem;
      }
      if (error !== "NONE") await this.#world.sleep(20);
    }
  }

  async #connected(): Promise<SimClient> {
    if (this.#client?.isOpen === true) return this.#client;
    const client = await this.#world.connect(this.#options.name);
    const { groupId } = this.#options;
    if (await findCoordinator(this.#world, client, this.#world.random, groupId)) {
      this.#client = client;
      return client;
    }
    client.close();
    throw new ConnectionLostError("there is no coordinator yet");
  }

  async #act(client: SimClient): Promise<void> {
    const { random } = this.#world;
    const { groupId, otherGroupId } = this.#options;
    const topic = this.#someTopic();
    const draw = randomBelow(random, 12);
    if (draw < 5) {
      await this.#commit(client, groupId, topic);
    } else if (draw < 9) {
      const isOther = draw === 8;
      const query = { groupId: isOther ? otherGroupId : groupId, topic, mayExpire: !isOther };
      await fetchCommitted(this.#world, client, random, query);
    } else if (draw < 10) {
      await this.#deleteOffsets(client, topic);
    } else if (draw < 11) {
      await this.#deleteGroup(client);
    } else {
      await this.#list(client);
    }
  }

  #someTopic(): TopicFacts {
    const { topics, random } = this.#world;
    const topic = topics[randomBelow(random, topics.length)];
    if (topic === undefined) throw new Error("a scenario has topics");
    return topic;
  }

  #commit(client: SimClient, groupId: string, topic: TopicFacts): Promise<string> {
    const { random } = this.#world;
    this.#serial += 1;
    const partitions = Array.from({ length: topic.partitionCount }, (_, index) => index);
    const chosen = partitions.filter((index) => index === 0 || randomBelow(random, 2) === 0);
    return commitOnce(this.#world, client, random, {
      groupId,
      generationId: -1,
      memberId: "",
      groupInstanceId: null,
      topic,
      offsets: new Map(chosen.map((partitionIndex) => [partitionIndex, randomBelow(random, 100)])),
      id: `${this.#options.name}:${this.#serial}`,
    });
  }

  async #deleteOffsets(client: SimClient, topic: TopicFacts): Promise<void> {
    const { groups, random } = this.#world;
    const { groupId } = this.#options;
    const partitionIndex = randomBelow(random, topic.partitionCount);
    const write = groups.startWrite(registerOf(groupId, topic.name, partitionIndex), null);
    const answer = await client.request(APIS.offsetDelete, client.version(APIS.offsetDelete, 0), {
      groupId,
      topics: [{ name: topic.name, partitions: [{ partitionIndex }] }],
    });
    const partition = answer.topics[0]?.partitions[0];
    const code = answer.errorCode === 0 ? (partition?.errorCode ?? 0) : answer.errorCode;
    settle(this.#world, write, errorName(code), `OffsetDelete for ${groupId}`);
  }

  async #deleteGroup(client: SimClient): Promise<void> {
    const { groups, topics, random } = this.#world;
    const { groupId } = this.#options;
    const writes = topics.flatMap(({ name, partitionCount }) =>
      Array.from({ length: partitionCount }, (_, partitionIndex) =>
        groups.startWrite(registerOf(groupId, name, partitionIndex), null),
      ),
    );
    const version = client.version(APIS.deleteGroups, randomBelow(random, 4));
    const answer = await client.request(APIS.deleteGroups, version, { groupsNames: [groupId] });
    const error = errorName(answer.results[0]?.errorCode ?? 0);
    for (const write of writes) settle(this.#world, write, error, `DeleteGroups ${groupId}`);
  }

  /** The other group has committed, so that it is there, with members or without. */
  async #list(client: SimClient): Promise<void> {
    const { groups, history, random } = this.#world;
    const { otherGroupId } = this.#options;
    const version = client.version(APIS.listGroups, randomBelow(random, 6));
    const filter = { statesFilter: [], typesFilter: version >= 5 ? ["classic"] : [] };
    const listed = await client.request(APIS.listGroups, version, filter);
    const error = errorName(listed.errorCode);
    if (COORDINATOR_AWAY.has(error)) return;
    const isThere = listed.groups.some(({ groupId }) => groupId === otherGroupId);
    if (error !== "NONE") history.report("refusal", `ListGroups answered ${error}`);
    else if (!isThere && groups.keepsAll) {
      history.report("G3", `ListGroups does not show ${otherGroupId}`);
    }
    await this.#describe(client);
  }

  async #describe(client: SimClient): Promise<void> {
    const { groups, history, random } = this.#world;
    const { otherGroupId } = this.#options;
    const version = client.version(APIS.describeGroups, randomBelow(random, 7));
    const answer = await client.request(APIS.describeGroups, version, {
      groups: [otherGroupId],
      includeAuthorizedOperations: false,
    });
    const [group] = answer.groups;
    const error = errorName(group?.errorCode ?? 0);
    if (COORDINATOR_AWAY.has(error) || !groups.keepsAll) return;
    const { groupState = "", members = [] } = group ?? {};
    const isRight = groupState !== "Dead" && (groupState === "Empty") === (members.length === 0);
    if (error === "NONE" && isRight) return;
    const text = `${groupState} with ${members.length} members, ${error}`;
    history.report("G3", `${otherGroupId} is described as ${text}`);
  }
}
