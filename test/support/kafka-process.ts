import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ownProcess } from "./child-processes.ts";
import { PEERS_FOLDER } from "./python.ts";

const NODE = fileURLToPath(new URL("../peers/kafka/node.sh", import.meta.url));
const POLL = fileURLToPath(new URL("../peers/kafka/rawpoll.py", import.meta.url));
const START_ATTEMPTS = 3;

export interface KafkaOptions {
  /** Formatted when it is new; holds server.properties (with the ports) and the log directory. */
  readonly folder: string;
  readonly properties?: Readonly<Record<string, string | number>>;
}

/** The real Apache Kafka: one node, broker and controller, on free ports of its own. */
export class KafkaProcess {
  readonly logDirectory: string;
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(folder: string, port: number, child: ChildProcess, exited: Promise<unknown>) {
    this.logDirectory = join(folder, "logs");
    this.port = port;
    this.#child = child;
    this.#exited = exited;
  }

  /** Formats the folder and starts the node; resolves when it answers Metadata as a live broker. */
  static async create(options: KafkaOptions): Promise<KafkaProcess> {
    for (let attempt = 1; ; attempt += 1) {
      const [port, controllerPort] = await freePorts();
      const extra = Object.entries(options.properties ?? {}).map(([k, v]) => `${k}=${v}`);
      await promisify(execFile)("bash", [NODE, "format", "1", "1", options.folder], {
        env: {
          ...process.env,
          BROKER_PORT: String(port),
          CONTROLLER_PORT: String(controllerPort),
          EXTRA: extra.join(" "),
        },
      });
      try {
        return await KafkaProcess.start(options.folder, port);
      } catch (error) {
        // Somebody else may have taken a port since we looked.
        const isTaken = error instanceof Error && error.message.includes("BindException");
        if (!isTaken || attempt === START_ATTEMPTS) throw error;
      }
    }
  }

  /** Starts the node again, in the folder and on the port of an earlier one; `overrides` for this run. */
  static async start(
    folder: string,
    port: number,
    overrides: readonly string[] = [],
  ): Promise<KafkaProcess> {
    const OVERRIDES = overrides.map((setting) => `--override ${setting}`).join(" ");
    const child = spawn("bash", [NODE, "exec", "1", "1", folder], {
      env: { ...process.env, HEAP: "-Xmx512m", OVERRIDES },
      stdio: ["ignore", "pipe", "pipe"],
    });
    ownProcess(child, folder);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    }
    const exited = once(child, "exit");
    const poll = spawn(join(PEERS_FOLDER, "venv/bin/python"), [
      ...[POLL, `127.0.0.1:${port}`, "--brokers", "1", "--quiet", "--timeout", "300"],
    ]);
    ownProcess(poll, folder);
    const isReady = await Promise.race([
      once(poll, "exit").then(([code]) => code === 0),
      exited.then(() => false),
    ]);
    if (!isReady) {
      poll.kill();
      child.kill("SIGKILL");
      await exited;
      throw new Error(`Kafka did not start:\n${output}`);
    }
    return new KafkaProcess(folder, port, child, exited);
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** SIGTERM: Kafka closes its logs and leaves its mark of a clean shutdown. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#exited;
  }

  async kill9(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

/** Both are taken at once, so that they differ. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const;
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return (server.address() as AddressInfo).port;
    }),
  );
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return [ports[0]!, ports[1]!];
}
