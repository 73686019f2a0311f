import { describe, expect, test } from "vitest";
import { KafkaTools } from "../../support/kafka-tools.ts";
import { sharedBroker } from "../../support/shared-broker.ts";

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

/** Kafka's producers are idempotent, with acks=all, by default. */
describe("kafka-console-producer and kafka-console-consumer", () => {
  const tools = new KafkaTools(sharedBroker());

  const produce = (args: readonly string[], properties: readonly string[], lines: string[]) =>
    tools.run(
      "kafka-console-producer",
      [...args, ...properties.flatMap((property) => ["--reader-property", property])],
      `${lines.join("\n")}\n`,
    );

  const consume = async (args: readonly string[], count: number, shows: readonly string[] = []) => {
    const output = await tools.run("kafka-console-consumer", [
      ...[...args, "--max-messages", String(count), "--timeout-ms", "30000"],
      ...shows.flatMap((field) => ["--formatter-property", `print.${field}=true`]),
    ]);
    return output.trimEnd().split("\n");
  };

  test("pass on keys and values in every compression", async () => {
    const sent = CODECS.map((codec) =>
      Array.from({ length: 50 }, (_, n) => `key-${n}\t${codec} says ${n} ✓`),
    );
    const send = (index: number) =>
      produce(
        ["--topic", "packed", "--compression-codec", CODECS[index]!],
        ["parse.key=true"],
        sent[index]!,
      );
    await send(0);
    await Promise.all([send(1), send(2)]);
    await Promise.all([send(3), send(4)]);
    const received = await consume(["--topic", "packed", "--from-beginning"], 250, ["key"]);
    expect(CODECS.map((codec) => received.filter((line) => line.includes(codec)))).toEqual(sent);
    expect(received).toHaveLength(250);
  });

  test("pass on headers, missing keys and deletions, from the beginning, from an offset and for a group", async () => {
    const sent = [
      "one:1,two:2\tk0\tv0",
      "one:1,one:again\tk1\tv1",
      "none:NULL\tk2\tv2",
      "NULL\tk3\tNULL",
      "NULL\tNULL\tv4",
      ...Array.from({ length: 5 }, (_, n) => `n:${n}\tk\tv${n + 5}`),
    ];
    const beganMs = Date.now();
    await produce(
      ["--topic", "full"],
      ["parse.headers=true", "parse.key=true", "null.marker=NULL"],
      sent,
    );
    const expected = [
      "one:1,two:2\tk0\tv0",
      "one:1,one:again\tk1\tv1",
      "none:null\tk2\tv2",
      "NO_HEADERS\tk3\tnull",
      "NO_HEADERS\tnull\tv4",
      ...sent.slice(5),
    ].map((text, offset) => `Partition:0\tOffset:${offset}\t${text}`);
    const shows = ["partition", "offset", "headers", "key"];

    const grouped = ["--topic", "full", "--group", "readers", "--from-beginning"];
    const [stamped, first] = await Promise.all([
      consume(["--topic", "full", "--from-beginning"], 10, ["timestamp", ...shows]),
      consume(grouped, 4, shows),
    ]);
    expect(stamped.map((line) => line.replace(/^CreateTime:\d+\t/, ""))).toEqual(expected);
    const timesMs = stamped.map((line) => Number(/^CreateTime:(\d+)/.exec(line)![1]));
    expect(Math.min(...timesMs)).toBeGreaterThanOrEqual(beganMs);
    expect(Math.max(...timesMs)).toBeLessThanOrEqual(Date.now());
    expect(first).toEqual(expected.slice(0, 4));

    const [rest, placed] = await Promise.all([
      consume(grouped, 6, shows),
      consume(["--topic", "full", "--partition", "0", "--offset", "7"], 3, shows),
    ]);
    expect(rest).toEqual(expected.slice(4));
    expect(placed).toEqual(expected.slice(7));
  });
});
