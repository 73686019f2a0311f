import { APIS } from "../../protocol/apis.ts";
import { errorCode, KafkaError } from "../../protocol/errors.ts";
import type { ProduceRequest } from "../../protocol/messages/00-produce.ts";
import {
  batchCompression,
  isTransactional,
  validateClientBatch,
} from "../../protocol/records/batch.ts";
import { RecordsRefusedError } from "../../protocol/records/validate-records.ts";
import type { ClientBatches } from "../../replica/client-batches.ts";
import { AckGroup, type PendingAck, type RequiredAcks } from "../../replica/delayed.ts";
import type { HostedTopic } from "../../replica/hosted-topic.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import type { Partition } from "../../replica/partition.ts";
import { refusalOf } from "../../replica/refusal.ts";
import type { Traffic } from "../../replica/traffic.ts";
import type { LogAppendResult } from "../../storage/log.ts";
import {
  CLOSE_CONNECTION,
  handlerFor,
  NO_RESPONSE,
  type RequestContext,
  type TypedApiHandler,
} from "../api-handler.ts";
import { isInternalTopic } from "../metadata/topic-names.ts";
import { LeaderHints, type LeaderLookup } from "./leader-hints.ts";

// Produce, versions 3-13 (advertised from 0 on, see ApiVersions; KAFKA-18659). Every partition is
// appended, or has its place in the order of arrival, before the handler first waits, and fails or
// succeeds alone. 5 added logStartOffset, 7 zstd, 8 error messages and the records that are to blame
// (KIP-467), 9 is flexible, 10 tells who leads instead (KIP-951), 13 names topics by id.
//
// The request's bytes are ours until its outcome has settled, and not a moment longer: no outcome comes,
// not even at the deadline, before every batch was appended or refused.
//
// Transactions are not served yet. A transactional batch, or any batch under a transactional id, is
// refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED: it is what Kafka itself answers to a transactional
// batch that it may not take, so that every stock client knows it here, as fatal and not to be retried.
// The message (8+) says why.

type TopicRequest = ProduceRequest["topicData"][number];
type PartitionRequest = TopicRequest["partitionData"][number];

interface PartitionAnswer {
  readonly index: number;
  errorCode: number;
  baseOffset: number;
  logAppendTimeMs: number;
  logStartOffset: number;
  recordErrors: { readonly batchIndex: number; readonly batchIndexErrorMessage: string }[];
  errorMessage: string | null;
  currentLeader?: { leaderId: number; leaderEpoch: number };
}

type TopicAnswer = Pick<TopicRequest, "name" | "topicId"> & {
  readonly partitionResponses: PartitionAnswer[];
};

interface AwaitedAnswer {
  readonly answer: PartitionAnswer;
  readonly traffic: Traffic;
  readonly ack: PendingAck;
}

/** Kafka lets its own admin client write to internal topics, and nobody else. */
const ADMIN_CLIENT_ID = "__admin_client";

const FIRST_VERSION_WITH_ZSTD = 7;
const FIRST_VERSION_WITH_LEADERS = 10;
const FIRST_VERSION_WITH_TOPIC_IDS = 13;

const NOT_LEADER = errorCode("NOT_LEADER_OR_FOLLOWER");

export interface ProduceDependencies {
  readonly replicas: ReplicaManager;
  readonly clientBatches: ClientBatches;
  readonly leaderOf: LeaderLookup;
}

/** The handler of Produce. */
export function produceHandler(
  dependencies: ProduceDependencies,
): TypedApiHandler<typeof APIS.produce.request, typeof APIS.produce.response> {
  return handlerFor(APIS.produce, (request, context) => {
    const append = new ProduceAppend(dependencies, request, context);
    const responses = request.topicData.map((topic) => append.topic(topic));
    return append.whenAppended(() =>
      request.acks === 0
        ? append.finishWithoutAnswer()
        : append.finish(request.timeoutMs, () => ({
            responses,
            nodeEndpoints:
              context.apiVersion >= FIRST_VERSION_WITH_LEADERS
                ? nameLeaders(responses, dependencies, context)
                : [],
          })),
    );
  });
}

