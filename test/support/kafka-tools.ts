import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { ownProcess } from "./child-processes.ts";
import { kafkaTool, runKafkaTool, spawnKafkaTool } from "./java.ts";
import type { ProgramResult } from "./programs.ts";

/** Kafka's scripts, each a name for one of its classes; the jars come without the scripts. */
const CLASSES = {
  "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
  "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
  "kafka-configs": "kafka.admin.ConfigCommand",
  "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
  "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
  "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
  "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
  "kafka-features": "org.apache.kafka.tools.FeatureCommand",
  "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
  "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
  "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
  "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
  "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
  "kafka-topics": "org.apache.kafka.tools.TopicCommand",
  "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
  "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
} as const;

export type ToolName = keyof typeof CLASSES;

/** What goes behind their command is the command's; kafka-cluster is the other way round, others have none. */
const COMMAND_LAST: ReadonlySet<ToolName> = new Set(["kafka-features", "kafka-metadata-quorum"]);

/** Kafka's own command line tools, pointed at one broker. */
export class KafkaTools {
  readonly #broker: { readonly bootstrap: string };

  constructor(broker: { readonly bootstrap: string }) {
    this.#broker = broker;
  }

  /** Runs a tool that must succeed; resolves with what it printed. */
  async run(tool: ToolName, args: readonly string[], input?: string): Promise<string> {
    return kafkaTool(CLASSES[tool], this.#connected(tool, args), input);
  }

  /** The same for one that may fail. Several of Kafka's tools exit with 0 all the same. */
  async result(tool: ToolName, args: readonly string[], input?: string): Promise<ProgramResult> {
    return runKafkaTool(CLASSES[tool], this.#connected(tool, args), input);
  }

  /** Starts one of the verifiable tools; it ends with the folder, at the latest. */
  start(tool: ToolName, args: readonly string[], folder: string): VerifiableTool {
    const child = spawnKafkaTool(CLASSES[tool], this.#connected(tool, args));
    ownProcess(child, folder);
    return new VerifiableTool(child);
  }

  #connected(tool: ToolName, args: readonly string[]): string[] {
    const server = ["--bootstrap-server", this.#broker.bootstrap];
    return COMMAND_LAST.has(tool) ? [...server, ...args] : [...args, ...server];
  }
}

/** What the verifiable producer and consumer say, a line each; which fields there are depends on `name`. */
export interface ToolEvent {
  readonly name: string;
  readonly key?: string | null;
  readonly value?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly acked?: number;
  readonly success?: boolean;
  readonly offsets?: readonly { readonly partition: number; readonly offset: number }[];
  readonly partitions?: readonly { readonly topic: string; readonly partition: number }[];
}

export class VerifiableTool {
  readonly events: ToolEvent[] = [];
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<number | string>;
  #stderr = "";

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#closed = once(child, "close").then(
      ([code, signal]) => (signal as string | null) ?? (code as number),
    );
    child.stderr.on("data", (text: string) => (this.#stderr += text));
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("{")) this.events.push(JSON.parse(line) as ToolEvent);
      child.emit("said");
    });
  }

  named(name: string): ToolEvent[] {
    return this.events.filter((event) => event.name === name);
  }

  /** Resolves when what it has said is enough; rejects when it ends before. */
  async until(isEnough: (tool: this) => boolean): Promise<void> {
    const ended = this.#closed.then((code) => {
      if (!isEnough(this)) throw new Error(`the tool ended with ${code}:\n${this.#stderr}`);
    });
    ended.catch(() => undefined);
    while (!isEnough(this)) await Promise.race([ended, once(this.#child, "said")]);
  }

  /** Resolves when it has come to its end by itself. */
  async ended(): Promise<void> {
    const code = await this.#closed;
    if (code !== 0) throw new Error(`the tool ended with ${code}:\n${this.#stderr}`);
  }

  /** SIGTERM; resolves when it has said good-bye to the broker and is gone. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#closed;
  }
}

/** kafka-topics --describe: "Key: value" between tabs, each topic's line before those of its partitions. */
export function describedTopic(output: string): Record<string, string>[] {
  return output
    .trimEnd()
    .split("\n")
    .map((line) => {
      const fields = line.trim().split("\t");
      return Object.fromEntries(
        fields.map((field) => {
          const [name, ...value] = field.split(":");
          return [name!, value.join(":").trim()];
        }),
      );
    });
}

/**
 * The tables in a tool's output, row by row: each begins with a line whose first word is `firstColumn` and
 * ends at an empty line. The last column takes what is left of its line.
 */
export function tableRows(output: string, firstColumn: string): Record<string, string>[] {
  const rows: Record<string, string>[] = [];
  let columns: string[] | null = null;
  for (const line of output.split("\n")) {
    const cells = line.trim().split(/\s+/);
    if (cells[0] === firstColumn) columns = cells;
    else if (cells[0] === "") columns = null;
    else if (columns !== null) {
      const last = columns.length - 1;
      const row = [...cells.slice(0, last), cells.slice(last).join(" ")];
      rows.push(Object.fromEntries(columns.map((column, n) => [column, row[n] ?? ""])));
    }
  }
  return rows;
}
