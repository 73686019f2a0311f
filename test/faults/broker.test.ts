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
  const acked: string[] = [];
  const connect = async ({ bootstrap }: BrokerProcess) => {
    const kafka = new kafkajs.Kafka({
      brokers: [bootstrap],
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { retries: 0 },
    });
    const producer = kafka.producer({ retry: { retries: 0 } });
    await producer.connect();
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
    return { producer, send };
  };
  const writeFaults = (rules: readonly object[]): void => {
    writeFileSync(faultsPath, JSON.stringify(rules));
  };
  /** New rules hold when the broker has said so. */
  const setFaults = async (target: BrokerProcess, rules: readonly object[]): Promise<void> => {
    const count = linesAbout(target, "faults of the disk are active");
    writeFaults(rules);
    process.kill(target.pid, "SIGHUP");
    while (linesAbout(target, "faults of the disk are active") === count) await turn();
  };
  const inB = existsSync(join(b, `${TOPIC}-0`)) ? 0 : 1;
  const client = await connect(broker);
  return {
    ...{ broker, start, connect, ...client, acked, writeFaults, setFaults },
    ...{ a, b, inA: 1 - inB, inB },
  };
}

/** Sends until it is acknowledged, which it must be in time. */
async function expectHealing(send: () => Promise<string>): Promise<void> {
  const startMs = performance.now();
  while ((await send()) !== "acked") {
    expect(performance.now() - startMs).toBeLessThan(HEALS_WITHIN_MS);
    await turn();
  }
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
    await setFaults(broker, [
      { operation: ["writev", "create", "mkdir"], path: `${b}/**`, sticky: true, fault: noRoom },
    ]);
    expect(await send(inB)).toContain("Disk error");
    expect(await send(inA)).toBe("acked");
    expect(await send(inB)).toContain("Disk error");
    await setFaults(broker, []);
    await expectHealing(() => send(inB));
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
    await setFaults(broker, [
      { operation: "datasync", callSite, path: `${b}/${TOPIC}-*/*.log`, fault },
    ]);
    expect(await send(inB)).toContain("Disk error");
    expect(broker.output).toContain("the log directory is offline");
    // Not tried again: the rule has fired once, and it stays so.
    expect(await send(inB)).toContain("Disk error");
    expect(await send(inA)).toBe("acked");
    // The metadata's directory fails as well: the process lives, and serves what it has.
    await setFaults(broker, [{ operation: "datasync", path: `${a}/**`, sticky: true, fault }]);
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

test("a directory that had no room for the start is served within five seconds of room", async () => {
  await withTemporaryFolder(async (folder) => {
    const at = await world(folder);
    const { inA, inB, b } = at;
    expect([await at.send(inA), await at.send(inB)]).toEqual(["acked", "acked"]);
    await at.producer.disconnect();
    expect(await at.broker.stop()).toBe(0);
    const noRoom = { kind: "error", code: "ENOSPC" };
    at.writeFaults([
      { operation: ["lock", "create"], path: `${b}/**`, sticky: true, fault: noRoom },
    ]);
    const broker = await at.start();
    expect(broker.output).toContain("make room, it goes on by itself");
    const { producer, send } = await at.connect(broker);
    expect(await send(inA)).toBe("acked");
    expect(await send(inB)).not.toBe("acked");
    await at.setFaults(broker, []);
    await expectHealing(() => send(inB));
    const entries = await readTopic(kafkaClient(broker.bootstrap), TOPIC);
    expect(entries.map(({ value }) => value)).toEqual(expect.arrayContaining(at.acked));
    await producer.disconnect();
    expect(await broker.stop()).toBe(0);
  });
});

test("a start without room for the metadata waits until there is some", async () => {
  await withTemporaryFolder(async (folder) => {
    const at = await world(folder);
    expect([await at.send(at.inA), await at.send(at.inB)]).toEqual(["acked", "acked"]);
    await at.producer.disconnect();
    await at.broker.kill9();
    // Room comes after so many refusals, one for each attempt, wherever it was made.
    const fault = { kind: "error", code: "ENOSPC" };
    at.writeFaults([
      { operation: ["create", "writev"], path: `${at.a}/**`, after: 1, times: 3, fault },
    ]);
    const broker = await at.start();
    expect(broker.output).toContain("the start waits for room in log directory");
    expect(linesAbout(broker, "injected a fault")).toBe(3);
    const entries = await readTopic(kafkaClient(broker.bootstrap), TOPIC);
    expect(entries.map(({ value }) => value)).toEqual(expect.arrayContaining(at.acked));
    expect(await broker.stop()).toBe(0);
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