/** Fills in who leads the partitions that are not led here; returns where clients reach those. */
function nameLeaders(
  responses: readonly TopicAnswer[],
  { replicas, leaderOf }: ProduceDependencies,
  { listenerName }: RequestContext,
): LeaderHints["nodeEndpoints"] {
  const hints = new LeaderHints(leaderOf, listenerName);
  for (const { name, topicId, partitionResponses } of responses) {
    for (const answer of partitionResponses) {
      if (answer.errorCode !== NOT_LEADER) continue;
      const topic = replicas.topicName(topicId) ?? name;
      hints.fillIn(answer, { topic, partitionIndex: answer.index });
    }
  }
  return hints.nodeEndpoints;
}

/** One Produce request on its way through the partitions. */
class ProduceAppend {
  readonly #replicas: ReplicaManager;
  readonly #clientBatches: ClientBatches;
  readonly #request: ProduceRequest;
  readonly #context: RequestContext;
  /** Appends that wait for their batch, or for one before it. None of them rejects. */
  readonly #appending: Promise<void>[] = [];
  readonly #acks = new AckGroup();
  readonly #awaited: AwaitedAnswer[] = [];
  #hasError = false;

  constructor(
    dependencies: Omit<ProduceDependencies, "leaderOf">,
    request: ProduceRequest,
    context: RequestContext,
  ) {
    this.#replicas = dependencies.replicas;
    this.#clientBatches = dependencies.clientBatches;
    this.#request = request;
    this.#context = context;
  }

  topic(request: TopicRequest): TopicAnswer {
    const isById = this.#context.apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS;
    const topic = isById
      ? this.#replicas.topicById(request.topicId)
      : this.#replicas.topicByName(request.name);
    const partitionResponses = request.partitionData.map((partition) =>
      this.#partition(topic, partition, isById),
    );
    return { name: request.name, topicId: request.topicId, partitionResponses };
  }

  /** Goes on when every batch was appended or refused. */
  whenAppended<T>(next: () => T | Promise<T>): T | Promise<T> {
    return this.#appending.length === 0 ? next() : Promise.all(this.#appending).then(next);
  }

