import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { allKeys } from "../../src/server/config-keys.ts";
import { SimWorld } from "../raft/sim-world.ts";
import { CASES } from "./kafka-configs/cases.ts";
import { comparable, ConfigNode } from "./kafka-configs/config-node.ts";
import type { RecordedAnswer } from "./kafka-configs/record.ts";

/** In the order of the cases. */
const RECORDED = gunzipSync(readFileSync("test/server/kafka-configs/kafka-4.3.1.jsonl.gz"))
  .toString()
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as RecordedAnswer);

interface Difference {
  readonly why: string;
  /** What has to be in our answer, or why the two are the same but for this. */
  readonly ours: (theirs: unknown) => unknown;
}

const INVALID_REQUEST = 42;

/** All of Kafka's answer but for what is said of this resource. */
function answer(over: { readonly errorCode?: number; readonly errorMessage: string | null }) {
  return (theirs: unknown) => {
    const { responses } = theirs as { readonly responses: readonly object[] };
    return { responses: responses.map((response) => ({ ...response, ...over })) };
  };
}

function threads(message: string): Difference {
  return {
    why: "Kafka's sentence is about its exceptions",
    ours: answer({ errorMessage: `Dynamic thread count update validation failed for ${message}` }),
  };
}

type Configs = Record<string, object | undefined>;

/** The keys of the first result, changed. */
function firstConfigs(change: (configs: Configs) => Configs) {
  return (theirs: unknown) => {
    const { results } = theirs as { readonly results: readonly { readonly configs: Configs }[] };
    const [first, ...rest] = results.map(({ configs, ...about }) => ({
      ...about,
      configs: change(configs),
    }));
    return { results: [first, ...rest] };
  };
}

function reporter(value: string) {
  const [name, entry] = ["metric.reporters", { isSensitive: false, documentation: null }];
  const synonym = { name, value, source: 3 };
  return { ...entry, value, readOnly: false, configSource: 3, synonyms: [synonym], configType: 7 };
}

const queued = "268435456";

/** What every broker of ours tells besides Kafka's, and where its default is another. */
const OWN_BROKER = firstConfigs((configs) => ({
  ...configs,
  "queued.max.request.bytes": {
    ...configs["queued.max.request.bytes"],
    value: queued,
    synonyms: [{ name: "queued.max.request.bytes", value: queued, source: 5 }],
  },
}));

/** Meant; docs/differences.md says so, too. */
const DIFFERENCES: Readonly<Record<string, Difference>> = {
  "describe a broker": { why: "a default that bounds memory", ours: OWN_BROKER },
  "describe a broker, whole, after all that": {
    why: "the same, and what was taken besides",
    ours: (theirs) =>
      firstConfigs((configs) => ({
        ...configs,
        "metric.reporters": {
          ...reporter("no.such.Class"),
          synonyms: [
            { name: "metric.reporters", value: "no.such.Class", source: 3 },
            {
              name: "metric.reporters",
              value: "org.apache.kafka.common.metrics.JmxReporter",
              source: 5,
            },
          ],
        },
      }))(OWN_BROKER(theirs)),
  },
  "describe the cluster's default after all that": {
    why: "the reporter that was taken",
    ours: firstConfigs((configs) => ({
      ...configs,
      "metric.reporters": reporter("no.such.Class"),
    })),
  },
  "describe one topic twice": {
    why: "an answer that grows with what there is, not with how often it is asked for",
    ours: (theirs) => {
      const { results } = theirs as { readonly results: readonly object[] };
      const errorMessage = "Each resource must appear at most once.";
      const refused = { ...results[1], errorCode: INVALID_REQUEST, errorMessage, configs: {} };
      return { results: [results[0], refused] };
    },
  },
  "an unknown operation": {
    why: "the client's slip, not ours",
    ours: answer({ errorCode: INVALID_REQUEST, errorMessage: "Unknown operations type 9" }),
  },
  "an unknown operation on a logger": {
    why: "the client's slip, not ours",
    ours: answer({
      errorCode: INVALID_REQUEST,
      errorMessage: "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource",
    }),
  },
  "a value that is too long": {
    why: "Kafka closes the connection",
    ours: () => ({
      responses: [
        {
          errorCode: 40,
          errorMessage:
            "The configuration value cannot be added because it exceeds the maximum value size of " +
            "32767 bytes.",
          resourceType: 2,
          resourceName: "t1",
        },
      ],
    }),
  },
  "an unknown key of a broker": {
    why: "a durability key with a slip in it must not be taken",
    ours: answer({
      errorCode: INVALID_REQUEST,
      errorMessage: "Unknown broker config name: foo.bar",
    }),
  },
  "describe an unknown key of a broker": {
    why: "it was not taken",
    ours: firstConfigs(() => ({})),
  },
  "too few threads": threads("num.io.threads=3, value should be at least half the current value 8"),
  "too many threads": threads(
    "num.io.threads=17, value should not be greater than double the current value 8",
  ),
  "threads of the network": threads(
    "num.network.threads=100, value should not be greater than double the current value 3",
  ),
  "many cleaner threads": threads(
    "log.cleaner.threads=50, value should not be greater than double the current value 2",
  ),
  "append to a rate": {
    why: "one sentence for all keys that are no lists",
    ours: answer({
      errorMessage:
        "Can't APPEND to key leader.replication.throttled.rate because its type is not LIST.",
    }),
  },
  "a bad reporter": {
    why: "nothing here loads a class, so none is looked for",
    ours: answer({ errorCode: 0, errorMessage: null }),
  },
};

