import { must } from "../../src/base/assert.ts";
import { type Random, randomBelow, SeededRandom } from "../../src/base/random.ts";
import { ZERO_UUID } from "../../src/base/ids.ts";
import { type Api, APIS, requestHeaderVersion } from "../../src/protocol/apis.ts";
import { codecFor } from "../../src/protocol/codec.ts";
import { errorName, ProtocolError } from "../../src/protocol/errors.ts";
import {
  decodeResponseHeader,
  encodeRequestFrame,
  encodeRequestHeader,
} from "../../src/protocol/header.ts";
import { requestHeader } from "../../src/protocol/messages/internal/headers.ts";
import { planMessage, type StructPlan } from "../../src/protocol/plan.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import type { Encodable, Infer, Message } from "../../src/protocol/schema.ts";
import { includesVersion } from "../../src/protocol/schema.ts";
import { Writer } from "../../src/protocol/writer.ts";
import { groupName } from "./codecs.ts";
import { type LiveBroker, startBroker } from "./live-broker.ts";
import { growth, heldMemory, mib } from "./memory.ts";
import { mutate, pick } from "./mutate.ts";
import { findSites, type Site } from "./sites.ts";
import type { Tally } from "./tally.ts";
import type { Group, Vector } from "./vectors.ts";
import { Wire } from "./wire.ts";
import { type Fields, ground, newWorld, TOPIC, type World } from "./world.ts";

const CONNECTIONS = 16;
/** A request that is not answered by then waits for something; its connection is given up. */
const PARKED_MS = 250;
/** A sound request to a sound broker. */
const HEALTH_TIMEOUT_MS = 30_000;
/** One in so many is sent as it is: what the mutated ones hit must be worth hitting. */
const SOUND_SHARE = 4;
/** One in so many goes out behind a wrong size. */
const LIE_SHARE = 64;
/** One in so many has its header mutated. */
const HEADER_SHARE = 16;
/** Longer than a group's session may last here. */
const QUIET_MS = 1_500;
const DELETED_AT_ONCE = 50;
const MANY_PARTITIONS = 16;
/** Of one request, as in Kafka. */
const MOST_PARTITIONS = 10_000;
const PRODUCE_KEY = APIS.produce.key;

/** A request as it goes out. */
interface Shot {
  readonly group: Group;
  readonly frame: Buffer;
  readonly lieBytes: number;
  readonly correlationId: number;
  /** Nothing was mutated. */
  readonly isSound: boolean;
  /** The header is as it was: the answer must be one to this API and version. */
  readonly isHeaderSound: boolean;
}

type Aimed = Vector & { readonly isGrounded: boolean };

/**
 * `count` frames, most of them mutated, against a live broker in this process, for every API and version that it
 * says it serves. It may refuse, close the connection or keep quiet; it must not die, log a bug, answer
 * what cannot be read, or keep what it was sent.
 */
export async function fuzzBroker(
  groups: readonly Group[],
  tally: Tally,
  options: { readonly seed: string; readonly count: number },
): Promise<void> {
  const onRejection = (reason: unknown): void =>
    tally.violation(
      `unhandled rejection: ${reason instanceof Error ? reason.stack : String(reason)}`,
    );
  const onException = (error: Error): void => tally.violation(`uncaught: ${error.stack ?? ""}`);
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  const bugs = new Set<string>();
  const broker = await startBroker((text) => bugs.add(text));
  try {
    const served = await servedGroups(broker, groups);
    const fuzzer = new BrokerFuzzer(broker, served, tally, options.seed);
    const half = Math.ceil(options.count / 2);
    // The first half fills what a broker keeps for each group, producer and topic that it has seen.
    await fuzzer.run(0, half);
    await fuzzer.settle();
    const before = await heldMemory();
    await fuzzer.run(half, options.count);
    await fuzzer.settle();
    const after = await heldMemory();
    const held = [before, after].map(({ totalBytes }) => mib(totalBytes));
    console.log(`broker: held ${held[0]} after one half, ${held[1]} after both`);
    const grown = growth(before, after);
    if (grown !== null) {
      tally.violation(`what the broker holds grew by more than a tenth: ${grown}`);
    }
  } finally {
    await broker.close();
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
    for (const text of bugs) tally.violation(text);
  }
}

