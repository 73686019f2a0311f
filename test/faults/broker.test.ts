import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import kafkajs from "kafkajs";
import { expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { kafkaClient, readTopic } from "../support/kafkajs-log.ts";

const TOPIC = "orders";
/** What a full directory may take until it is served again. */
const HEALS_WITHIN_MS = 5_000;

/** A broker with two log directories and a file of faults, and a client that gives up at once. */
async function world(folder: string) {
  const faultsPath = join(folder, "faults.json");
  const [a, b] = [join(folder, "a"), join(folder, "b")];
  for (const path of [a, b]) mkdirSync(path);
  writeFileSync(faultsPath, "[]");
  const start = (): Promise<BrokerProcess> =>
    BrokerProcess.start({
      dataDirectory: `${a},${b}`,
      overrides: { "holdfast.disk.faults": faultsPath, "log.flush.interval.messages": 1 },
    });
  const broker = await start();
  const admin = kafkaClient(broker.bootstrap).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 2 }], waitForLeaders: true });
  await admin.disconnect();
  const kafka = new kafkajs.Kafka({
    brokers: [broker.bootstrap],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 0 },
  });
  const producer = kafka.producer({ retry: { retries: 0 } });
  await producer.connect();
  const acked: string[] = [];
  const send = async (partition: number): Promise<string> => {
    const value = `${partition}-${acked.length}-${process.hrtime.bigint()}`;
    try {
      await producer.send({ topic: TOPIC, acks: -1, messages: [{ partition, value }] });
      acked.push(value);
      return "acked";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  /** New rules hold when the broker has said so. */
  const setFaults = async (rules: readonly object[]): Promise<void> => {
    const count = linesAbout(broker, "faults of the disk are active");
    writeFileSync(faultsPath, JSON.stringify(rules));
    process.kill(broker.pid, "SIGHUP");
    while (linesAbout(broker, "faults of the disk are active") === count) await turn();
  };
  const inB = existsSync(join(b, `${TOPIC}-0`)) ? 0 : 1;
  return { broker, start, producer, acked, send, setFaults, a, b, inA: 1 - inB, inB };
}

function linesAbout(broker: BrokerProcess, text: string): number {
  return broker.output.split("\n").filter((line) => line.includes(text)).length;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

test("a full directory refuses, the other serves, and room heals it within five seconds", async () => {
  await withTemporaryFolder(async (folder) => {
    const { broker, producer, acked, send, setFaults, b, inA, inB } = await world(folder);
    expect([await send(inA), await send(inB)]).toEqual(["acked", "acked"]);
    const noRoom = { kind: "error", code: "ENOSPC" };
    await setFaults([
      { operation: ["writev", "create", "mkdir"], path: `${b}/**`, sticky: true, fault: noRoom },
    ]);
    expect(await send(inB)).toContain("Disk error");
    expect(await send(inA)).toBe("acked");
    expect(await send(inB)).toContain("Disk error");
    await setFaults([]);
    const startMs = performance.now();
    while ((await send(inB)) !== "acked") {
      expect(performance.now() - startMs).toBeLessThan(HEALS_WITHIN_MS);
      await turn();
    }
    const entries = await readTopic(kafkaClient(broker.bootstrap), TOPIC);
    expect(entries.map(({ value }) => value)).toEqual(expect.arrayContaining(acked));
    await producer.disconnect();
    expect(await broker.stop()).toBe(0);
  });
});

test("a failed sync takes its directory offline, not the process; a restart has all that was acked", async () => {
  await withTemporaryFolder(async (folder) => {
    const { broker, start, producer, acked, send, setFaults, a, b, inA, inB } = await world(folder);
    expect([await send(inA), await send(inB)]).toEqual(["acked", "acked"]);
    const fault = { kind: "error", code: "EIO" };
    const callSite = "segment.ts datasync";
    await setFaults([{ operation: "datasync", callSite, path: `${b}/${TOPIC}-*/*.log`, fault }]);
    expect(await send(inB)).toContain("Disk error");
    expect(broker.output).toContain("the log directory is offline");
    // Not tried again: the rule has fired once, and it stays so.
    expect(await send(inB)).toContain("Disk error");
    expect(await send(inA)).toBe("acked");
    // The metadata's directory fails as well: the process lives, and serves what it has.
    await setFaults([{ operation: "datasync", path: `${a}/**`, sticky: true, fault }]);
    expect(await send(inA)).toContain("Disk error");
    expect(await send(inA)).toContain("Disk error");
    await producer.disconnect();
    await broker.kill9();
    writeFileSync(join(folder, "faults.json"), "[]");
    const next = await start();
    const entries = await readTopic(kafkaClient(next.bootstrap), TOPIC);
    expect(entries.map(({ value }) => value)).toEqual(expect.arrayContaining(acked));
    expect(await next.stop()).toBe(0);
  });
});

test("a file of faults that is wrong ends the start with the place and the way out", async () => {
  await withTemporaryFolder(async (folder) => {
    const path = join(folder, "faults.json");
    writeFileSync(path, '[{"operation":"fsync","fault":{"kind":"error"}}]');
    const starting = BrokerProcess.start({
      dataDirectory: join(folder, "data"),
      overrides: { "holdfast.disk.faults": path },
    });
    await expect(starting).rejects.toThrow(
      /ended with 78.*rule 1: operation is \\"fsync\\", must be one/s,
    );
  });
});
