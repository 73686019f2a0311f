import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { dumpLog } from "../support/dump-log.ts";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { runPython } from "../support/python.ts";
import { until } from "../support/until.ts";

const SETTINGS = {
  "offsets.topic.num.partitions": 1,
  "log.roll.ms": 200,
  "log.cleaner.backoff.ms": 50,
  "log.initial.task.delay.ms": 0,
  "log.cleaner.min.cleanable.ratio": 0.01,
};
const TOPIC = "topic";
/** Each of ten groups commits as often. */
const COMMITS = 150;

type Committed = Record<string, readonly (readonly [offset: number, metadata: string])[]>;

async function offsets(bootstrap: string, ...what: string[]): Promise<Committed> {
  return JSON.parse(
    await runPython("test/compat/offsets.py", bootstrap, TOPIC, ...what),
  ) as Committed;
}

async function cleanedOffset(dataDirectory: string): Promise<number> {
  const path = join(dataDirectory, "cleaner-offset-checkpoint");
  const text = await readFile(path, "utf8").catch(() => "");
  return Number(/^__consumer_offsets 0 (\d+)/m.exec(text)?.[1] ?? 0);
}

test("the offsets topic is compacted, and its coordinator loads from it what was committed last (G3)", async () => {
  await withTemporaryFolder(async (dataDirectory) => {
    const first = await BrokerProcess.start({ dataDirectory, overrides: SETTINGS });
    const admin = kafkaClient(first.bootstrap).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }] });
    await admin.disconnect();
    const committed = await offsets(first.bootstrap, "commit", String(COMMITS));
    expect(committed["group-9"]).toEqual(
      [0, 1, 2].map((p) => [9000 + 10 * (COMMITS - 1) + p, String(COMMITS - 1)]),
    );
    await until(async () => (await cleanedOffset(dataDirectory)) > 1000, "the cleaner has cleaned");
    await first.kill9();

    const second = await BrokerProcess.start({ dataDirectory, overrides: SETTINGS });
    expect(await offsets(second.bootstrap, "read")).toEqual(committed);
    const again = await offsets(second.bootstrap, "commit", "1");
    expect(again["group-9"]).toEqual([0, 1, 2].map((p) => [9000 + p, "0"]));
    expect(await second.stop()).toBe(0);

    const third = await BrokerProcess.start({ dataDirectory, overrides: SETTINGS });
    expect(await offsets(third.bootstrap, "read")).toEqual(again);
    expect(await third.stop()).toBe(0);
    const dump = await dumpLog(join(dataDirectory, "__consumer_offsets-0"), { isCompacted: true });
    expect(dump.complaints).toEqual([]);
    // Ten groups times three partitions, and what had come since the last round.
    expect(dump.records.length).toBeLessThan((COMMITS * 30) / 2);
    expect(dump.records.length).toBeGreaterThanOrEqual(30);
  });
});