/** Every broker of ours has these besides. */
function withoutOwnKeys(response: unknown): unknown {
  return JSON.parse(JSON.stringify(response), (key, value: unknown) =>
    key.startsWith("holdfast.") ? undefined : value,
  );
}

describe("what Kafka 4.3.1 was asked and answered", () => {
  test("is answered so here, case by case, but for what is meant", async () => {
    const node = await ConfigNode.start();
    // Kafka's format command sets it; here the properties hold until somebody does.
    await node.set([4, ""], { "min.insync.replicas": "1" });
    expect(RECORDED.map(({ name }) => name)).toEqual(CASES.map(({ name }) => name));
    for (const [index, each] of CASES.entries()) {
      const theirs = comparable(RECORDED[index]?.response);
      const ours = withoutOwnKeys(comparable(await node.ask(each)));
      const difference = DIFFERENCES[each.name];
      expect(ours, each.name).toEqual(difference === undefined ? theirs : difference.ours(theirs));
      if (difference !== undefined) expect(ours, difference.why).not.toEqual(theirs);
    }
  });

  test("has every key of our table, with its kind, its default and whether it can be changed", () => {
    const recorded = RECORDED.find(({ name }) => name === "describe a broker");
    const { results } = comparable(recorded?.response) as {
      readonly results: { configs: Configs }[];
    };
    const told = new Set(Object.keys(results[0]!.configs));
    const ours = [...allKeys()].filter(
      ([key, { isInternal }]) => !isInternal && !key.startsWith("holdfast."),
    );
    expect(new Set(ours.map(([key]) => key))).toEqual(told);
    const unlike = ours.filter(([, { kafkaDefaultText }]) => kafkaDefaultText !== undefined);
    expect(unlike.map(([key]) => key)).toEqual(["queued.max.request.bytes"]);
  });
});

test("an answer does not grow with names that a client makes up", async () => {
  const node = await ConfigNode.start();
  const resources = Array.from({ length: 1002 }, (_, index) => ({
    ...{ resourceType: 32, resourceName: `g${index}`, configurationKeys: null },
  }));
  const answer = await node.ask({
    ...{ api: "describeConfigs", version: 4 },
    request: { resources, includeSynonyms: false },
  });
  const { results } = answer as { readonly results: { errorMessage: string }[] };
  expect(results.map(({ errorMessage }) => errorMessage).filter((text) => text !== "")).toEqual([
    "At most 1000 resources besides topics in one request.",
    "At most 1000 resources besides topics in one request.",
  ]);
});

