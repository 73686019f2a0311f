import type { CompressionType } from "../base/offload.ts";
import { randomBelow, type Random } from "../base/random.ts";
import type { Uuid } from "../base/ids.ts";
import { APIS } from "../protocol/apis.ts";
import { errorName } from "../protocol/errors.ts";
import type { ProduceResponse } from "../protocol/messages/00-produce.ts";
import { buildBatch } from "../protocol/records/batch-builder.ts";
import type { History, SentRecord } from "./history.ts";
import { ConnectionLostError, type SimClient } from "./sim-client.ts";

/** As Java's max.in.flight.requests.per.connection. */
const MAX_IN_FLIGHT = 5;
const COMPRESSIONS: readonly CompressionType[] = [
  "none",
  "none",
  "none",
  "gzip",
  "snappy",
  "lz4",
  "zstd",
];
/** Answers after which a producer tries again with the same sequence numbers. */
const RETRIABLE = new Set([
  "NOT_LEADER_OR_FOLLOWER",
  "UNKNOWN_TOPIC_OR_PARTITION",
  "LEADER_NOT_AVAILABLE",
  "REQUEST_TIMED_OUT",
  "NOT_ENOUGH_REPLICAS",
  "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  "UNKNOWN_TOPIC_ID",
]);
const SEQUENCE_LOST = new Set(["OUT_OF_ORDER_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID"]);

export interface TopicFacts {
  readonly name: string;
  readonly topicId: Uuid;
  readonly partitionCount: number;
}

export interface ProducerWorld {
  readonly random: Random;
  readonly history: History;
  readonly topics: readonly TopicFacts[];
  wallMs(): number;
  /** Resolves after so many virtual milliseconds. */
  sleep(ms: number): Promise<void>;
  /** A connection to the broker, however long that takes. */
  connect(clientId: string): Promise<SimClient>;
}

export interface ProducerOptions {
  readonly name: string;
  readonly acks: -1 | 1;
  readonly recordCount: number;
  readonly maxValueBytes: number;
  /** Unsynced data may vanish: then sequence numbers may have to begin anew. */
  readonly mayLose: boolean;
}

interface Batch {
  /** Lowest version of Produce that may carry it: zstd came with version 7 (KIP-110). */
  readonly minVersion: number;
  readonly records: readonly SentRecord[];
  readonly baseSequence: number;
  readonly bytes: Buffer;
}

/** The producer's side of one partition. */
interface Lane {
  readonly topic: TopicFacts;
  readonly partitionIndex: number;
  readonly key: string;
  /** Not acked yet, in order; the first `inFlight` are on their way. */
  batches: Batch[];
  inFlight: number;
  nextSequence: number;
  nextOrder: number;
  /** One was refused: wait for the rest of what is in flight, then send all again. */
  isBroken: boolean;
}

/**
 * An idempotent producer with several requests in flight: it repeats what was not acked, with the same
 * sequence numbers and in order, until all is acked.
 */
export class SimProducer {
  readonly #world: ProducerWorld;
  readonly #options: ProducerOptions;
  readonly #lanes: Lane[];
  #client: SimClient | null = null;
  #producerId = -1;
  #producerEpoch = -1;
  #createdCount = 0;
  #requestsInFlight = 0;
  #needsProducerId = true;
  #wake: (() => void) | null = null;

