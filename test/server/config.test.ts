import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type CommandLine, readCommandLine } from "../../src/server/config-command-line.ts";
import { environmentSettings } from "../../src/server/config-environment.ts";
import { ConfigError } from "../../src/server/config-error.ts";
import { KEYS_WITHOUT_EFFECT } from "../../src/server/config-kafka-keys.ts";
import { allKeys, CONFIG_KEYS } from "../../src/server/config-keys.ts";
import { parseProperties, PropertiesError } from "../../src/server/config-properties.ts";
import { REFUSED_KEYS } from "../../src/server/config-refused-keys.ts";
import {
  EMBEDDED_SETTINGS,
  listenersOf,
  type LoadedConfig,
  readSettingsFile,
  resolveConfig,
  type Setting,
} from "../../src/server/config.ts";

function settings(values: Readonly<Record<string, string | number>>): readonly Setting[] {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: String(value),
    where: `test:${key.length}`,
  }));
}

/** Resolves these settings on top of a node id. */
function resolve(values: Readonly<Record<string, string | number>>) {
  return resolveConfig(settings({ "node.id": 1, ...values }), "host.example");
}

/** What is said about these settings on a node whose groups work. */
function noticesOf(values: Readonly<Record<string, string | number>>) {
  return resolve({ "offsets.topic.replication.factor": 1, ...values }).notices;
}

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error("nothing was thrown");
}

describe("a properties file is read as Java reads it", () => {
  test.each([
    ["a=1", "a", "1"],
    ["  a = 1  ", "a", "1"],
    ["a:1", "a", "1"],
    ["a 1", "a", "1"],
    ["a\t=\t1", "a", "1"],
    ["a=b=c", "a", "b=c"],
    ["a", "a", ""],
    ["a=", "a", ""],
    ["a = one\\\n    two", "a", "onetwo"],
    ["a = one\\\\\nb=2", "a", "one\\"],
    ["a\\ b\\=c=1", "a b=c", "1"],
    ["a=\\u00e9\\t.\\z", "a", "é\t.z"],
    ["# no\n! no\n\n   # no\\\na=1", "a", "1"],
    [
      "listeners=PLAINTEXT://:9092,CONTROLLER://:9093",
      "listeners",
      "PLAINTEXT://:9092,CONTROLLER://:9093",
    ],
    ["dirs=C\\:\\\\data", "dirs", "C:\\data"],
    ["a=1\r\nb=2", "a", "1"],
  ])("%j", (text, key, value) => {
    expect(parseProperties(text)[0]).toMatchObject({ key, value });
  });

  test("and each setting knows its line, also after a continued one", () => {
    const lines = parseProperties("# first\na=1\\\n  2\\\n  3\n\nb=4").map(({ line }) => line);
    expect(lines).toEqual([2, 6]);
  });

  test("and half an escape is refused with its line", () => {
    expect(() => parseProperties("a=1\nb=\\u12")).toThrow(PropertiesError);
    expect(messageOf(() => fromFile("a=1\nb=\\u12"))).toMatch(/x\.properties:2: .*hexadecimal/);
  });
});

