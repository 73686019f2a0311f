import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import { outputOf } from "./programs.ts";

/** Where test/peers/kafka/setup.sh installs the stock clients. */
export const PEERS_FOLDER = process.env["CACHE"] ?? join(homedir(), ".cache/holdfast-peers");

/** With confluent-kafka and aiokafka. */
export const PYTHON = join(PEERS_FOLDER, "venv/bin/python");

/** Starts a Python program that uses confluent-kafka (librdkafka). */
export function spawnPython(script: string, ...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(PYTHON, [script, ...args]);
  child.stdout.setEncoding("utf8");
  child.stderr.setEncoding("utf8");
  return child;
}

/** Runs it to its end; resolves with what it printed, rejects with what it complained of. */
export function runPython(script: string, ...args: string[]): Promise<string> {
  return outputOf(PYTHON, [script, ...args]);
}
