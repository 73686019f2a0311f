import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Admin } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kafkaClient } from "../support/kafkajs-log.ts";
import { outputOf, RunningProgram, runProgram } from "../support/programs.ts";
import { sharedBroker } from "../support/shared-broker.ts";
import { until } from "../support/until.ts";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

const isInstalled = spawnSync("kcat", ["-V"]).status === 0;
if (!isInstalled)
  console.log("kcat is not driven: it is not installed (test/peers/kafka/setup.sh)");

describe.skipIf(!isInstalled)("kcat", () => {
  const broker = sharedBroker();
  let admin: Admin;

  beforeAll(async () => {
    admin = kafkaClient(broker.bootstrap).admin();
    await admin.connect();
  });

  afterAll(() => admin.disconnect());

  const create = (topic: string, numPartitions: number) =>
    admin.createTopics({ topics: [{ topic, numPartitions }] });

  const kcat = (args: readonly string[], input?: string) =>
    outputOf("kcat", ["-b", broker.bootstrap, ...args], input);

  /** All of the topic that is there now, each record in the format. */
  const consume = async (topic: string, format: string, ...args: readonly string[]) =>
    lines(await kcat(["-C", "-t", topic, "-e", "-q", "-f", `${format}\\n`, ...args]));

  const committed = async (groupId: string, topic: string) => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return found!.partitions.sort((a, b) => a.partition - b.partition).map(({ offset }) => offset);
  };

  test("lists the broker, the topics and their partitions (-L)", async () => {
    await create("listed", 2);
    await create("also-listed", 1);
    const partition = (number: number) => ({
      ...{ partition: number, leader: 1, replicas: [{ id: 1 }], isrs: [{ id: 1 }] },
    });
    const facts = JSON.parse(await kcat(["-L", "-J"])) as Record<string, unknown>;
    expect(facts).toMatchObject({
      controllerid: 1,
      brokers: [{ id: 1, name: broker.bootstrap }],
      topics: [
        { topic: "also-listed", partitions: [partition(0)] },
        { topic: "listed", partitions: [partition(0), partition(1)] },
      ],
    });
    const text = await kcat(["-L", "-t", "listed"]);
    expect(lines(text).slice(1)).toEqual([
      " 1 brokers:",
      `  broker 1 at ${broker.bootstrap} (controller)`,
      " 1 topics:",
      '  topic "listed" with 2 partitions:',
      "    partition 0, leader 1, replicas: 1, isrs: 1",
      "    partition 1, leader 1, replicas: 1, isrs: 1",
    ]);
  });

  test("produces keys, headers and nulls in every compression, and gets them back (-P, -C)", async () => {
    await create("records", 1);
    const expected: string[] = [];
    const before = Date.now();
    for (const codec of CODECS) {
      const sent = Array.from({ length: 40 }, (_, n) => [`${codec}-${n}`, `${"ab".repeat(n)}✓`]);
      const headers = ["-H", `codec=${codec}`, "-H", "empty="];
      const input = `${sent.map((each) => each.join("=>")).join("\n")}\ngone=>\n`;
      const acks = ["-X", "acks=all", "-X", "enable.idempotence=true"];
      const codecs = codec === "none" ? [] : ["-z", codec];
      await kcat(["-P", "-t", "records", "-K=>", "-Z", ...headers, ...acks, ...codecs], input);
      for (const [key, value] of [...sent, ["gone", null]] as [string, string | null][]) {
        const bytes = value === null ? -1 : Buffer.byteLength(value);
        expected.push(
          `0 ${expected.length} ${key} ${bytes} ${value ?? "NULL"} codec=${codec},empty=`,
        );
      }
    }
    expect(await consume("records", "%p %o %k %S %s %h", "-Z", "-X", "check.crcs=true")).toEqual(
      expected,
    );
    const stamps = (await consume("records", "%T")).map(Number);
    expect(stamps).toHaveLength(expected.length);
    expect(stamps.every((stamp) => before <= stamp && stamp <= Date.now())).toBe(true);
  });

  test("passes on the bytes of a file as they are", async () => {
    await create("files", 1);
    const bytes = randomBytes(300_000);
    const path = join(broker.folder, "bytes");
    await writeFile(path, bytes);
    await kcat(["-P", "-t", "files", path]);
    const args = ["-b", broker.bootstrap, "-C", "-t", "files", "-e", "-q", "-f", "%s"];
    const read = await outputOf("kcat", args, "", "latin1");
    expect(Buffer.from(read, "latin1").equals(bytes)).toBe(true);
  });

  test("reads from an offset, from the end and between two times", async () => {
    const read = (...args: readonly string[]) => consume("records", "%o", "-p", "0", ...args);
    expect(await read("-o", "201")).toEqual(["201", "202", "203", "204"]);
    expect(await read("-o", "-2")).toEqual(["203", "204"]);
    expect(await read("-o", "7", "-c", "2")).toEqual(["7", "8"]);
    const start = await fillTimed("between");
    const between = ["-o", `s@${start + 15}`, "-o", `e@${start + 40}`];
    expect(await consume("between", "%o %T", ...between)).toEqual([
      `2 ${start + 20}`,
      `3 ${start + 30}`,
    ]);
  });

  test("finds offsets by time (-Q)", async () => {
    const start = await fillTimed("asked");
    const found = async (time: number) => kcat(["-Q", "-t", `asked:0:${time}`]);
    expect(await found(start)).toBe("asked [0] offset 0\n");
    expect(await found(start + 31)).toBe("asked [0] offset 4\n");
    expect(await found(start + 51)).toBe("asked [0] offset -1\n");
    expect(await found(-2)).toBe("asked [0] offset 0\n");
    expect(await found(-1)).toBe("asked [0] offset 6\n");
  });

  test("says that a partition is not there", async () => {
    const args = ["-b", broker.bootstrap, "-C", "-t", "records", "-p", "7", "-e"];
    const { exitCode, stderr } = await runProgram("kcat", args);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("Topic records (with partitions 0..0): partition 7 does not exist");
  });

  test("commits for its group, and goes on there (-G)", async () => {
    await create("work", 2);
    const produce = (partition: number, first: number, count: number) => {
      const values = Array.from({ length: count }, (_, n) => `${partition}-${first + n}`);
      return kcat(["-P", "-t", "work", "-p", String(partition)], `${values.join("\n")}\n`);
    };
    const take = async (count: number) => {
      const start = ["-X", "auto.offset.reset=earliest", "-c", String(count)];
      return lines(await kcat(["-q", ...start, "-f", "%s\\n", "-G", "takers", "work"])).sort();
    };
    await produce(0, 0, 3);
    await produce(1, 0, 2);
    expect(await take(5)).toEqual(["0-0", "0-1", "0-2", "1-0", "1-1"]);
    expect(await committed("takers", "work")).toEqual(["3", "2"]);
    await produce(1, 2, 2);
    expect(await take(2)).toEqual(["1-2", "1-3"]);
    expect(await committed("takers", "work")).toEqual(["3", "4"]);
  });

  test("two members share the partitions, and who stays takes over from who leaves (-G)", async () => {
    await create("shared", 2);
    const start = () => {
      const settings = ["-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=100"];
      const args = ["-b", broker.bootstrap, "-u", ...settings, "-f", "%p:%s\\n"];
      return new RunningProgram(broker.folder, "kcat", [...args, "-G", "sharers", "shared"]);
    };
    const shares = (...members: readonly RunningProgram[]) =>
      members.map((member) => latestShare(member.stderr)).sort();
    const produce = async (...values: readonly string[]) => {
      for (const partition of ["0", "1"]) {
        await kcat(["-P", "-t", "shared", "-p", partition], `${values.join("\n")}\n`);
      }
    };
    const first = start();
    await until(() => shares(first)[0] === "shared [0], shared [1]", "one member has it all");
    await produce("a", "b");
    await until(() => lines(first.stdout).length === 4, "it reads both partitions");

    const second = start();
    await until(
      () => shares(first, second).join("; ") === "shared [0]; shared [1]",
      "each has one partition",
    );
    const own = (member: RunningProgram) => /\d/.exec(latestShare(member.stderr))![0];
    const [ofFirst, ofSecond] = [own(first), own(second)];
    await produce("c");
    await until(() => second.stdout !== "", "the second reads its partition");
    await until(() => lines(first.stdout).length === 5, "the first reads on in its own");
    expect(lines(first.stdout).slice(4)).toEqual([`${ofFirst}:c`]);
    expect(lines(second.stdout)).toEqual([`${ofSecond}:c`]);

    await first.stop();
    await until(() => shares(second)[0] === "shared [0], shared [1]", "who stays has it all");
    await produce("d");
    await until(() => lines(second.stdout).length === 3, "and reads both partitions");
    expect(lines(second.stdout).slice(1).sort()).toEqual(["0:d", "1:d"]);
    await second.stop();
    expect(await committed("sharers", "shared")).toEqual(["4", "4"]);
    const { groups } = await admin.describeGroups(["sharers"]);
    expect(groups).toMatchObject([{ groupId: "sharers", state: "Empty", members: [] }]);
  });

  /** Six records ten milliseconds apart; returns the time of the first. */
  async function fillTimed(topic: string): Promise<number> {
    const start = Date.now() - 60_000;
    await create(topic, 1);
    const producer = kafkaClient(broker.bootstrap).producer();
    await producer.connect();
    const messages = [0, 10, 20, 30, 40, 50].map((ms) => ({
      ...{ value: `after ${ms}`, timestamp: String(start + ms) },
    }));
    await producer.send({ topic, messages });
    await producer.disconnect();
    return start;
  }
});

function lines(text: string): string[] {
  return text === "" ? [] : text.trimEnd().split("\n");
}

/** What kcat said last that its group gave it; "" while it has nothing. */
function latestShare(stderr: string): string {
  const last = lines(stderr).findLast((line) => line.includes(" rebalanced "));
  return /: assigned: (.*)$/.exec(last ?? "")?.[1] ?? "";
}
