import type { Offload } from "../base/offload.ts";
import { randomBelow, type Random } from "../base/random.ts";
import { APIS } from "../protocol/apis.ts";
import { codecFor } from "../protocol/codec.ts";
import { errorName } from "../protocol/errors.ts";
import type { JoinGroupResponse } from "../protocol/messages/11-join-group.ts";
import { consumerProtocolSubscription } from "../protocol/messages/internal/consumer-protocol.ts";
import { ownerOf, type Told } from "./group-history.ts";
import {
  commitOnce,
  COORDINATOR_AWAY,
  fetchCommitted,
  findCoordinator,
  type GroupWorld,
} from "./group-requests.ts";
import { ConnectionLostError, type SimClient } from "./sim-client.ts";
import { fetchOnce } from "./sim-consumer.ts";
import type { TopicFacts } from "./sim-producer.ts";

export interface MemberOptions {
  readonly groupId: string;
  readonly name: string;
  /** "static-" and a number; null for a dynamic member. */
  readonly groupInstanceId: string | null;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** Only heartbeats and reads, in its own good time: it stays what it is. */
  readonly isCalm: boolean;
}

export interface MemberWorld extends GroupWorld {
  readonly random: Random;
  readonly offload: Offload;
  isOver(): boolean;
}

interface Position {
  readonly topic: TopicFacts;
  readonly partitionIndex: number;
  /** Null: what was committed is not known yet. */
  offset: number | null;
}

interface Membership {
  readonly generationId: number;
  readonly positions: readonly Position[];
}

/**
 * A member of a group, by the classic protocol: it joins, reads what it is assigned from where the group has
 * committed, commits, and does what members do wrong: it is silent, restarts under its instance's name,
 * leaves, and speaks for a generation that is over.
 */
export class SimMember {
  readonly #world: MemberWorld;
  readonly #options: MemberOptions;
  #client: SimClient | null = null;
  #isFound = false;
  #memberId = "";
  #membership: Membership | null = null;
  /** One that is over, as far as it knows. */
  #former: Told | null = null;
  #serial = 0;

  constructor(world: MemberWorld, options: MemberOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** Resolves when the world is over: the member has left, or has vanished. */
  async run(): Promise<void> {
    while (!this.#world.isOver()) await this.#tryOnce(() => this.#turn());
    if (randomBelow(this.#world.random, 2) === 0) await this.#tryOnce(() => this.#leave());
    this.#client?.close();
  }

  async #tryOnce(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error;
      await this.#pause(50);
    }
  }

  async #turn(): Promise<void> {
    const client = await this.#connected();
    if (!this.#isFound) {
      this.#isFound = await findCoordinator(this.#world, client, this.#random, this.#groupId);
      if (!this.#isFound) await this.#pause(20);
    } else if (this.#membership === null) {
      await this.#join(client);
    } else if (this.#options.isCalm) {
      await this.#heartbeat(client, this.#membership.generationId);
      await this.#pause(this.#options.sessionTimeoutMs / 2);
    } else {
      await this.#act(client, this.#membership);
    }
  }

  async #act(client: SimClient, membership: Membership): Promise<void> {
    const { random } = this.#world;
    const draw = randomBelow(random, 24);
    if (draw < 14) await this.#readAndCommit(client, membership);
    else if (draw < 17) await this.#heartbeat(client, membership.generationId);
    else if (draw < 18) await this.#speakForFormer(client);
    else if (draw < 19) await this.#pause(2 * this.#options.sessionTimeoutMs);
    else if (draw < 20) await this.#leave();
    else if (draw < 21) this.#restart();
    else if (draw < 22) this.#rejoin();
    else await this.#pause(30);
  }

  get #groupId(): string {
    return this.#options.groupId;
  }

