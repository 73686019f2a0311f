import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import kafkajs from "kafkajs";
import { beforeAll, describe, expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { dumpLog } from "../support/dump-log.ts";
import { runPython } from "../support/python.ts";

beforeAll(() => {
  process.env["KAFKAJS_NO_PARTITIONER_WARNING"] = "1";
});

/** Enough batches over several segments that each index has its entries; ~1 KiB a record. */
async function fill(broker: BrokerProcess, topic: string): Promise<void> {
  const kafka = new kafkajs.Kafka({
    brokers: [broker.bootstrap],
    logLevel: kafkajs.logLevel.NOTHING,
  });
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  for (let batch = 0; batch < 400; batch += 1) {
    await producer.send({
      topic,
      messages: Array.from({ length: 5 }, (_, n) => ({
        key: `${batch}-${n}`,
        value: "x".repeat(1000),
      })),
    });
  }
  await producer.disconnect();
}

const overrides = { "log.segment.bytes": 1024 * 1024, "num.partitions": 1 };

async function expectSound(directory: string): Promise<void> {
  const report = await dumpLog(directory);
  expect(report.complaints).toEqual([]);
  expect(report.batches).toBeGreaterThanOrEqual(400);
  expect(report.indexEntries).toBeGreaterThanOrEqual(100);
}

describe("kafka-dump-log of the real Kafka", () => {
  test("reads segments, indexes and snapshots after a clean stop", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory, overrides });
      await fill(broker, "filled");
      expect(await broker.stop()).toBe(0);
      const files = await readdir(join(dataDirectory, "filled-0"));
      expect(files.filter((name) => name.endsWith(".log")).length).toBeGreaterThan(1);
      expect(files.some((name) => name.endsWith(".snapshot"))).toBe(true);
      await expectSound(join(dataDirectory, "filled-0"));
    });
  });

  test("reads them after a kill -9, and again after the recovery from it", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory, overrides });
      await fill(broker, "filled");
      await broker.kill9();
      await expectSound(join(dataDirectory, "filled-0"));
      const recovered = await BrokerProcess.start({ dataDirectory, overrides });
      await fill(recovered, "filled");
      await recovered.kill9();
      await expectSound(join(dataDirectory, "filled-0"));
    });
  });

  test("reads what group members and librdkafka's codecs leave behind", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory });
      await runPython("test/compat/librdkafka.py", broker.bootstrap);
      expect(await broker.stop()).toBe(0);
      for (const directories of [
        [0, 1, 2].map((partition) => join(dataDirectory, `rd-${partition}`)),
        await offsetsPartitionInUse(dataDirectory),
      ]) {
        const report = await dumpLog(directories);
        expect(report.complaints).toEqual([]);
        expect(report.batches).toBeGreaterThan(0);
      }
    });
  });

  test("decodes every record of the metadata log, after a kill -9", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory });
      await fill(broker, "described");
      await broker.kill9();
      const recovered = await BrokerProcess.start({ dataDirectory });
      await recovered.kill9();
      const report = await dumpLog(join(dataDirectory, "__cluster_metadata-0"), {
        decodesMetadata: true,
      });
      expect(report.complaints).toEqual([]);
      expect(
        report.records.filter((line) => /"type":"[A-Z_]+_RECORD"/.test(line)).length,
      ).toBeGreaterThan(5);
      // The tool prints what it cannot decode as a payload that is no record.
      const unknown = report.records.filter(
        (line) =>
          !/"type":"[A-Z_]+_RECORD"|(LeaderChange|KRaftVersion|KRaftVoters):? \{/.test(line),
      );
      expect(unknown).toEqual([]);
      expect(report.records.some((line) => line.includes('"name":"described"'))).toBe(true);
    });
  });

  test("finds one flipped bit in a segment, or in an index: these tests can fail", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory, overrides });
      await fill(broker, "filled");
      await broker.stop();
      const directory = join(dataDirectory, "filled-0");
      for (const name of ["00000000000000000000.log", "00000000000000000000.index"]) {
        const path = join(directory, name);
        const sound = await readFile(path);
        const flipped = Buffer.from(sound);
        // In the log a byte of a value, in the index the low byte of an entry's position.
        const at = name.endsWith(".log") ? 200_000 : 8 * 30 + 7;
        flipped[at] = flipped[at]! ^ 4;
        await writeFile(path, flipped);
        expect((await dumpLog(directory)).complaints, name).not.toEqual([]);
        await writeFile(path, sound);
      }
      await expectSound(directory);
    });
  });
});

async function offsetsPartitionInUse(dataDirectory: string): Promise<string> {
  for (const name of await readdir(dataDirectory)) {
    if (!name.startsWith("__consumer_offsets-")) continue;
    const directory = join(dataDirectory, name);
    // A segment's file is made with its first record.
    if ((await readdir(directory)).some((file) => file.endsWith(".log"))) return directory;
  }
  throw new Error("no partition of __consumer_offsets holds a record");
}
