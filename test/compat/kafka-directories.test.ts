import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { dumpLog } from "../support/dump-log.ts";
import { kafkaTool } from "../support/java.ts";
import { KafkaProcess } from "../support/kafka-process.ts";
import { moveTopic } from "../support/move-topic.ts";
import { runPython } from "../support/python.ts";
import { until } from "../support/until.ts";

const TOPICS = ["codecs", "transactions", "compacted", "shortened", "stamped"] as const;

const KAFKA = {
  "offsets.topic.num.partitions": 1,
  "transaction.state.log.num.partitions": 1,
  "log.cleaner.backoff.ms": 100,
};

/** A record as read_topics.py shows it. */
type Shown = readonly [
  offset: number,
  timestampType: number,
  timestampMs: number,
  key: string | null,
  value: string | null,
  headers: readonly (readonly [string, string | null])[],
];

interface Reading {
  readonly low: number;
  readonly high: number;
  readonly position: number;
  readonly records: readonly Shown[];
}

type Readings = Record<string, Record<"read_uncommitted" | "read_committed", Reading>>;

async function readTopics(bootstrap: string, topics: readonly string[]): Promise<Readings> {
  return JSON.parse(
    await runPython("test/compat/read_topics.py", bootstrap, ...topics),
  ) as Readings;
}

/** All that Kafka's own consumer shows of a topic. */
async function readByJava(bootstrap: string, topic: string, isolation: string, count: number) {
  const shows = ["timestamp", "offset", "key", "headers", "epoch"];
  const text = await kafkaTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
    ...["--bootstrap-server", bootstrap, "--topic", topic, "--isolation-level", isolation],
    ...["--from-beginning", "--max-messages", String(count), "--timeout-ms", "30000"],
    ...shows.flatMap((field) => ["--formatter-property", `print.${field}=true`]),
  ]);
  return text.trimEnd().split("\n");
}

async function isCompacted(logDirectory: string): Promise<boolean> {
  const text = await readFile(join(logDirectory, "cleaner-offset-checkpoint"), "utf8").catch(
    () => "",
  );
  return /^compacted 0 [1-9]/m.test(text);
}

/** What fill.py must have made, or the comparison would compare nothing. */
function expectFilled(readings: Readings, hasOpenTransaction: boolean): void {
  const at = (
    topic: string,
    isolation: "read_uncommitted" | "read_committed" = "read_uncommitted",
  ) => readings[topic]![isolation];
  expect(at("codecs").records).toHaveLength(3500);
  expect(at("stamped").records.every(([, type]) => type === 2)).toBe(true);
  expect(at("shortened").low).toBe(1503);
  expect(at("shortened").records).toHaveLength(1497);
  expect(at("compacted").records.length).toBeLessThan(5000);
  expect(at("compacted").high).toBe(5000);
  const all = at("transactions");
  const committed = at("transactions", "read_committed");
  expect(committed.records.length).toBeLessThan(all.records.length - 700);
  // At read_committed the end is the last stable offset.
  expect(committed.position < all.position).toBe(hasOpenTransaction);
}

/** The same in all, topic by topic: the first record that differs says more than a list of thousands. */
function expectSame(found: Readings, written: Readings): void {
  for (const [topic, levels] of Object.entries(written)) {
    for (const isolation of ["read_uncommitted", "read_committed"] as const) {
      const { records, ...marks } = found[topic]![isolation];
      const expected = levels[isolation];
      const at = expected.records.findIndex((record, n) => !isDeepStrictEqual(record, records[n]));
      const first = at < 0 ? null : { at, found: records[at], written: expected.records[at] };
      const count = records.length;
      const { low, high, position } = expected;
      expect({ topic, isolation, first, count, ...marks }).toEqual({
        ...{ topic, isolation, first: null, count: expected.records.length },
        ...{ low, high, position },
      });
    }
  }
}

describe("a topic's directory, written by Kafka,", () => {
  for (const isClean of [true, false]) {
    const end = isClean ? "a clean stop" : "a kill -9";
    test(`opens here after ${end} and reads back the same; here it goes on`, async () => {
      await withTemporaryFolder(async (folder) => {
        const kafka = await KafkaProcess.create({
          folder: join(folder, "kafka"),
          properties: KAFKA,
        });
        const options = isClean ? TOPICS : ["--open-transaction", ...TOPICS];
        await runPython("test/compat/fill.py", kafka.bootstrap, ...options);
        await until(() => isCompacted(kafka.logDirectory), "Kafka's cleaner has cleaned");
        const written = await readTopics(kafka.bootstrap, TOPICS);
        expectFilled(written, !isClean);
        const committed = written["transactions"]!.read_committed.records.length;
        const byJava = await readByJava(
          kafka.bootstrap,
          "transactions",
          "read_committed",
          committed,
        );
        await (isClean ? kafka.stop() : kafka.kill9());

        const dataDirectory = join(folder, "holdfast");
        const made = await BrokerProcess.start({ dataDirectory });
        await runPython("test/compat/make_topics.py", made.bootstrap, ...TOPICS);
        expect(await made.stop()).toBe(0);
        for (const topic of TOPICS) {
          await moveTopic({
            from: kafka.logDirectory,
            to: dataDirectory,
            topic,
            partition: 0,
            isClean,
          });
        }
        const broker = await BrokerProcess.start({ dataDirectory });
        try {
          expectSame(await readTopics(broker.bootstrap, TOPICS), written);
          expect(
            await readByJava(broker.bootstrap, "transactions", "read_committed", committed),
          ).toEqual(byJava);
          await runPython("test/compat/append.py", broker.bootstrap, "100", ...TOPICS);
          await broker.kill9();
        } finally {
          await broker.stop();
        }
        const again = await BrokerProcess.start({ dataDirectory });
        try {
          const grown = await readTopics(again.bootstrap, TOPICS);
          for (const topic of TOPICS) {
            const before = written[topic]!.read_uncommitted;
            const { low, high, records } = grown[topic]!.read_uncommitted;
            expect({ low, high }).toEqual({ low: before.low, high: before.high + 100 });
            expect(records.filter(([offset]) => offset < before.high)).toEqual(before.records);
          }
        } finally {
          await again.stop();
        }
        for (const topic of TOPICS) {
          expect((await dumpLog(join(dataDirectory, `${topic}-0`))).complaints, topic).toEqual([]);
        }
      });
    });
  }
});
