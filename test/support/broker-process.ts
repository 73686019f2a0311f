import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { must } from "../../src/base/assert.ts";
import { endProcessesIn, ownProcess } from "./child-processes.ts";

export interface BrokerOptions {
  readonly dataDirectory: string;
  /** A properties file; what follows from the other options goes over it. */
  readonly file?: string;
  /** 0 for a free one; the port of an earlier process for a restart. */
  readonly port?: number;
  readonly overrides?: Readonly<Record<string, string | number>>;
}

/** `bin/broker` as its users run it: a process of its own, told apart from ours by nothing but its port. */
export class BrokerProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | string>;
  readonly #output: string[];
  #port: number | null = null;

  private constructor(child: ChildProcess, exited: Promise<number | string>, output: string[]) {
    this.#child = child;
    this.#exited = exited;
    this.#output = output;
  }

  /** Resolves when the broker says that it listens; rejects with all it printed when it exits instead. */
  static async start(options: BrokerOptions): Promise<BrokerProcess> {
    const broker = BrokerProcess.spawn(options);
    await broker.listening();
    return broker;
  }

  /** A process that may wait for others before it listens. */
  static spawn(options: BrokerOptions): BrokerProcess {
    const overrides = {
      "node.id": 1,
      listeners: `PLAINTEXT://127.0.0.1:${options.port ?? 0}`,
      "log.dirs": options.dataDirectory,
      "offsets.topic.replication.factor": 1,
      "group.initial.rebalance.delay.ms": 0,
      // Several run beside each other.
      "holdfast.admin.address": "",
      ...options.overrides,
    };
    const child = spawn(
      process.execPath,
      [
        "bin/broker",
        ...(options.file === undefined ? [] : [options.file]),
        ...Object.entries(overrides).flatMap(([key, value]) => ["--override", `${key}=${value}`]),
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    ownProcess(child, options.dataDirectory);
    const exited = once(child, "exit").then(
      ([code, signal]) => (signal as string | null) ?? (code as number),
    );
    const output: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.push(text);
      child.emit("said");
    });
    const broker = new BrokerProcess(child, exited, output);
    createInterface({ input: child.stdout }).on("line", (line) => {
      output.push(`${line}\n`);
      broker.#port ??= listeningPort(line);
      child.emit("said");
    });
    return broker;
  }

  /** Resolves when it listens; rejects with all it printed when it exits instead. */
  async listening(): Promise<void> {
    await this.#said(() => this.#port !== null, "it listened");
  }

  /** Of its first listener. */
  get port(): number {
    return must(this.#port, "it listens");
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** All that it printed so far. */
  get output(): string {
    return this.#output.join("");
  }

  /** Resolves when it has printed the text; rejects when it ends without. */
  async printed(text: string): Promise<void> {
    await this.#said(() => this.output.includes(text), `"${text}"`);
  }

  /** Resolves with its exit code, or the signal's name. */
  get exited(): Promise<number | string> {
    return this.#exited;
  }

  async #said(isSo: () => boolean, what: string): Promise<void> {
    const ended = this.#exited.then((code) => {
      throw new Error(`the broker ended with ${code} before ${what}:\n${this.output}`);
    });
    ended.catch(() => undefined);
    while (!isSo()) await Promise.race([ended, once(this.#child, "said")]);
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill9(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  /** SIGTERM; resolves with the exit code (or the signal's name). Does nothing to one that has ended. */
  async stop(): Promise<number | string> {
    this.#child.kill("SIGTERM");
    return this.#exited;
  }
}

function listeningPort(line: string): number | null {
  if (!line.startsWith("{")) return null;
  const facts = JSON.parse(line) as { listeners?: readonly { port: number }[] };
  return facts.listeners?.[0]?.port ?? null;
}

/** A fresh temporary folder, removed with all that is in it, and works in it, when `use` is done. */
export async function withTemporaryFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
  try {
    return await use(folder);
  } finally {
    await endProcessesIn(folder);
    await rm(folder, { recursive: true, force: true });
  }
}
