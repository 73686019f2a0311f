import { readdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { dumpLog } from "../support/dump-log.ts";
import { runPython } from "../support/python.ts";

const UPDATES = 1_000_000;
const KEYS = 4_000;
const SETTINGS = {
  "log.cleaner.backoff.ms": 100,
  "log.initial.task.delay.ms": 100,
  // Recovery points go to their file every so often, and nothing above them is compacted.
  "replica.high.watermark.checkpoint.interval.ms": 500,
};

interface Report {
  readonly failed: readonly string[];
  readonly unacked: number;
  readonly seconds: number;
  readonly keys: number;
  readonly bytes: number;
  readonly readings: readonly {
    readonly low: number;
    readonly high: number;
    readonly records: number;
    readonly keys: number;
    readonly wrong: readonly number[];
    readonly lost: readonly number[];
  }[];
}

async function createCompacted(bootstrap: string, topic: string): Promise<void> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR }).admin();
  await admin.connect();
  const settings = {
    "cleanup.policy": "compact",
    "segment.bytes": "1048576",
    "min.cleanable.dirty.ratio": "0.1",
  };
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] });
  await admin.disconnect();
}

function logBytes(directory: string): number {
  return readdirSync(directory)
    .filter((name) => name.endsWith(".log"))
    .reduce((total, name) => total + statSync(join(directory, name)).size, 0);
}

test(
  "1,000,000 updates while the log is compacted: the last acknowledged value of each key, at its offset",
  { timeout: 600_000 },
  async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory, overrides: SETTINGS });
      const directory = join(dataDirectory, "updates-0");
      try {
        await createCompacted(broker.bootstrap, "updates");
        const report = JSON.parse(
          await runPython(
            "test/compat/compaction.py",
            broker.bootstrap,
            "updates",
            String(UPDATES),
            String(KEYS),
          ),
        ) as Report;
        const bytes = logBytes(directory);
        console.log(JSON.stringify({ ...report, logBytes: bytes }));
        expect(report).toMatchObject({ failed: [], unacked: 0 });
        expect(report.keys).toBeGreaterThan(KEYS);
        for (const [index, reading] of report.readings.entries()) {
          expect(reading).toMatchObject({ low: 0, high: UPDATES, wrong: [], lost: [] });
          // Right after the load the cleaner is at work; then it has come to its end.
          expect(reading.records).toBeLessThan(index === 0 ? UPDATES : UPDATES / 4);
        }
        expect(bytes).toBeLessThan(report.bytes / 3);
        // It was compacted while the load ran, not only after it.
        const rounds = broker.output.match(/compacted a log/g)?.length ?? 0;
        expect(rounds).toBeGreaterThan(1);
        const checkpoint = await readFile(join(dataDirectory, "cleaner-offset-checkpoint"), "utf8");
        expect(checkpoint).toMatch(/^updates 0 [1-9]\d{4,}[ \t]*$/m);
      } finally {
        await broker.stop();
      }
      const dump = await dumpLog(directory, { isCompacted: true });
      expect(dump.complaints).toEqual([]);
      expect(dump.records.length).toBeGreaterThan(KEYS);
    });
  },
);