class BrokerFuzzer {
  readonly #broker: LiveBroker;
  readonly #groups: readonly Group[];
  readonly #tally: Tally;
  readonly #seed: string;
  readonly #world = newWorld();

  constructor(broker: LiveBroker, groups: readonly Group[], tally: Tally, seed: string) {
    this.#broker = broker;
    this.#groups = groups;
    this.#tally = tally;
    this.#seed = seed;
  }

  /** Frames `[start, end)`, over several connections at once. */
  async run(start: number, end: number): Promise<void> {
    await this.#prepare();
    let next = start;
    const work = async (): Promise<void> => {
      let wire = await Wire.open(this.#broker.port);
      while (next < end) {
        const index = next++;
        const isDone = await this.#fire(wire, index);
        if (!isDone || wire.isClosed) {
          await wire.close();
          wire = await Wire.open(this.#broker.port);
        }
      }
      await wire.close();
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, work));
  }

  /** The broker still does its work; then everything that frames may have made is removed. */
  async settle(): Promise<void> {
    await this.#prepare();
    await checkHealth(this.#broker, this.#world);
    const { topics } = await ask(this.#broker, APIS.metadata, 12, {
      topics: null,
      includeTopicAuthorizedOperations: false,
    });
    const names = topics.map(({ name }) => name ?? "").filter((name) => name.startsWith("made-"));
    for (let start = 0; start < names.length; start += DELETED_AT_ONCE) {
      const some = names.slice(start, start + DELETED_AT_ONCE);
      await ask(this.#broker, APIS.deleteTopics, 6, {
        topics: some.map((name) => ({ name, topicId: ZERO_UUID })),
        timeoutMs: HEALTH_TIMEOUT_MS,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  }

  /** The topic is there (a mutated request may have deleted it), and its id is known. */
  async #prepare(): Promise<void> {
    await ask(this.#broker, APIS.createTopics, 7, {
      topics: [
        { name: TOPIC, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] },
      ],
      timeoutMs: 10_000,
    });
    const { topics } = await ask(this.#broker, APIS.metadata, 12, {
      topics: [{ name: TOPIC, topicId: ZERO_UUID }],
      includeTopicAuthorizedOperations: false,
    });
    const topic = must(topics[0], "it was asked for");
    if (topic.errorCode !== 0) throw new Error(`no topic: ${errorName(topic.errorCode)}`);
    this.#world.topicId = topic.topicId;
  }

  /** Whether the connection can be used again. */
  async #fire(wire: Wire, index: number): Promise<boolean> {
    const shot = this.#aim(index);
    const answer = await wire.ask(shot.frame, PARKED_MS, shot.lieBytes);
    const name = groupName(shot.group);
    // The broker cut it and read its header, whatever became of the body.
    if (shot.isHeaderSound && shot.lieBytes === 0) this.#tally.pastHeader += 1;
    if (answer.kind !== "frame") {
      this.#tally.outcome(answer.kind);
      if (answer.kind === "closed" && shot.isSound && shot.group.api.key !== PRODUCE_KEY) {
        const hex = shot.frame.toString("hex");
        this.#tally.violation(`request ${index}: a sound ${name} closed the connection\n  ${hex}`);
      }
      return false;
    }
    this.#tally.outcome("answered");
    if (!shot.isHeaderSound || shot.lieBytes !== 0) return false;
    try {
      this.#learn(shot, answer.frame);
    } catch (error) {
      this.#tally.violation(
        `request ${index}: the answer to ${name} cannot be read: ${String(error)}\n  ` +
          `${shot.frame.toString("hex")}\n  ${answer.frame.toString("hex")}`,
      );
    }
    return true;
  }

  #aim(index: number): Shot {
    const random = new SeededRandom(`${this.#seed}/broker/${index}`);
    const group = must(this.#groups[index % this.#groups.length], "in range");
    const vector = this.#makeVector(random, group, index);
    const isSound = vector.isGrounded && randomBelow(random, SOUND_SHARE) === 0;
    const isHeaderHit = !isSound && randomBelow(random, HEADER_SHARE) === 0;
    const lieBytes =
      !isSound && randomBelow(random, LIE_SHARE) === 0 ? pick(random, [1, -1, -(2 ** 31)]) : 0;
    const shot = { group, correlationId: index, lieBytes, isSound, isHeaderSound: !isHeaderHit };
    if (isSound) {
      this.#tally.frame(groupName(group), ["none"]);
      return { ...shot, frame: vector.bytes };
    }
    const sites = isHeaderHit ? vector.headerSites : vector.bodySites;
    const donor = pick(random, group.vectors);
    const mutated = mutate(
      random,
      { bytes: vector.bytes, sites },
      { bytes: donor.bytes, sites: donor.bodySites },
    );
    this.#tally.frame(groupName(group), mutated.kinds);
    if (isHeaderHit) return { ...shot, frame: mutated.bytes };
    const body = mutated.bytes.subarray(Math.min(vector.bodyOffset, mutated.bytes.length));
    const frame = Buffer.concat([vector.bytes.subarray(0, vector.bodyOffset), body]);
    if (isHonestWork(group, frame, vector.bodyOffset)) return { ...shot, frame: vector.bytes };
    return { ...shot, frame };
  }

  /** A golden request that names what this broker has. */
  #makeVector(random: Random, { api, version, vectors }: Group, index: number): Aimed {
    const client = { correlationId: index, clientId: "fuzz" };
    const golden = pick(random, vectors);
    const writer = new Writer();
    encodeRequestHeader(writer, api, version, client);
    const bodyOffset = writer.length;
    const grounded = this.#groundedBody(random, api, version, golden);
    const body = grounded ?? golden.bytes.subarray(golden.bodyOffset);
    const bytes = Buffer.concat([...writer.finish(), body]);
    const headerSites: Site[] = [];
    const bodySites: Site[] = [];
    findSites(bytes, planOf(requestHeader, requestHeaderVersion(api, version)), 0, headerSites);
    findSites(bytes, planOf(api.request, version), bodyOffset, bodySites);
    return { bytes, bodyOffset, headerSites, bodySites, isGrounded: grounded !== null };
  }

  /** Null: the vector holds an int64 that we refuse, and goes out as it is. */
  #groundedBody(random: Random, api: Api, version: number, golden: Vector): Buffer | null {
    const codec = codecFor(api.request, version);
    try {
      const value = codec.decode(golden.bytes, golden.bodyOffset) as Fields;
      return codec.encode(
        ground(planOf(api.request, version), value, this.#world, random, api.key),
      );
    } catch (error) {
      if (error instanceof ProtocolError && error.kind === "unsafe-int64") return null;
      throw error;
    }
  }

  /** Reads the answer, and takes from it what makes the next requests go deeper. */
  #learn({ group: { api, version }, correlationId }: Shot, frame: Buffer): void {
    const header = decodeResponseHeader(frame, api, version);
    if (header.correlationId !== correlationId) throw new Error("it answers another request");
    const value = codecFor(api.response, version).decode(frame, header.bodyOffset) as Fields;
    for (const code of errorCodes(value)) this.#tally.outcome(errorName(code));
    if (api.key === APIS.joinGroup.key && typeof value["memberId"] === "string") {
      this.#world.memberId = value["memberId"];
      this.#world.generationId = Number(value["generationId"]);
    }
    if (api.key === APIS.initProducerId.key && value["errorCode"] === 0) {
      this.#world.producerId = Number(value["producerId"]);
      this.#world.producerEpoch = Number(value["producerEpoch"]);
      this.#world.sequence = 0;
    }
  }
}