  constructor(world: ProducerWorld, options: ProducerOptions) {
    this.#world = world;
    this.#options = options;
    this.#lanes = world.topics.flatMap((topic) =>
      Array.from({ length: topic.partitionCount }, (_, partitionIndex) => ({
        topic,
        partitionIndex,
        key: `${topic.name}-${partitionIndex}`,
        batches: [],
        inFlight: 0,
        nextSequence: 0,
        nextOrder: 0,
        isBroken: false,
      })),
    );
  }

  /** Resolves when all records are acked. */
  async run(): Promise<void> {
    while (this.#createdCount < this.#options.recordCount || this.#hasUnacked()) {
      try {
        await this.#turn();
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) throw error;
        await this.#world.sleep(1 + randomBelow(this.#world.random, 50));
      }
    }
    this.#client?.close();
  }

  async #turn(): Promise<void> {
    if (this.#client?.isOpen !== true) {
      this.#client = await this.#world.connect(this.#options.name);
      this.#requestsInFlight = 0;
      for (const lane of this.#lanes) resetLane(lane);
    }
    if (this.#needsProducerId) await this.#newProducerId(this.#client);
    if (this.#requestsInFlight < MAX_IN_FLIGHT) this.#createSome();
    const lanes = this.#sendable();
    if (this.#requestsInFlight >= MAX_IN_FLIGHT || lanes.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      return;
    }
    void this.#send(this.#client, lanes);
    const { random } = this.#world;
    if (randomBelow(random, 3) === 0) await this.#world.sleep(randomBelow(random, 20));
  }

  #hasUnacked(): boolean {
    return this.#lanes.some(({ batches }) => batches.length > 0);
  }

  /** Up to three lanes that have a batch to send, in random order. */
  #sendable(): Lane[] {
    const lanes = this.#lanes.filter(
      ({ batches, inFlight, isBroken }) => !isBroken && batches.length > inFlight,
    );
    const { random } = this.#world;
    const wanted = 1 + randomBelow(random, 3);
    while (lanes.length > wanted) lanes.splice(randomBelow(random, lanes.length), 1);
    return lanes;
  }

  #createSome(): void {
    const { random } = this.#world;
    const lane = this.#lanes[randomBelow(random, this.#lanes.length)];
    if (lane === undefined || this.#createdCount >= this.#options.recordCount) return;
    const left = this.#options.recordCount - this.#createdCount;
    const records = Array.from({ length: Math.min(left, 1 + randomBelow(random, 8)) }, () =>
      this.#record(lane),
    );
    this.#createdCount += records.length;
    lane.batches.push(this.#batch(lane, records));
  }

  #record(lane: Lane): SentRecord {
    const { random, history } = this.#world;
    const order = lane.nextOrder++;
    const filler = Buffer.alloc(randomBelow(random, this.#options.maxValueBytes), random.bytes(97));
    const identity = Buffer.from(`${this.#options.name}:${lane.key}:${order} `);
    const record = {
      key: randomBelow(random, 4) === 0 ? null : random.bytes(randomBelow(random, 10)),
      value: Buffer.concat([identity, filler]),
      headers: randomBelow(random, 5) === 0 ? [{ key: "h", value: random.bytes(3) }] : [],
      timestamp: this.#world.wallMs() - randomBelow(random, 1000),
    };
    history.onSend(lane.key, this.#options.name, order, record);
    return record;
  }

  #batch(lane: Lane, records: readonly SentRecord[]): Batch {
    const { random } = this.#world;
    const baseSequence = lane.nextSequence;
    lane.nextSequence += records.length;
    const compression = COMPRESSIONS[randomBelow(random, COMPRESSIONS.length)] ?? "none";
    const bytes = buildBatch({
      records,
      timestampMs: this.#world.wallMs(),
      producerId: this.#producerId,
      producerEpoch: this.#producerEpoch,
      baseSequence,
      compression,
    });
    return { minVersion: compression === "zstd" ? 7 : 3, records, baseSequence, bytes };
  }

  async #newProducerId(client: SimClient): Promise<void> {
    const answer = await client.request(
      APIS.initProducerId,
      client.version(APIS.initProducerId, 4),
      {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
      },
    );
    const error = errorName(answer.errorCode);
    if (error !== "NONE") {
      if (!error.startsWith("COORDINATOR")) {
        this.#world.history.report("refusal", `InitProducerId answered ${error}`);
      }
      throw new ConnectionLostError(error);
    }
    this.#world.history.onProducerId(this.#options.name, answer.producerId, answer.producerEpoch);
    this.#producerId = answer.producerId;
    this.#producerEpoch = answer.producerEpoch;
    this.#needsProducerId = false;
    for (const lane of this.#lanes) {
      lane.nextSequence = 0;
      lane.batches = lane.batches.map(({ records }) => this.#batch(lane, records));
    }
  }

  async #send(client: SimClient, lanes: readonly Lane[]): Promise<void> {
    const { random } = this.#world;
    const sent = lanes.map((lane) => ({ lane, batch: lane.batches[lane.inFlight++] }));
    const topics = new Map<TopicFacts, { index: number; records: Buffer | null }[]>();
    for (const { lane, batch } of sent) {
      const partitions = topics.get(lane.topic) ?? [];
      partitions.push({ index: lane.partitionIndex, records: batch?.bytes ?? null });
      topics.set(lane.topic, partitions);
    }
    this.#requestsInFlight += 1;
    try {
      const minVersion = Math.max(...sent.map(({ batch }) => batch?.minVersion ?? 3));
      const wanted = minVersion + randomBelow(random, 14 - minVersion);
      const version = client.version(APIS.produce, wanted);
      const answer = await client.request(APIS.produce, version, {
        acks: this.#options.acks,
        timeoutMs: 30_000,
        topicData: [...topics].map(([{ name, topicId }, partitionData]) => ({
          name,
          topicId,
          partitionData,
        })),
      });
      if (this.#client !== client) return;
      this.#requestsInFlight -= 1;
      for (const { lane, batch } of sent)
        if (batch !== undefined) this.#onAnswer(lane, batch, answer);
    } catch (error) {
      // The lanes are reset with the next connection.
      if (!(error instanceof ConnectionLostError)) throw error;
    } finally {
      this.#wake?.();
    }
  }

  #onAnswer(lane: Lane, batch: Batch, answer: ProduceResponse): void {
    const { history } = this.#world;
    const partition = answer.responses
      .filter(({ name, topicId }) => name === lane.topic.name || topicId === lane.topic.topicId)
      .flatMap(({ partitionResponses }) => partitionResponses)
      .find(({ index }) => index === lane.partitionIndex);
    if (partition === undefined) {
      history.report("answer", `${lane.key} is missing in the answer to a Produce`);
      return;
    }
    lane.inFlight -= 1;
    const error = errorName(partition.errorCode);
    if (error === "NONE" || error === "DUPLICATE_SEQUENCE_NUMBER") {
      this.#onAck(lane, batch, error === "NONE" ? partition.baseOffset : -1);
    } else {
      this.#onRefusal(lane, batch, error);
    }
    if (lane.isBroken && lane.inFlight === 0) lane.isBroken = false;
  }

  #onAck(lane: Lane, batch: Batch, baseOffset: number): void {
    const { history } = this.#world;
    if (lane.batches[0] !== batch) {
      history.report(
        "X1",
        `${lane.key}: sequence ${batch.baseSequence} was taken before an older one`,
      );
    }
    lane.batches = lane.batches.filter((one) => one !== batch);
    for (const [index, record] of batch.records.entries()) {
      history.onAck(lane.key, record, baseOffset < 0 ? -1 : baseOffset + index);
    }
  }

  #onRefusal(lane: Lane, batch: Batch, error: string): void {
    const isFirst = lane.batches[0] === batch && !lane.isBroken;
    lane.isBroken = true;
    if (RETRIABLE.has(error) || (SEQUENCE_LOST.has(error) && !isFirst)) return;
    if (SEQUENCE_LOST.has(error) && this.#options.mayLose) {
      this.#needsProducerId = true;
      this.#client?.close();
      return;
    }
    this.#world.history.report("refusal", `${lane.key}: Produce answered ${error}`);
    this.#client?.close();
  }
}

function resetLane(lane: Lane): void {
  lane.inFlight = 0;
  lane.isBroken = false;
}
