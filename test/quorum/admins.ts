import { setTimeout as pause } from "node:timers/promises";
import kafkajs, { type Admin } from "kafkajs";
import { type Api, APIS } from "../../src/protocol/apis.ts";
import { errorName } from "../../src/protocol/errors.ts";
import type { Encodable, Infer, Message } from "../../src/protocol/schema.ts";
import { TcpClient } from "../server/support/tcp-client.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import type { Nodes } from "./nodes.ts";

/** What became of a change, as its client was told. */
export type Outcome =
  | { readonly kind: "done"; readonly topicId: string | null }
  | { readonly kind: "refused"; readonly error: string }
  /** It may be there, or not: nobody has said. */
  | { readonly kind: "unknown"; readonly error: string };

/** Somebody who changes topics, and comes back to another node when one is gone. */
export interface TopicAdmin {
  create(topic: string, numPartitions: number): Promise<Outcome>;
  setRetention(topic: string, retentionMs: string): Promise<Outcome>;
  remove(topic: string): Promise<Outcome>;
  close(): Promise<void>;
}

const { KafkaJSAggregateError, KafkaJSProtocolError } = kafkajs;

const ALREADY_THERE = "TOPIC_ALREADY_EXISTS";
const TOPIC_RESOURCE = 2;
const SET = 0;
const TIMEOUT_MS = 30_000;
/** No change has waited so long for an answer without something being wrong. */
const GIVE_UP_MS = 60_000;
const BACKOFF_MS = 20;

/**
 * A delete whose answer was lost is answered UNKNOWN_TOPIC_OR_PARTITION the second time, which kafkajs takes
 * for something that will pass, and any kill in the time of its own retries makes it forget the answer. So
 * it gets few of them, and what is left is ours.
 */
const KAFKAJS_RETRY = { initialRetryTime: 50, maxRetryTime: 200, retries: 3 };

/** kafkajs, with few retries of its own; it asks the node first that it is given first. */
export class KafkaJsAdmin implements TopicAdmin {
  readonly #admin: Admin;

  private constructor(admin: Admin) {
    this.#admin = admin;
  }

  static async open(bootstrap: readonly string[]): Promise<KafkaJsAdmin> {
    const admin = kafkaClient(...bootstrap).admin({ retry: KAFKAJS_RETRY });
    await admin.connect();
    return new KafkaJsAdmin(admin);
  }

  create(topic: string, numPartitions: number): Promise<Outcome> {
    return this.#outcomeOf(async () => {
      const topics = [{ topic, numPartitions, replicationFactor: 1 }];
      const isNew = await this.#admin.createTopics({ waitForLeaders: false, topics });
      // What it says when it has asked twice, the first answer being lost.
      if (!isNew) throw new Error(ALREADY_THERE);
    });
  }

  setRetention(topic: string, retentionMs: string): Promise<Outcome> {
    return this.#outcomeOf(() =>
      this.#admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: kafkajs.ConfigResourceTypes.TOPIC,
            name: topic,
            configEntries: [{ name: "retention.ms", value: retentionMs }],
          },
        ],
      }),
    );
  }

  remove(topic: string): Promise<Outcome> {
    return this.#outcomeOf(() =>
      this.#admin.deleteTopics({ topics: [topic], timeout: TIMEOUT_MS }),
    );
  }

  async close(): Promise<void> {
    await this.#admin.disconnect();
  }

  async #outcomeOf(change: () => Promise<unknown>): Promise<Outcome> {
    const deadlineMs = performance.now() + GIVE_UP_MS;
    for (;;) {
      try {
        await change();
        return { kind: "done", topicId: null };
      } catch (failure) {
        const error = refusalOf(failure);
        if (error !== null && !RETRIED.has(error)) return { kind: "refused", error };
        if (performance.now() > deadlineMs) return { kind: "unknown", error: String(failure) };
      }
      // It asks once more by itself where the broker says so, but not where the connection is gone.
      await pause(BACKOFF_MS);
    }
  }
}

/** Kafka's name of what a broker has answered; null: there was no answer. */
function refusalOf(failure: unknown): string | null {
  if (!(failure instanceof Error)) return null;
  if (failure.message === ALREADY_THERE) return ALREADY_THERE;
  if (failure instanceof KafkaJSProtocolError) return failure.type;
  const inner = failure instanceof KafkaJSAggregateError ? failure.errors[0] : failure.cause;
  return refusalOf(inner);
}

/** Kafka's requests of today, sent to one node after another until one answers. */
export class WireAdmin implements TopicAdmin {
  readonly #ports: readonly number[];
  #next: number;
  #client: TcpClient | null = null;

  constructor(nodes: Nodes, first: number) {
    this.#ports = nodes.ids.map((nodeId) => nodes.portOf(nodeId));
    this.#next = first;
  }

  create(topic: string, numPartitions: number): Promise<Outcome> {
    return this.#ask(
      APIS.createTopics,
      7,
      {
        topics: [
          { name: topic, numPartitions, replicationFactor: 1, assignments: [], configs: [] },
        ],
        timeoutMs: TIMEOUT_MS,
        validateOnly: false,
      },
      ({ topics: [answer] }) => answer,
    );
  }

  setRetention(topic: string, retentionMs: string): Promise<Outcome> {
    const configs = [{ name: "retention.ms", configOperation: SET, value: retentionMs }];
    return this.#ask(
      APIS.incrementalAlterConfigs,
      1,
      {
        resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic, configs }],
        validateOnly: false,
      },
      ({ responses: [answer] }) => answer,
    );
  }

  remove(topic: string): Promise<Outcome> {
    return this.#ask(
      APIS.deleteTopics,
      5,
      { topics: [], topicNames: [topic], timeoutMs: TIMEOUT_MS },
      ({ responses: [answer] }) => answer,
    );
  }

  close(): Promise<void> {
    this.#client?.close();
    return Promise.resolve();
  }

  async #ask<Req extends Message, Res extends Message>(
    api: Api<Req, Res>,
    version: number,
    body: Encodable<Req>,
    pick: (response: Infer<Res>) => { errorCode: number; topicId?: string } | undefined,
  ): Promise<Outcome> {
    const deadlineMs = performance.now() + GIVE_UP_MS;
    for (;;) {
      let error: string;
      try {
        this.#client ??= await TcpClient.open(this.#ports[this.#next % this.#ports.length]!);
        const answer = pick(await this.#client.ask(api, version, body))!;
        error = errorName(answer.errorCode);
        if (error === "NONE") return { kind: "done", topicId: answer.topicId ?? null };
        if (!RETRIED.has(error)) return { kind: "refused", error };
      } catch (failure) {
        error = String(failure);
        this.#client?.close();
        this.#client = null;
        this.#next += 1;
      }
      if (performance.now() > deadlineMs) return { kind: "unknown", error };
      await pause(BACKOFF_MS);
    }
  }
}

/** Whether it was done is not known, or it can be done a little later. */
const RETRIED: ReadonlySet<string> = new Set([
  "NOT_CONTROLLER",
  "REQUEST_TIMED_OUT",
  "NETWORK_EXCEPTION",
]);