describe("values", () => {
  test("come from the defaults, then the file, then --override", () => {
    const file = fromFile("node.id=7\nnum.partitions=3\nmessage.max.bytes=2000");
    const { config } = resolveConfig([...file, ...settings({ "num.partitions": 5 })]);
    expect(config["node.id"]).toBe(7);
    expect(config["num.partitions"]).toBe(5);
    expect(config["message.max.bytes"]).toBe(2000);
    expect(config["log.segment.bytes"]).toBe(1073741824);
  });

  test("of a key that stands twice: the last one counts", () => {
    const { config } = resolveConfig(fromFile("node.id=1\nnum.partitions=3\nnum.partitions=4"));
    expect(config["num.partitions"]).toBe(4);
  });

  test("of 64 bits keep their text beside a number that can hold them", () => {
    const { config } = resolve({ "log.flush.interval.ms": "9223372036854775806" });
    expect(config["log.flush.interval.messages"].text).toBe("9223372036854775807");
    expect(config["log.flush.interval.messages"].value).toBe(Number.MAX_SAFE_INTEGER);
    expect(config["log.flush.interval.ms"]?.text).toBe("9223372036854775806");
    expect(
      resolve({ "log.flush.interval.messages": 1 }).config["log.flush.interval.messages"],
    ).toEqual({ text: "1", value: 1 });
  });

  test.each([
    ["num.partitions", "0", "a whole number from 1 to 2147483647"],
    ["num.partitions", "2147483648", "a whole number from 1 to 2147483647"],
    ["num.partitions", "3.5", "a whole number from 1 to 2147483647"],
    ["num.partitions", "", "a whole number from 1 to 2147483647"],
    ["log.segment.bytes", "14", "a whole number from 1048576 to 2147483647"],
    ["offsets.topic.replication.factor", "40000", "a whole number from 1 to 32767"],
    ["log.flush.interval.messages", "0", "a whole number from 1 to 9223372036854775807"],
    ["log.flush.interval.messages", "9223372036854775808", "to 9223372036854775807"],
    ["auto.create.topics.enable", "yes", "true or false"],
    ["log.message.timestamp.type", "createtime", "one of CreateTime, LogAppendTime"],
    ["holdfast.disk.page.cache", "none", "one of os, process"],
    ["compression.type", "brotli", "one of producer, uncompressed, gzip, snappy, lz4, zstd"],
    ["log.cleanup.policy", "delete,nothing", "a list of compact, delete"],
    ["process.roles", "broker,zookeeper", "a list of broker, controller"],
  ])("%s=%s is refused with key, value, place and range", (key, value, allowed) => {
    const message = messageOf(() => resolve({ [key]: value }));
    expect(message).toContain(`${key}=${value} (test:${key.length}): must be `);
    expect(message).toContain(allowed);
    expect(message).not.toContain("\n");
  });

  test("are kept as they were written, too, for clients that ask where they come from", () => {
    const { config } = resolve({ "log.dirs": "/a, /b", "num.io.threads": 5, "no.such": "x" });
    expect([...config.given]).toEqual([
      ["node.id", "1"],
      ["log.dirs", "/a, /b"],
      ["num.io.threads", "5"],
      ["no.such", "x"],
      ["broker.id", "1"],
    ]);
  });

  test("the embedded settings are one node on this machine, with its own replication factors", () => {
    const { config, notices } = resolveConfig(EMBEDDED_SETTINGS);
    expect(config["node.id"]).toBe(1);
    expect(config["log.dirs"]).toEqual(["./data"]);
    expect(config["offsets.topic.replication.factor"]).toBe(1);
    expect(listenersOf(config)).toEqual([
      {
        name: "PLAINTEXT",
        host: "127.0.0.1",
        port: 9092,
        advertisedHost: "127.0.0.1",
        advertisedPort: 9092,
      },
    ]);
    expect(notices).toEqual([]);
  });

  test("of log.dirs are log.dir's when there are none, and never the same twice", () => {
    expect(resolve({}).config["log.dirs"]).toEqual(["/tmp/kafka-logs"]);
    expect(resolve({ "log.dir": "/a, /b/" }).config["log.dirs"]).toEqual(["/a", "/b"]);
    expect(resolve({ "log.dir": "/a", "log.dirs": "/c" }).config["log.dirs"]).toEqual(["/c"]);
    expect(messageOf(() => resolve({ "log.dirs": "/a,/a/" }))).toContain(
      "log.dirs names /a, one directory twice: take one of them out",
    );
    expect(messageOf(() => resolve({ "log.dirs": "/b,/a,/a/c/.." }))).toContain(
      "names /a and /a/c/.., one directory twice",
    );
  });

  test("node.id must be there in a file, under this name or the older one", () => {
    expect(messageOf(() => resolveConfig(fromFile("num.partitions=1")))).toContain("node.id=1");
    expect(resolveConfig(fromFile("broker.id=5")).config["node.id"]).toBe(5);
    expect(resolveConfig(fromFile("broker.id=5\nnode.id=5")).config["node.id"]).toBe(5);
    expect(resolveConfig(fromFile("broker.id=-1\nnode.id=5")).config["node.id"]).toBe(5);
    expect(messageOf(() => resolveConfig(fromFile("broker.id=6\nnode.id=5")))).toMatch(
      /^node\.id=5 \(.*:2\) and broker\.id=6 \(.*:1\) name the same node/,
    );
  });
});

