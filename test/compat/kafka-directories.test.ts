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
import { type WrittenTransactions, writeTransactions } from "../support/transactional-log.ts";
import { until } from "../support/until.ts";

const TOPICS = ["codecs", "transactions", "compacted", "shortened", "stamped"] as const;

const KAFKA = {
  "offsets.topic.num.partitions": 1,
  "transaction.state.log.num.partitions": 1,
  "log.cleaner.backoff.ms": 100,
  // By default Kafka notes only once a minute where DeleteRecords has cut; a kill before brings all back.
  "log.flush.start.offset.checkpoint.interval.ms": 100,
};

/** Ours cleans as eagerly. */
const BUSY_CLEANER = { "log.cleaner.backoff.ms": 100, "log.initial.task.delay.ms": 0 };

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

async function topicIdsOf(bootstrap: string): Promise<Record<string, string>> {
  const text = await runPython("test/compat/topic_ids.py", bootstrap, ...TOPICS);
  return JSON.parse(text) as Record<string, string>;
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

/** Whether a checkpoint of the log directory has such a line. */
async function isNoted(logDirectory: string, checkpoint: string, line: RegExp): Promise<boolean> {
  return line.test(await readFile(join(logDirectory, checkpoint), "utf8").catch(() => ""));
}

function isCompacted(logDirectory: string): Promise<boolean> {
  return isNoted(logDirectory, "cleaner-offset-checkpoint", /^compacted 0 [1-9]/m);
}

function isShortened(logDirectory: string): Promise<boolean> {
  return isNoted(logDirectory, "log-start-offset-checkpoint", /^shortened 0 1503$/m);
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
        await until(() => isShortened(kafka.logDirectory), "Kafka has noted where the log starts");
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
        const topicIds = await topicIdsOf(made.bootstrap);
        expect(await made.stop()).toBe(0);
        for (const topic of TOPICS) {
          await moveTopic({
            from: kafka.logDirectory,
            to: dataDirectory,
            topic,
            partition: 0,
            topicId: topicIds[topic]!,
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
        await expectSound(dataDirectory);
      });
    });
  }
});

/** What a broker of ours can fill by itself, and the transactions, which only its logs can as yet. */
const OURS = ["codecs", "compacted", "shortened", "stamped"] as const;

describe("a topic's directory, written here,", () => {
  for (const isClean of [true, false]) {
    const end = isClean ? "a clean stop" : "a kill -9";
    test(`opens in Kafka after ${end} and reads back the same; Kafka goes on, and back it comes`, async () => {
      await withTemporaryFolder(async (folder) => {
        const dataDirectory = join(folder, "holdfast");
        const broker = await BrokerProcess.start({ dataDirectory, overrides: BUSY_CLEANER });
        await runPython("test/compat/fill.py", broker.bootstrap, ...OURS);
        await until(() => isCompacted(dataDirectory), "our cleaner has cleaned");
        await runPython("test/compat/make_topics.py", broker.bootstrap, "transactions");
        const ourIds = await topicIdsOf(broker.bootstrap);
        const written = await readTopics(broker.bootstrap, OURS);
        await (isClean ? broker.stop() : broker.kill9());
        const made = join(folder, "made");
        const transactions = await writeTransactions(join(made, "transactions-0"));

        const first = await KafkaProcess.create({
          folder: join(folder, "kafka"),
          properties: KAFKA,
        });
        await runPython("test/compat/make_topics.py", first.bootstrap, ...TOPICS);
        const theirIds = await topicIdsOf(first.bootstrap);
        await first.stop();
        const { logDirectory: to } = first;
        for (const topic of TOPICS) {
          const from = topic === "transactions" ? made : dataDirectory;
          await moveTopic({ from, to, topic, partition: 0, topicId: theirIds[topic]!, isClean });
        }
        const kafka = await KafkaProcess.start(join(folder, "kafka"), first.port, [
          "producer.id.expiration.ms=1",
        ]);
        let grown: Readings;
        try {
          const read = await readTopics(kafka.bootstrap, TOPICS);
          expectSame(read, written);
          expectTransactions(read["transactions"]!, transactions);
          await expectReadByJava(kafka.bootstrap, read);
          await runPython("test/compat/append.py", kafka.bootstrap, "100", ...TOPICS);
          grown = await readTopics(kafka.bootstrap, TOPICS);
        } finally {
          await kafka.stop();
        }

        for (const topic of TOPICS) {
          const topicId = ourIds[topic]!;
          const way = { from: to, to: dataDirectory };
          await moveTopic({ ...way, topic, partition: 0, topicId, isClean: true });
        }
        const back = await BrokerProcess.start({ dataDirectory });
        try {
          expectSame(await readTopics(back.bootstrap, TOPICS), grown);
        } finally {
          await back.stop();
        }
        await expectSound(dataDirectory);
      });
    });
  }
});

function expectTransactions(
  { read_uncommitted, read_committed }: Readings[string],
  { all, committed, endOffset }: WrittenTransactions,
): void {
  const offsets = (reading: Reading) => reading.records.map(([offset]) => offset);
  const ascending = (values: ReadonlyMap<number, string>) =>
    [...values.keys()].sort((a, b) => a - b);
  expect(read_uncommitted.position).toBe(endOffset);
  expect(offsets(read_uncommitted)).toEqual(ascending(all));
  expect(offsets(read_committed)).toEqual(ascending(committed));
}

/** Kafka's own consumer sees the offsets and timestamps that librdkafka saw. */
async function expectReadByJava(bootstrap: string, readings: Readings): Promise<void> {
  for (const [topic, isolation] of [
    ["codecs", "read_uncommitted"],
    ["transactions", "read_committed"],
  ] as const) {
    const { records } = readings[topic]![isolation];
    const lines = await readByJava(bootstrap, topic, isolation, records.length);
    const shown = lines.map((line) => /^CreateTime:(\d+)\t.*Offset:(\d+)\t/.exec(line)?.slice(1));
    expect(shown).toEqual(
      records.map(([offset, , timestampMs]) => [`${timestampMs}`, `${offset}`]),
    );
  }
}

/** kafka-dump-log finds no fault in what Holdfast has opened, gone on with and closed. */
async function expectSound(dataDirectory: string): Promise<void> {
  for (const topic of TOPICS) {
    const isCompacted = topic === "compacted";
    const { complaints } = await dumpLog(join(dataDirectory, `${topic}-0`), { isCompacted });
    expect(complaints, topic).toEqual([]);
  }
}