  get #random(): Random {
    return this.#world.random;
  }

  async #connected(): Promise<SimClient> {
    if (this.#client?.isOpen !== true) {
      this.#client = await this.#world.connect(this.#options.name);
      this.#isFound = false;
    }
    return this.#client;
  }

  #pause(ms: number): Promise<void> {
    return this.#world.sleep(1 + randomBelow(this.#random, Math.ceil(ms)));
  }

  #told(generationId: number): Told {
    const { groups } = this.#world;
    const sentAt = groups.tick();
    return {
      groupId: this.#groupId,
      memberId: this.#memberId,
      generationId,
      sentAt,
      run: groups.run,
    };
  }

  async #join(client: SimClient): Promise<void> {
    const { groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs } = this.#options;
    const lowest = groupInstanceId === null ? 0 : 5;
    const version = client.version(APIS.joinGroup, lowest + randomBelow(this.#random, 10 - lowest));
    const told = this.#told(-1);
    const answer = await client.request(APIS.joinGroup, version, {
      groupId: this.#groupId,
      sessionTimeoutMs,
      rebalanceTimeoutMs: version < 1 ? -1 : rebalanceTimeoutMs,
      memberId: this.#memberId,
      groupInstanceId,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: this.#subscription() }],
    });
    const error = errorName(answer.errorCode);
    if (error === "NONE") {
      const { generationId, memberId } = answer;
      const isNewInstance = groupInstanceId !== null && this.#memberId === "";
      this.#memberId = memberId;
      const joined = { ...told, memberId, generationId };
      this.#world.groups.onJoined(joined, answer.leader, isNewInstance);
      await this.#sync(client, joined, answer);
    } else if (error === "MEMBER_ID_REQUIRED") {
      this.#memberId = answer.memberId;
    } else {
      await this.#onError(error, "JoinGroup");
    }
  }

  #subscription(): Buffer {
    const topics = this.#world.topics.map(({ name }) => name);
    const body = codecFor(consumerProtocolSubscription, 0).encode({ topics, userData: null });
    return Buffer.concat([Buffer.from([0, 0]), body]);
  }

  async #sync(client: SimClient, joined: Told, answer: JoinGroupResponse): Promise<void> {
    const { groupInstanceId } = this.#options;
    const lowest = groupInstanceId === null ? 0 : 3;
    const version = client.version(APIS.syncGroup, lowest + randomBelow(this.#random, 6 - lowest));
    const told = { ...joined, ...this.#told(joined.generationId) };
    const leads = answer.leader === joined.memberId && !answer.skipAssignment;
    const synced = await client.request(APIS.syncGroup, version, {
      groupId: this.#groupId,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupInstanceId,
      protocolType: version < 5 ? null : "consumer",
      protocolName: version < 5 ? null : "range",
      assignments: leads ? this.#assign(answer.members) : [],
    });
    const error = errorName(synced.errorCode);
    if (error !== "NONE") {
      await this.#onError(error, "SyncGroup");
      return;
    }
    const text = synced.assignment.toString();
    this.#world.groups.onSynced(told, text);
    const places = new Set(text.split(" ")[2]?.split(",") ?? []);
    const positions = this.#all().filter(({ key }) => places.has(key));
    this.#membership = { generationId: joined.generationId, positions };
  }

  /** The author of the assignment, whom it is for, and the partitions. */
  #assign(members: JoinGroupResponse["members"]) {
    this.#serial += 1;
    const author = `${this.#options.name}:${this.#serial}`;
    return members.map(({ memberId }, index) => {
      const keys = this.#all()
        .filter((_, place) => place % members.length === index)
        .map(({ key }) => key);
      const text = `${author} ${ownerOf(memberId)} ${keys.join(",")}`;
      return { memberId, assignment: Buffer.from(text) };
    });
  }

  #all(): (Position & { readonly key: string })[] {
    return this.#world.topics.flatMap((topic) =>
      Array.from({ length: topic.partitionCount }, (_, partitionIndex) => ({
        topic,
        partitionIndex,
        offset: null,
        key: `${topic.name}-${partitionIndex}`,
      })),
    );
  }

  async #readAndCommit(client: SimClient, membership: Membership): Promise<void> {
    const { random, history, offload } = this.#world;
    const at = membership.positions[randomBelow(random, membership.positions.length)];
    if (at === undefined) return this.#heartbeat(client, membership.generationId);
    if (at.offset === null) return this.#findPosition(client, at);
    const position = { topic: at.topic, partitionIndex: at.partitionIndex, offset: at.offset };
    const options = { random, history, offload, maxWaitMs: randomBelow(random, 20) };
    const fetched = await fetchOnce(client, position, options);
    if (fetched.error === "OFFSET_OUT_OF_RANGE") at.offset = 0;
    if (fetched.error !== "NONE") return;
    at.offset = fetched.nextOffset;
    this.#serial += 1;
    const error = await commitOnce(this.#world, client, random, {
      ...this.#told(membership.generationId),
      groupInstanceId: this.#options.groupInstanceId,
      topic: at.topic,
      offsets: new Map([[at.partitionIndex, at.offset]]),
      id: `${this.#options.name}:${this.#serial}`,
    });
    if (error !== "NONE") await this.#onError(error, "OffsetCommit");
  }

  async #findPosition(client: SimClient, at: Position): Promise<void> {
    const query = { groupId: this.#groupId, topic: at.topic, mayExpire: false };
    const found = await fetchCommitted(this.#world, client, this.#random, query);
    if (typeof found === "string") await this.#pause(20);
    else at.offset = Math.max(found.get(at.partitionIndex) ?? 0, 0);
  }

  async #heartbeat(client: SimClient, generationId: number): Promise<void> {
    const { groupInstanceId } = this.#options;
    const lowest = groupInstanceId === null ? 0 : 3;
    const version = client.version(APIS.heartbeat, lowest + randomBelow(this.#random, 5 - lowest));
    const told = this.#told(generationId);
    const { memberId } = told;
    const request = { groupId: this.#groupId, generationId, memberId, groupInstanceId };
    const answer = await client.request(APIS.heartbeat, version, request);
    const error = errorName(answer.errorCode);
    if (error === "NONE") this.#world.groups.onAccepted(told, "heartbeat");
    else await this.#onError(error, "Heartbeat");
  }

  /** What a client that hangs does when it comes back: it commits, or says that it lives (G2, G11). */
  async #speakForFormer(client: SimClient): Promise<void> {
    const { random, groups, topics } = this.#world;
    const former = this.#former;
    const topic = topics[randomBelow(random, topics.length)];
    if (former === null || topic === undefined) return;
    const groupInstanceId = this.#options.groupInstanceId;
    const told = { ...former, sentAt: groups.tick(), run: groups.run };
    if (randomBelow(random, 2) === 0) {
      const { groupId, generationId, memberId } = told;
      const request = { groupId, generationId, memberId, groupInstanceId };
      const answer = await client.request(
        APIS.heartbeat,
        client.version(APIS.heartbeat, 4),
        request,
      );
      if (errorName(answer.errorCode) === "NONE") groups.onAccepted(told, "heartbeat");
      return;
    }
    this.#serial += 1;
    const id = `${this.#options.name}:${this.#serial}`;
    const offsets = new Map([[randomBelow(random, topic.partitionCount), 0]]);
    await commitOnce(this.#world, client, random, { ...told, groupInstanceId, topic, offsets, id });
  }

  async #leave(): Promise<void> {
    if (this.#memberId === "") return;
    const client = await this.#connected();
    const { groupInstanceId } = this.#options;
    const isByInstance = groupInstanceId !== null && randomBelow(this.#random, 2) === 0;
    const lowest = isByInstance ? 3 : 0;
    const version = client.version(APIS.leaveGroup, lowest + randomBelow(this.#random, 6 - lowest));
    const told = this.#told(-1);
    const memberId = isByInstance ? "" : told.memberId;
    const answer = await client.request(APIS.leaveGroup, version, {
      groupId: this.#groupId,
      memberId: version < 3 ? memberId : "",
      members: version < 3 ? [] : [{ memberId, groupInstanceId }],
    });
    const error = errorName(answer.members[0]?.errorCode ?? answer.errorCode);
    if (error === "NONE") this.#world.groups.onLeft(told);
    else if (COORDINATOR_AWAY.has(error)) return this.#pause(20);
    this.#forget();
    // The heartbeat that was on its way, or a commit of its last words.
    if (randomBelow(this.#random, 2) === 0) await this.#speakForFormer(client);
  }

  /** A new process of the same instance, or of nobody. */
  #restart(): void {
    this.#forget();
  }

  #forget(): void {
    this.#rejoin();
    this.#memberId = "";
  }

  #rejoin(): void {
    if (this.#membership !== null) this.#former = this.#told(this.#membership.generationId);
    this.#membership = null;
  }

  async #onError(error: string, what: string): Promise<void> {
    switch (error) {
      case "REBALANCE_IN_PROGRESS":
      case "ILLEGAL_GENERATION":
        this.#rejoin();
        break;
      case "UNKNOWN_MEMBER_ID":
      case "FENCED_INSTANCE_ID":
      case "GROUP_ID_NOT_FOUND":
        this.#forget();
        break;
      default:
        if (!COORDINATOR_AWAY.has(error) && !error.startsWith("UNKNOWN_TOPIC")) {
          this.#world.history.report("refusal", `${what} of ${this.#options.name}: ${error}`);
        }
        this.#isFound = false;
        await this.#pause(20);
    }
  }
}