describe("the environment, by the rule of Kafka's docker image", () => {
  test.each([
    ["KAFKA_LOG_DIRS", "log.dirs"],
    ["KAFKA_NODE_ID", "node.id"],
    ["KAFKA_A__B_C___D", "a_b.c-d"],
    ["KAFKA_HOLDFAST_DISK_PAGE_CACHE", "holdfast.disk.page.cache"],
  ])("%s is %s", (name, key) => {
    expect(environmentSettings({ [name]: " x " })).toEqual([{ key, value: "x", where: name }]);
  });

  test("has variables that are no settings", () => {
    const environment = {
      KAFKA_OPTS: "-x",
      KAFKA_HEAP_OPTS: "-y",
      PATH: "/",
      kafka_log_dirs: "/x",
    };
    expect(environmentSettings(environment)).toEqual([]);
  });

  test("goes before the file, and --override before both", () => {
    const environment = { KAFKA_NUM_PARTITIONS: "2", KAFKA_MESSAGE_MAX_BYTES: "2000" };
    const args = ["--override", "num.partitions=3", "config/server.properties"];
    const command = readCommandLine(args, environment);
    const { config } = loadedBy(command);
    expect(config["num.partitions"]).toBe(3);
    expect(config["message.max.bytes"]).toBe(2000);
    expect(config["listeners"]).toEqual(["PLAINTEXT://:9092"]);
    const [without] = [readCommandLine(["config/server.properties"], environment)];
    expect(loadedBy(without).config["num.partitions"]).toBe(2);
  });

  test("is named when it is wrong, and when it is not known", () => {
    expect(readCommandLine([], { KAFKA_NUM_PARTITIONS: "x" })).toEqual({
      kind: "exit",
      code: 78,
      text:
        "broker: bad configuration: num.partitions=x (KAFKA_NUM_PARTITIONS): must be a whole number " +
        "from 1 to 2147483647",
    });
    expect(loadedBy(readCommandLine([], { KAFKA_LOG_DIRZ: "x" })).notices).toEqual([
      {
        level: "warn",
        message:
          "log.dirz (KAFKA_LOG_DIRZ) is not a setting that this broker knows; did you mean log.dir?",
      },
    ]);
  });
});

describe("--help-config", () => {
  test("tells of every setting that is not internal", () => {
    const text = helpOf([]);
    for (const [key, { isInternal }] of allKeys()) {
      expect(new RegExp(`^${key.replaceAll(".", "\\.")}$`, "m").test(text)).toBe(!isInternal);
    }
  });

  test("or of those whose line has a text", () => {
    expect(helpOf(["log.flush.interval.messages"])).toBe(
      "log.flush.interval.messages\n" +
        "    long, default 9223372036854775807, cluster-wide: Sync after so many records. 1: every " +
        "acknowledgement waits for the disk.",
    );
    expect(helpOf(["flush.ms"])).toContain("long, default 9223372036854775807, of a topic: Sync");
    expect(helpOf(["banana"])).toBe('no setting has "banana" in its lines');
  });
});

describe("a key that is not acted on", () => {
  test("and unknown is warned of, with the nearest known one", () => {
    expect(noticesOf({ "log.segment.byte": 5, "banana.split": 1 })).toEqual([
      {
        level: "warn",
        message:
          "log.segment.byte (test:16) is not a setting that this broker knows; did you mean log.segment.bytes?",
      },
      { level: "warn", message: "banana.split (test:12) is not a setting that this broker knows" },
    ]);
  });

  test("but Kafka's is named with what happens, one line for a reason", () => {
    const tuned = { "num.io.threads": 8, "replica.fetch.max.bytes": 1, "num.network.threads": 3 };
    expect(noticesOf(tuned)).toEqual([
      {
        level: "info",
        message:
          "num.io.threads, num.network.threads: no effect: one event loop does what Kafka has threads for",
      },
      {
        level: "info",
        message:
          "replica.fetch.max.bytes: no effect: followers are sent records as they come, on streams",
      },
    ]);
  });

  test("is checked all the same", () => {
    expect(messageOf(() => resolve({ "num.io.threads": 0 }))).toContain(
      "num.io.threads=0 (test:14): must be a whole number from 1 to 2147483647",
    );
  });

  test("and would change who may do what is taken at Kafka's own default", () => {
    expect(noticesOf({ "sasl.enabled.mechanisms": "GSSAPI", "ssl.client.auth": "none" })).toEqual(
      [],
    );
  });

  test.each([
    "sasl.enabled.mechanisms",
    "ssl.keystore.location",
    "authorizer.class.name",
    "listener.name.plaintext.ssl.keystore.location",
    "remote.log.storage.system.enable",
  ])("but would change who may do what is refused: %s", (key) => {
    expect(messageOf(() => resolve({ [key]: "x" }))).toContain(`${key} (test:`);
    expect(() => resolve({ [key]: "" })).not.toThrow();
    expect(() => resolve({ [key]: "false" })).not.toThrow();
  });

  test("is never a durability key of Kafka's", () => {
    const durability = [
      "log.flush.interval.messages",
      "log.flush.interval.ms",
      "log.flush.scheduler.interval.ms",
      "min.insync.replicas",
      "unclean.leader.election.enable",
      "default.replication.factor",
      "offsets.topic.replication.factor",
    ];
    expect(durability.filter((key) => key in KEYS_WITHOUT_EFFECT)).toEqual([]);
    expect(durability.filter((key) => !(key in CONFIG_KEYS))).toEqual([]);
  });

  test("stands in no list twice", () => {
    const keys = [CONFIG_KEYS, KEYS_WITHOUT_EFFECT, REFUSED_KEYS].flatMap(Object.keys);
    expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
  });
});

