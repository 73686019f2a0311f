import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { PEERS_FOLDER } from "./python.ts";

export interface ToolResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts one of Kafka's own tools (test/peers/kafka/README.md names the classes). */
export function spawnKafkaTool(
  className: string,
  args: readonly string[],
): ChildProcessWithoutNullStreams {
  const jars = join(PEERS_FOLDER, "kafka", `libs-${process.env["KV"] ?? "4.3.1"}`, "*");
  const child = spawn("java", [
    // Short runs beside each other: a small heap, and no threads to compile and to collect it.
    ...["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ...["-cp", jars, className, ...args],
  ]);
  child.stdout.setEncoding("utf8");
  child.stderr.setEncoding("utf8");
  return child;
}

/** Runs a tool to its end. */
export async function runKafkaTool(
  className: string,
  args: readonly string[],
  input = "",
): Promise<ToolResult> {
  const child = spawnKafkaTool(className, args);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text: string) => (stdout += text));
  child.stderr.on("data", (text: string) => (stderr += text));
  child.stdin.end(input);
  const [exitCode] = (await once(child, "close")) as [number | null];
  return { exitCode, stdout, stderr };
}

/** The same, for a tool that must succeed; returns what it printed. */
export async function kafkaTool(
  className: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const result = await runKafkaTool(className, args, input);
  if (result.exitCode !== 0) {
    throw new Error(
      `${className} ended with ${result.exitCode}:\n${result.stdout}\n${result.stderr}`,
    );
  }
  return result.stdout;
}
