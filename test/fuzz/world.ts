import type { StructPlan } from "../../src/protocol/plan.ts";
import type { Random } from "../../src/base/random.ts";
import { randomBelow } from "../../src/base/random.ts";
import { type Uuid, ZERO_UUID } from "../../src/base/ids.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { maybeFixCrc } from "./batches.ts";
import { mutate, pick, type Source } from "./mutate.ts";

/** What is true of the broker now, as far as its answers told: requests that name it get deeper. */
export interface World {
  readonly topic: string;
  topicId: Uuid;
  memberId: string;
  generationId: number;
  producerId: number;
  producerEpoch: number;
  sequence: number;
  /** For names that are used once. */
  counter: number;
}

export const TOPIC = "fuzz";
const CREATE_TOPICS = 19;
const DELETE_TOPICS = 20;

export function newWorld(): World {
  return {
    topic: TOPIC,
    topicId: ZERO_UUID,
    memberId: "",
    generationId: -1,
    producerId: -1,
    producerEpoch: -1,
    sequence: 0,
    counter: 0,
  };
}

/** A decoded struct. */
export type Fields = Readonly<Record<string, unknown>>;

/** Enough of an array to mean something; large ones are made by mutation. */
const MAX_ELEMENTS = 2;

type Ground = (world: World, random: Random, apiKey: number) => unknown;

const zero: Ground = () => 0;
const emptyList: Ground = () => [];
const topicName: Ground = (world, random, apiKey) => {
  if (apiKey === CREATE_TOPICS) return `made-${(world.counter += 1)}`;
  if (apiKey === DELETE_TOPICS) return `made-${randomBelow(random, world.counter + 2)}`;
  return pick(random, [world.topic, world.topic, world.topic, "nowhere"]);
};
const groupId: Ground = (_world, random) => pick(random, ["group-a", "group-a", "group-b"]);

/** By the field's name in any request: what makes sense here. What is not listed stays as it came. */
const GROUNDS: Readonly<Record<string, Ground>> = {
  topic: topicName,
  topicId: (world, random, apiKey) =>
    apiKey === DELETE_TOPICS ? ZERO_UUID : pick(random, [world.topicId, world.topicId, ZERO_UUID]),
  topicNames: (world, random, apiKey) => [topicName(world, random, apiKey)],
  groupId,
  key: groupId,
  coordinatorKeys: (world, random, apiKey) => [groupId(world, random, apiKey)],
  keyType: zero,
  memberId: (world, random) => pick(random, [world.memberId, world.memberId, ""]),
  generationId: (world) => world.generationId,
  generationIdOrMemberEpoch: (world, random) => pick(random, [world.generationId, -1]),
  groupInstanceId: (_world, random) => pick(random, [null, null, "instance"]),
  protocolType: () => "consumer",
  protocolName: () => "range",
  sessionTimeoutMs: () => 300,
  rebalanceTimeoutMs: () => 300,
  index: zero,
  partition: zero,
  partitionIndex: zero,
  partitionIndexes: () => [0],
  currentLeaderEpoch: () => -1,
  lastFetchedEpoch: () => -1,
  fetchOffset: zero,
  committedOffset: (_world, random) => randomBelow(random, 100),
  committedMetadata: () => "m",
  partitionMaxBytes: () => 4096,
  maxBytes: () => 65_536,
  minBytes: (_world, random) => pick(random, [0, 1, 1, 1_000_000]),
  maxWaitMs: (_world, random) => pick(random, [0, 1, 1, 60_000]),
  sessionId: zero,
  sessionEpoch: (_world, random) => pick(random, [0, -1]),
  isolationLevel: (_world, random) => randomBelow(random, 2),
  timestamp: (_world, random) => pick(random, [-1n, -2n, -3n, -4n, 0n, 1_700_000_000_000n]),
  acks: (_world, random) => pick(random, [-1, -1, 1, 0]),
  transactionalId: (_world, random) => pick(random, [null, null, null, "tx"]),
  producerId: (world, random) => pick(random, [-1, world.producerId]),
  producerEpoch: (world, random) => pick(random, [-1, world.producerEpoch]),
  numPartitions: (_world, random) => pick(random, [1, 1, 2, -1]),
  replicationFactor: (_world, random) => pick(random, [1, -1]),
  assignments: emptyList,
  configs: emptyList,
  records: (world, random) => recordsFor(world, random),
};

/**
 * The request of a vector, told of this world. Fields that the version does not carry, and nulls, stay as
 * they are; the vector's own value is not changed.
 */
export function ground(
  plan: StructPlan,
  value: Fields,
  world: World,
  random: Random,
  apiKey: number,
): Fields {
  const result: Record<string, unknown> = { ...value };
  for (const { name, type } of [...plan.ordinary, ...plan.tagged]) {
    // A topic's name is `name` where it holds partitions, a protocol's where it holds metadata.
    const known = name === "name" ? nameGround(value) : GROUNDS[name];
    const field = value[name];
    if (field === null) continue;
    if (known !== undefined) {
      result[name] = known(world, random, apiKey);
    } else if (type.kind === "struct") {
      result[name] = ground(type, field as Fields, world, random, apiKey);
    } else if (type.kind === "array" && type.element.kind === "struct") {
      const inner = type.element;
      const elements = (field as Fields[]).slice(0, MAX_ELEMENTS);
      result[name] = elements.map((element) => ground(inner, element, world, random, apiKey));
    }
  }
  return result;
}

function nameGround(owner: Fields): Ground {
  return "metadata" in owner ? () => "range" : topicName;
}

/** One batch, as a producer sends it or damaged in a way that its checksum does not tell. */
function recordsFor(world: World, random: Random): Buffer {
  const isIdempotent = world.producerId >= 0 && randomBelow(random, 2) === 0;
  const count = 1 + randomBelow(random, 3);
  const batch = buildBatch({
    timestampMs: 1_700_000_000_000 + randomBelow(random, 1000),
    records: Array.from({ length: count }, () => ({
      key: null,
      value: random.bytes(randomBelow(random, 200)),
    })),
    compression: pick(random, ["none", "none", "gzip", "lz4", "snappy", "zstd"]),
    ...(isIdempotent
      ? {
          producerId: world.producerId,
          producerEpoch: world.producerEpoch,
          baseSequence: world.sequence,
        }
      : {}),
  });
  if (isIdempotent && randomBelow(random, 4) > 0) world.sequence += count;
  if (randomBelow(random, 2) === 0) return batch;
  const source: Source = {
    bytes: batch,
    sites: [{ kind: "content", start: 0, end: batch.length, value: 0, element: null }],
  };
  return maybeFixCrc(random, mutate(random, source, source).bytes);
}