/** Those of the answer and of everything in it. */
function* errorCodes(value: unknown): Generator<number> {
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return;
  for (const [name, field] of Object.entries(value)) {
    if (name === "errorCode") yield Number(field);
    else yield* errorCodes(field);
  }
}

/**
 * A wish for a hundred or for ten thousand partitions is no damage: the broker makes them, which takes its
 * time. What is above its limit goes out.
 */
function isHonestWork({ api, version }: Group, frame: Buffer, bodyOffset: number): boolean {
  if (api.key !== APIS.createTopics.key) return false;
  try {
    const { topics } = codecFor(APIS.createTopics.request, version).decodePrefix(frame, bodyOffset);
    return topics.some(
      ({ numPartitions, assignments }) =>
        (numPartitions > MANY_PARTITIONS && numPartitions <= MOST_PARTITIONS) ||
        assignments.length > MANY_PARTITIONS,
    );
  } catch {
    // It will be refused.
    return false;
  }
}

const plans = new Map<string, StructPlan>();

function planOf(message: Message, version: number): StructPlan {
  const key = `${message.name} ${version}`;
  const plan = plans.get(key) ?? planMessage(message, version, "shipped");
  plans.set(key, plan);
  return plan;
}

/** What ApiVersions says, as far as there are vectors of it. */
async function servedGroups(
  broker: LiveBroker,
  groups: readonly Group[],
): Promise<readonly Group[]> {
  const { apiKeys } = await ask(broker, APIS.apiVersions, 3, {
    clientSoftwareName: "fuzz",
    clientSoftwareVersion: "1",
  });
  const advertised = groups.filter(({ api, version, isRequest }) =>
    apiKeys.some(
      ({ apiKey, minVersion, maxVersion }) =>
        isRequest && apiKey === api.key && version >= minVersion && version <= maxVersion,
    ),
  );
  // A broker that is told to leave its cluster does.
  const served = advertised.filter(({ api }) => api.key !== APIS.unregisterBroker.key);
  for (const { apiKey, minVersion, maxVersion } of apiKeys) {
    if (apiKey === APIS.unregisterBroker.key) continue;
    for (let version = minVersion; version <= maxVersion; version += 1) {
      const known = Object.values(APIS).find(({ key }) => key === apiKey);
      const isDecodable = known !== undefined && includesVersion(known.request.versions, version);
      // Produce is advertised from 0 on and served from 3 on (KAFKA-18659).
      if (!isDecodable && apiKey === PRODUCE_KEY && version < 3) continue;
      if (!served.some((group) => group.api.key === apiKey && group.version === version)) {
        throw new Error(`no vectors for API ${apiKey} version ${version}, which is served`);
      }
    }
  }
  const names = new Set(served.map(({ api }) => api.name));
  console.log(`broker: serves ${names.size} APIs in ${served.length} versions`);
  return served;
}

