import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly lines: readonly string[];
}

/** Runs `bin/broker` to its end. */
function run(...args: readonly string[]): Promise<Ended> {
  return runWith({}, ...args);
}

/** The same with these variables in its environment. */
async function runWith(
  environment: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<Ended> {
  const child = spawn(process.execPath, ["bin/broker", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output, lines: output.trimEnd().split("\n") };
}

function overrides(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([key, value]) => ["--override", `${key}=${value}`]);
}

/** The messages of the lines of a level. */
function messages({ lines }: Ended, level: string): string[] {
  return lines
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { level: string; msg: string })
    .filter((line) => line.level === level)
    .map(({ msg }) => msg);
}

describe("the command line", () => {
  test("--help says what the arguments and the exit codes are", async () => {
    const { code, output } = await run("--help");
    expect(code).toBe(0);
    expect(output).toContain("usage: broker [FILE.properties] [--override KEY=VALUE]...");
    expect(output).toContain("78 bad configuration");
  });

  test("--version prints the package's version", async () => {
    const manifest = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
    expect(await run("--version")).toMatchObject({
      code: 0,
      output: `holdfast ${manifest.version}\n`,
    });
  });

  test.each([
    [["--port", "9092"], "--port"],
    [["a.properties", "b.properties"], "one file at most"],
    [["--override", "num.partitions"], "KEY=VALUE"],
  ])("%j is wrong usage: 2", async (args, mentioned) => {
    const { code, output } = await run(...args);
    expect(code).toBe(2);
    expect(output).toContain(mentioned);
    expect(output).toContain("broker --help");
  });

  test("a setting that cannot be taken is one line with file and line number: 78", async () => {
    await withTemporaryFolder(async (folder) => {
      const file = join(folder, "server.properties");
      await writeFile(file, "node.id=1\n\nlog.segment.bytes=tiny\n");
      expect(await run(file)).toEqual({
        code: 78,
        output:
          `broker: bad configuration: log.segment.bytes=tiny (${file}:3): ` +
          "must be a whole number from 1048576 to 2147483647\n",
        lines: [expect.any(String)],
      });
    });
  });

  test("a file that is not there: 78", async () => {
    const { code, output } = await run("no-such.properties");
    expect(code).toBe(78);
    expect(output).toContain("no-such.properties: cannot be read (ENOENT)");
  });
});

describe("the settings", () => {
  test("--help-config tells of them", async () => {
    const { code, output } = await run("--help-config", "log.flush.interval.messages");
    expect(code).toBe(0);
    expect(output).toMatch(
      /^log\.flush\.interval\.messages\n {4}long, default 9223372036854775807/,
    );
  });

  test("come from KAFKA_ variables, too, as in Kafka's docker image", async () => {
    expect(await runWith({ KAFKA_LOG_SEGMENT_BYTES: "tiny" })).toEqual({
      code: 78,
      output:
        "broker: bad configuration: log.segment.bytes=tiny (KAFKA_LOG_SEGMENT_BYTES): " +
        "must be a whole number from 1048576 to 2147483647\n",
      lines: [expect.any(String)],
    });
  });

  test.each([
    [{ listeners: "PLAINTEXT://0.0.0.0:9092" }, "set advertised.listeners=PLAINTEXT://"],
    [{ "log.dirs": "" }, "log.dirs (--override) is empty: name a directory for data"],
    [{ "log.dirs": "/a,/a/" }, "log.dirs names /a, one directory twice: take one of them out"],
    [
      { "group.min.session.timeout.ms": 2, "group.max.session.timeout.ms": 1 },
      "group.min.session.timeout.ms=2 must not be above group.max.session.timeout.ms=1",
    ],
  ])("that cannot be, %j, are one line: 78", async (values, mentioned) => {
    const { code, lines } = await run(...overrides(values));
    expect(code).toBe(78);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("broker: bad configuration: ");
    expect(lines[0]).toContain(mentioned);
  });
});

describe("a start that fails", () => {
  test("for a port in use names it, and leaves with 1", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      await withTemporaryFolder(async (folder) => {
        const ended = await run(
          ...overrides({ listeners: `PLAINTEXT://127.0.0.1:${port}`, "log.dirs": folder }),
        );
        expect(ended.code).toBe(1);
        expect(messages(ended, "fatal")).toEqual([
          `listener PLAINTEXT: 127.0.0.1:${port} is in use: ` +
            "stop the other process, or choose another port in listeners",
        ]);
      });
    } finally {
      server.close();
    }
  });

  test("for an address that is not of this host names it, and leaves with 78", async () => {
    await withTemporaryFolder(async (folder) => {
      // TEST-NET-1 of RFC 5737: nobody's address.
      const listeners = "PLAINTEXT://192.0.2.1:0";
      const ended = await run(...overrides({ listeners, "log.dirs": folder }));
      expect(ended.code).toBe(78);
      expect(messages(ended, "fatal")).toEqual([
        "listener PLAINTEXT: 192.0.2.1:0 is not an address of this host: name one in listeners",
      ]);
    });
  });

  test("for a directory that another process holds names it, and leaves with 1", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory });
      try {
        const ended = await run(
          ...overrides({ listeners: "PLAINTEXT://127.0.0.1:0", "log.dirs": dataDirectory }),
        );
        expect(ended.code).toBe(1);
        const fatal = messages(ended, "fatal");
        expect(fatal).toHaveLength(1);
        expect(fatal[0]).toContain(dataDirectory);
      } finally {
        await broker.stop();
      }
    });
  });

  test("for the directory of another node names both, and leaves with 78", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory });
      await broker.stop();
      const ended = await run(
        ...overrides({
          listeners: "PLAINTEXT://127.0.0.1:0",
          "log.dirs": dataDirectory,
          "node.id": 2,
        }),
      );
      expect(ended.code).toBe(78);
      const fatal = messages(ended, "fatal");
      expect(fatal).toHaveLength(1);
      expect(fatal[0]).toContain(dataDirectory);
      expect(fatal[0]).toContain("node.id");
    });
  });
});