describe("settings that contradict each other", () => {
  test.each([
    [
      { "group.min.session.timeout.ms": 7000, "group.max.session.timeout.ms": 6000 },
      "group.min.session.timeout.ms=7000 must not be above group.max.session.timeout.ms=6000",
    ],
    [
      { "log.cleaner.min.compaction.lag.ms": 2, "log.cleaner.max.compaction.lag.ms": 1 },
      "log.cleaner.min.compaction.lag.ms=2 must not be above log.cleaner.max.compaction.lag.ms=1",
    ],
    [{ "log.dirs": "" }, "log.dirs (test:8) is empty: name a directory for data, or take it out"],
    [{ "log.dirs": " , " }, "log.dirs (test:8) is empty"],
    [{ "log.dir": "" }, "log.dir (test:7) is empty"],
    [{ "log.retention.ms": 0 }, "log.retention.ms=0: must be 1 or more, or below 0"],
    [{ "log.retention.hours": 0 }, "log.retention.hours=0: must be 1 or more, or below 0"],
    [{ "compression.gzip.level": 0 }, "must be a whole number from 1 to 9, or -1"],
    [{ "log.cleaner.min.cleanable.ratio": 1.5 }, "must be a number from 0 to 1"],
  ])("are refused: %j", (settings, message) => {
    expect(messageOf(() => resolve(settings))).toContain(message);
  });

  test("what only looks like a contradiction is taken", () => {
    const { config } = resolve({
      "log.retention.ms": -1,
      "log.retention.minutes": -1,
      "log.cleaner.min.cleanable.ratio": "1.0e-2",
      "compression.gzip.level": -1,
    });
    expect(config["log.cleaner.min.cleanable.ratio"]).toBe(0.01);
    expect(config["compression.gzip.level"]).toBe(-1);
  });
});

describe("the table", () => {
  test("has a sentence for every key, and defaults that are allowed", () => {
    for (const [key, spec] of allKeys()) {
      expect(spec.doc).toMatch(/^[A-Za-z].*\.$/);
      const text = spec.defaultText ?? spec.fallbackText;
      if (text !== undefined) expect(spec.type.format(spec.type.parse(key, text))).toBe(text);
    }
  });
});