describe("a changed setting", () => {
  test("holds when it is answered, for topics that are there and for new ones", async () => {
    const node = await ConfigNode.start();
    await node.ask({
      api: "createTopics",
      version: 7,
      request: {
        topics: [
          { name: "t", numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] },
        ],
        timeoutMs: 1000,
        validateOnly: false,
      },
    });
    const { host } = node.node;
    host.events.length = 0;
    expect(await node.set([2, "t"], { "flush.messages": "1" })).toEqual([null]);
    expect(host.events).toEqual(["configure t"]);
    expect(await node.set([4, "1"], { "log.flush.interval.messages": "3" })).toEqual([null]);
    expect(host.events).toEqual(["configure t", "configure t"]);
    expect(await node.set([4, ""], { "max.connections": "7" })).toEqual([null]);
    expect(node.live.view["max.connections"]).toBe(7);
    expect(node.live.view.given.get("max.connections")).toBe("7");
    expect(node.live.view["num.partitions"]).toBe(1);
  });

  test("outlives a power cut, and its removal does, too", async () => {
    const world = new SimWorld(7);
    const before = await ConfigNode.start(world);
    await before.set([4, ""], { "max.connections": "7", "log.retention.ms": "1000" });
    await before.set([32, "g"], { "consumer.session.timeout.ms": "50000" });
    world.cutPower();
    const after = await ConfigNode.start(world);
    expect(after.live.view["max.connections"]).toBe(7);
    expect(after.live.view["log.retention.ms"]?.value).toBe(1000);
    await after.ask({
      api: "incrementalAlterConfigs",
      version: 1,
      request: {
        resources: [
          {
            resourceType: 4,
            resourceName: "",
            configs: [{ name: "max.connections", configOperation: 1, value: null }],
          },
        ],
        validateOnly: false,
      },
    });
    expect(after.live.view["max.connections"]).toBe(2147483647);
    world.cutPower();
    const last = await ConfigNode.start(world);
    expect(last.live.view["max.connections"]).toBe(2147483647);
    expect(last.live.view["log.retention.ms"]?.value).toBe(1000);
  });

  test("of one broker goes before that of all, and both before its properties", async () => {
    const node = await ConfigNode.start(undefined, { "max.connections.per.ip": "5" });
    expect(node.live.view["max.connections.per.ip"]).toBe(5);
    await node.set([4, ""], { "max.connections.per.ip": "6" });
    expect(node.live.view["max.connections.per.ip"]).toBe(6);
    await node.set([4, "1"], { "max.connections.per.ip": "7" });
    await node.set([4, ""], { "max.connections.per.ip": "8" });
    expect(node.live.view["max.connections.per.ip"]).toBe(7);
    expect(node.live.settings.synonyms("max.connections.per.ip").map(({ value }) => value)).toEqual(
      ["7", "8", "5", "2147483647"],
    );
  });

  test("that would change who may do what, or where clients go, is refused", async () => {
    const node = await ConfigNode.start();
    expect(await node.set([4, "1"], { "sasl.enabled.mechanisms": "PLAIN" })).toEqual([
      "sasl.enabled.mechanisms is not supported by this broker",
    ]);
    expect(await node.set([4, "1"], { listeners: "PLAINTEXT://:1" })).toEqual([
      "listeners cannot be changed while this broker runs: change its properties and restart it",
    ]);
    expect(await node.set([4, "1"], { "log.flush.intervall.messages": "1" })).toEqual([
      "Unknown broker config name: log.flush.intervall.messages; did you mean " +
        "log.flush.interval.messages?",
    ]);
  });

  test("that would only be found wrong when it is used is refused", async () => {
    const node = await ConfigNode.start();
    const key = "max.connections.per.ip.overrides";
    const [problem] = await node.set([4, "1"], { [key]: "host:5" });
    expect(problem).toContain(`${key}=host:5: must be addresses with counts`);
    const both = { [key]: "10.0.0.1:5", "max.connections.per.ip": "0" };
    expect(await node.set([4, "1"], both)).toEqual([null]);
    const ofListener = { "listener.name.plaintext.max.connections": "7" };
    expect(await node.set([4, ""], ofListener)).toEqual([null]);
    expect(node.live.view.given.get("listener.name.plaintext.max.connections")).toBe("7");
  });

  test("comes with its request whole or not at all, however large that is", async () => {
    const node = await ConfigNode.start();
    const resources = Array.from({ length: 10_001 }, (_, index) => ({
      resourceType: 16,
      resourceName: `m${index}`,
      configs: [{ name: "interval.ms", configOperation: 0, value: "1000" }],
    }));
    const answer = await node.ask({
      ...{ api: "incrementalAlterConfigs", version: 1 },
      request: { resources, validateOnly: false },
    });
    const { responses } = answer as { readonly responses: { errorMessage: string }[] };
    expect(new Set(responses.map(({ errorMessage }) => errorMessage))).toEqual(
      new Set(["Unable to perform excessively large batch operation."]),
    );
    expect(node.node.manager.image.configs.size).toBe(0);
  });

  test("without effect is said so in the log", async () => {
    const node = await ConfigNode.start();
    await node.set([4, ""], { "num.io.threads": "9" });
    expect(node.logger.lines.map(({ message }) => message)).toContain(
      "num.io.threads: no effect: one event loop does what Kafka has threads for.",
    );
  });

  test("of the root logger holds at once; only validated, it does not", async () => {
    const node = await ConfigNode.start();
    expect(await node.set([8, "1"], { root: "TRACE" }, true)).toEqual([null]);
    expect(node.levels.all().get("root")).toBe("WARN");
    expect(await node.set([8, "1"], { root: "TRACE" })).toEqual([null]);
    expect(node.levels.all().get("root")).toBe("TRACE");
  });
});
