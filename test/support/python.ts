import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where test/peers/kafka/setup.sh installs the stock clients. */
export const PEERS_FOLDER = process.env["CACHE"] ?? join(homedir(), ".cache/holdfast-peers");

/** Starts a Python program that uses confluent-kafka (librdkafka). */
export function spawnPython(script: string, ...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(join(PEERS_FOLDER, "venv/bin/python"), [script, ...args]);
  child.stdout.setEncoding("utf8");
  child.stderr.setEncoding("utf8");
  return child;
}

/** Runs it to its end; resolves with what it printed, rejects with what it complained of. */
export async function runPython(script: string, ...args: string[]): Promise<string> {
  const child = spawnPython(script, ...args);
  const output: string[] = [];
  const complaints: string[] = [];
  child.stdout.on("data", (text: string) => output.push(text));
  child.stderr.on("data", (text: string) => complaints.push(text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${complaints.join("")}`);
  return output.join("");
}