/** A produce is acked, and a fetch gives back what was acked. */
async function checkHealth(broker: LiveBroker, world: World): Promise<void> {
  const value = Buffer.from(`alive-${(world.counter += 1)}`);
  const records = buildBatch({ timestampMs: 1_700_000_000_000, records: [{ key: null, value }] });
  const topicData = [{ name: TOPIC, partitionData: [{ index: 1, records }] }];
  const produced = await ask(broker, APIS.produce, 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topicData,
  });
  const ack = must(produced.responses[0]?.partitionResponses[0], "it was produced");
  if (ack.errorCode !== 0) throw new Error(`no ack: ${errorName(ack.errorCode)}`);
  const partition = {
    partition: 1,
    fetchOffset: ack.baseOffset,
    partitionMaxBytes: 1_000_000,
  };
  const fetched = await ask(broker, APIS.fetch, 12, {
    maxWaitMs: 5000,
    minBytes: 1,
    topics: [{ topic: TOPIC, partitions: [partition] }],
    forgottenTopicsData: [],
  });
  const found = fetched.responses[0]?.partitions[0]?.records;
  if (found === undefined || found === null || !found.includes(value)) {
    throw new Error("what was acked is not there");
  }
}

async function ask<Req extends Message, Res extends Message>(
  broker: LiveBroker,
  api: Api<Req, Res>,
  version: number,
  body: Encodable<Req>,
): Promise<Infer<Res>> {
  const wire = await Wire.open(broker.port);
  try {
    const client = { correlationId: 1, clientId: "fuzz-health" };
    const frame = Buffer.concat(encodeRequestFrame(api, version, client, body)).subarray(4);
    const answer = await wire.ask(frame, HEALTH_TIMEOUT_MS);
    if (answer.kind !== "frame") throw new Error(`${api.name} v${version}: ${answer.kind}`);
    const { bodyOffset } = decodeResponseHeader(answer.frame, api, version);
    return codecFor(api.response, version).decode(answer.frame, bodyOffset);
  } finally {
    await wire.close();
  }
}