describe("a directory that cannot be used is named with the way out, and nothing in it is touched", () => {
  const start = (directories: string): Promise<Ended> =>
    run(...overrides({ listeners: "PLAINTEXT://127.0.0.1:0", "log.dirs": directories }));

  test("below /proc, where nothing can be made", async () => {
    const ended = await start("/proc/holdfast");
    expect(ended.code).toBe(78);
    const fatal = messages(ended, "fatal");
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toMatch(
      /^log directory \/proc\/holdfast cannot be used \(.*\): make it writable/,
    );
  });

  test("that is a file", async () => {
    await withTemporaryFolder(async (folder) => {
      const file = join(folder, "file");
      await writeFile(file, "precious");
      const ended = await start(file);
      expect(ended.code).toBe(78);
      expect(messages(ended, "fatal")[0]).toContain(`log directory ${file} cannot be used`);
      expect(await readFile(file, "utf8")).toBe("precious");
    });
  });

  test("that is named twice, under two names", async () => {
    await withTemporaryFolder(async (folder) => {
      await mkdir(join(folder, "data"));
      await symlink(join(folder, "data"), join(folder, "link"));
      const ended = await start(`${join(folder, "data")},${join(folder, "link")}`);
      expect(ended.code).toBe(78);
      expect(messages(ended, "fatal")[0]).toContain("is named twice in log.dirs, under two names");
    });
  });

  test("whose meta.properties is damaged", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory });
      await broker.stop();
      const path = join(dataDirectory, "meta.properties");
      await writeFile(path, "version=1\ncluster.id");
      const ended = await start(dataDirectory);
      expect(ended.code).toBe(1);
      const fatal = messages(ended, "fatal");
      expect(fatal).toHaveLength(1);
      expect(fatal[0]).toContain(path);
      expect(await readFile(path, "utf8")).toBe("version=1\ncluster.id");
    });
  });
});

describe("a broker", () => {
  test("says when the address that clients are told cannot be reached, and goes on", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({
        dataDirectory,
        overrides: {
          listeners: "PLAINTEXT://127.0.0.1:0",
          "advertised.listeners": "PLAINTEXT://no-such-host.invalid:9092",
        },
      });
      await broker.printed("clients are told to connect to no-such-host.invalid:9092 (PLAINTEXT)");
      expect(await broker.stop()).toBe(0);
    });
  });

  test("says what a lone node cannot do with replicas that are asked for", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const overrides = { "default.replication.factor": 3 };
      const broker = await BrokerProcess.start({ dataDirectory, overrides });
      expect(await broker.stop()).toBe(0);
      expect(broker.output).toContain("default.replication.factor=3, and this is a lone node");
    });
  });

  test("says where it listens, what an ack is worth, and what to do next; SIGTERM ends it with 0", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory });
      expect(await broker.stop()).toBe(0);
      const { output } = broker;
      expect(output).toContain(`listening on 127.0.0.1:${broker.port} (PLAINTEXT)`);
      expect(output).toContain(
        "durability: acks=all needs 1 replica; " +
          "an ack does not wait for fsync (log.flush.interval.messages is off)",
      );
      expect(output).toContain(`next: point a Kafka client at 127.0.0.1:${broker.port}`);
      expect(await readdir(dataDirectory)).toContain(".kafka_cleanshutdown");
    });
  });

  test("takes a signal that comes twice at once, as from npm, for one", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({ dataDirectory });
      process.kill(broker.pid, "SIGINT");
      process.kill(broker.pid, "SIGTERM");
      expect(await broker.stop()).toBe(0);
      expect(broker.output).toContain('"msg":"stopped"');
    });
  });

  test("names unknown settings and goes on", async () => {
    await withTemporaryFolder(async (dataDirectory) => {
      const broker = await BrokerProcess.start({
        dataDirectory,
        overrides: { "log.segment.byte": 1 },
      });
      expect(await broker.stop()).toBe(0);
      expect(broker.output).toContain("did you mean log.segment.bytes?");
    });
  });
});