  /** acks of 1 and -1: answers when the records are as safe as asked, or the time is over. */
  finish<T>(timeoutMs: number, response: () => T): T | Promise<T> {
    if (this.#awaited.length === 0) return response();
    return this.#replicas.waitForAcks(this.#acks, timeoutMs).then(() => {
      this.#refuseUnacknowledged();
      return response();
    });
  }

  /**
   * acks=0: the client hears nothing, of an error only that the connection closes. The request still
   * counts as in work until its bytes are safe, or a fast client would fill the memory of a slow disk.
   */
  finishWithoutAnswer():
    | typeof NO_RESPONSE
    | typeof CLOSE_CONNECTION
    | Promise<typeof NO_RESPONSE | typeof CLOSE_CONNECTION> {
    if (this.#hasError) return CLOSE_CONNECTION;
    if (this.#awaited.length === 0) return NO_RESPONSE;
    return this.#acks.waitForever().then(() => {
      this.#refuseUnacknowledged();
      return this.#hasError ? CLOSE_CONNECTION : NO_RESPONSE;
    });
  }

  #partition(
    topic: HostedTopic | undefined,
    request: PartitionRequest,
    isById: boolean,
  ): PartitionAnswer {
    const answer: PartitionAnswer = {
      index: request.index,
      errorCode: 0,
      baseOffset: -1,
      logAppendTimeMs: -1,
      logStartOffset: -1,
      recordErrors: [],
      errorMessage: null,
    };
    let traffic: Traffic | null = null;
    try {
      const partition = this.#find(topic, request, isById);
      ({ traffic } = partition);
      traffic.produceRequests += 1;
      const result = this.#append(partition, request.records);
      if (result instanceof Promise) {
        this.#appending.push(
          result.then(
            (appended) => this.#appended(answer, partition, appended),
            (error: unknown) => this.#refuse(answer, refusalOf(error), partition.traffic),
          ),
        );
      } else {
        this.#appended(answer, partition, result);
      }
    } catch (error) {
      this.#refuse(answer, refusalOf(error), traffic);
    }
    return answer;
  }

  #find(topic: HostedTopic | undefined, request: PartitionRequest, isById: boolean): Partition {
    const partition = this.#replicas.find(topic, request.index, isById);
    if (typeof partition === "string") throw new KafkaError(partition);
    this.#checkTopic(partition.topic);
    return partition;
  }

  #append(
    partition: Partition,
    records: Buffer | null,
  ): LogAppendResult | Promise<LogAppendResult> {
    const requiredAcks = requiredAcksOf(this.#request.acks);
    validateClientBatch(records, { maxMessageBytes: partition.maxMessageBytes });
    this.#checkBatch(records);
    return partition.appendPrepared((config) => this.#clientBatches.prepare(records, config), {
      requiredAcks,
      origin: "client",
    });
  }

  #appended(answer: PartitionAnswer, partition: Partition, result: LogAppendResult): void {
    answer.baseOffset = result.baseOffset;
    answer.logAppendTimeMs = result.logAppendTimeMs;
    answer.logStartOffset = result.logStartOffset;
    // A repeat waits like the first did: "already appended" is not "already safe" (X2).
    const requiredAcks = requiredAcksOf(this.#request.acks);
    const ack = this.#acks.add(partition, result.lastOffset + 1, requiredAcks);
    this.#awaited.push({ answer, traffic: partition.traffic, ack });
  }

  #checkTopic(name: string): void {
    if (isInternalTopic(name) && this.#context.clientId !== ADMIN_CLIENT_ID) {
      throw new KafkaError("INVALID_TOPIC_EXCEPTION", `${name} is written by the broker alone`);
    }
  }

  #checkBatch(records: Buffer): void {
    if (this.#request.transactionalId !== null || isTransactional(records)) {
      throw new KafkaError(
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        "this broker does not serve transactions yet",
      );
    }
    const { apiVersion } = this.#context;
    if (apiVersion < FIRST_VERSION_WITH_ZSTD && batchCompression(records) === "zstd") {
      throw new KafkaError(
        "UNSUPPORTED_COMPRESSION_TYPE",
        `Produce version ${apiVersion} does not know zstd, ${FIRST_VERSION_WITH_ZSTD} does`,
      );
    }
  }

  #refuseUnacknowledged(): void {
    for (const { answer, traffic, ack } of this.#awaited) {
      if (ack.refusal !== null) this.#refuse(answer, ack.refusal, traffic);
    }
  }

  #refuse(answer: PartitionAnswer, refusal: KafkaError, traffic: Traffic | null): void {
    this.#hasError = true;
    if (traffic !== null) traffic.failedProduceRequests += 1;
    answer.errorCode = refusal.code;
    answer.baseOffset = -1;
    answer.logAppendTimeMs = -1;
    answer.logStartOffset = -1;
    answer.errorMessage = refusal.message;
    if (refusal instanceof RecordsRefusedError) {
      answer.recordErrors = refusal.recordErrors.map(({ batchIndex, message }) => ({
        batchIndex,
        batchIndexErrorMessage: message,
      }));
    }
  }
}

function requiredAcksOf(acks: number): RequiredAcks {
  if (acks === -1 || acks === 0 || acks === 1) return acks;
  throw new KafkaError("INVALID_REQUIRED_ACKS", `acks must be -1, 0 or 1, not ${acks}`);
}