describe("the examples in config/", () => {
  test.each(readdirSync("config"))("%s says nothing that is unknown or without effect", (name) => {
    const { notices } = resolveConfig(readSettingsFile(join("config", name)));
    expect(notices).toEqual([]);
  });

  test.each(readdirSync("config"))("%s is right in what it has commented out, too", (name) => {
    const text = readFileSync(join("config", name), "utf8");
    const { notices } = resolveConfig(fromFile(text.replace(/^#(?=[a-z.]+=)/gm, "")));
    expect(notices).toEqual([]);
  });
});

describe("one node", () => {
  test.each([
    ["default.replication.factor", 3, "a topic that does not name its replicas is refused"],
    ["offsets.topic.replication.factor", 3, "consumer groups find no coordinator"],
  ])("cannot meet %s=%s: it is kept, and said with the way out", (key, value, consequence) => {
    const notices = noticesOf({ [key]: value });
    expect(notices.map(({ level }) => level)).toEqual(["warn"]);
    expect(notices[0]?.message).toMatch(new RegExp(`^${key}=3, and this is a lone node: `));
    expect(notices[0]?.message).toContain(consequence);
    expect(notices[0]?.message).toContain(`set ${key}=1`);
    expect(resolve({ [key]: value }).config.given.get(key)).toBe("3");
  });

  test("opens no controller port: a controller listener is accepted and left out", () => {
    const { config, notices } = resolve({
      "process.roles": "broker,controller",
      "offsets.topic.replication.factor": 1,
      listeners: "PLAINTEXT://:9092,CONTROLLER://:9093",
      "controller.listener.names": "CONTROLLER",
      "controller.quorum.voters": "1@localhost:9093",
      "controller.quorum.bootstrap.servers": "localhost:9093",
      "advertised.listeners": "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
      "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    });
    expect(listenersOf(config).map(({ name }) => name)).toEqual(["PLAINTEXT"]);
    expect(notices).toEqual([
      {
        level: "info",
        message: "listener CONTROLLER://:9093 is not opened: a lone node needs no controller port",
      },
    ]);
  });

  test("keeps its metadata in the first directory: another one is refused", () => {
    expect(messageOf(() => resolve({ "metadata.log.dir": "/elsewhere" }))).toContain(
      "metadata.log.dir",
    );
  });
});

describe("listeners", () => {
  test("without a host listen everywhere, and clients are told this host's name", () => {
    expect(listenersOf(resolve({}).config)).toEqual([
      {
        name: "PLAINTEXT",
        host: "",
        port: 9092,
        advertisedHost: "host.example",
        advertisedPort: 9092,
      },
    ]);
  });

  test("may listen on 0.0.0.0 when clients are told another address", () => {
    const { config } = resolve({
      listeners: "PLAINTEXT://0.0.0.0:9092,INSIDE://[::]:29092",
      "advertised.listeners": "PLAINTEXT://broker.example:19092,INSIDE://[fd00::1]:29092",
      "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT",
    });
    expect(listenersOf(config)).toEqual([
      {
        name: "PLAINTEXT",
        host: "0.0.0.0",
        port: 9092,
        advertisedHost: "broker.example",
        advertisedPort: 19092,
      },
      { name: "INSIDE", host: "::", port: 29092, advertisedHost: "fd00::1", advertisedPort: 29092 },
    ]);
  });

  test.each([
    [{ listeners: "PLAINTEXT://0.0.0.0:9092" }, "set advertised.listeners=PLAINTEXT://"],
    [{ "advertised.listeners": "PLAINTEXT://0.0.0.0:9092" }, "advertised.listeners has 0.0.0.0"],
    [{ "advertised.listeners": "OTHER://a:9092" }, "names OTHER, which is not among listeners"],
    [{ listeners: "SSL://:9092" }, "listener SSL asks for SSL, which is not supported yet"],
    [{ listeners: "SASL_PLAINTEXT://:9092" }, "asks for SASL_PLAINTEXT"],
    [{ listeners: "MINE://:9092" }, "add MINE:PLAINTEXT to listener.security.protocol.map"],
    [{ listeners: "PLAINTEXT://:9092,PLAINTEXT://:9093" }, "has the name PLAINTEXT twice"],
    [
      {
        listeners: "PLAINTEXT://:9092,A://:9092",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,A:PLAINTEXT",
      },
      "has :9092 twice",
    ],
    [{ listeners: "PLAINTEXT://host" }, "must be NAME://host:port"],
    [{ listeners: "PLAINTEXT://:99999" }, "must be NAME://host:port"],
    [{ listeners: "" }, "has none for clients"],
    [
      { listeners: "CONTROLLER://:9093", "controller.listener.names": "CONTROLLER" },
      "has none for clients",
    ],
    [{ "listener.security.protocol.map": "PLAINTEXT=PLAINTEXT" }, "must be NAME:PROTOCOL"],
    [{ "listener.security.protocol.map": "PLAINTEXT:TLS" }, "must be NAME:PROTOCOL"],
  ])("%j is refused with the way out", (values, mentioned) => {
    expect(messageOf(() => resolve(values))).toContain(mentioned);
  });

  test("on port 0 are advertised with the port that is bound", () => {
    const [listener] = listenersOf(resolve({ listeners: "PLAINTEXT://localhost:0" }).config);
    expect(listener).toMatchObject({ port: 0, advertisedHost: "localhost", advertisedPort: 0 });
  });
});

function loadedBy(command: CommandLine): LoadedConfig {
  if (command.kind !== "run") throw new Error(command.text);
  return command.loaded;
}

function helpOf(args: readonly string[]): string {
  const command = readCommandLine(["--help-config", ...args], {});
  expect(command).toMatchObject({ kind: "exit", code: 0 });
  return command.kind === "exit" ? command.text : "";
}

/** The settings of a file with this text. */
function fromFile(text: string): readonly Setting[] {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  try {
    writeFileSync(join(folder, "x.properties"), text);
    return readSettingsFile(join(folder, "x.properties"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
