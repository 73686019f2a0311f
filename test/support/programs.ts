import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { ownProcess } from "./child-processes.ts";

export interface ProgramResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Bytes that are no text come through an encoding of `latin1`. */
export async function runProgram(
  command: string,
  args: readonly string[],
  input: string | Buffer = "",
  encoding: "utf8" | "latin1" = "utf8",
): Promise<ProgramResult> {
  const child = spawn(command, args);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding(encoding).on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // It may end without having read all of it.
  child.stdin.on("error", () => undefined).end(input);
  const [exitCode] = (await once(child, "close")) as [number | null];
  return { exitCode, stdout, stderr };
}

/** The same, for a program that must succeed; returns what it printed. */
export async function outputOf(
  ...[command, args, input, encoding]: Parameters<typeof runProgram>
): Promise<string> {
  const result = await runProgram(command, args, input, encoding);
  if (result.exitCode !== 0) {
    throw new Error(
      `${command} ${args.join(" ")} ended with ${result.exitCode}:\n${result.stdout}\n${result.stderr}`,
    );
  }
  return result.stdout;
}

/** A program that runs beside the test; it ends with the folder, at the latest. */
export class RunningProgram {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #stdout = "";
  #stderr = "";

  constructor(folder: string, command: string, args: readonly string[]) {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    ownProcess(child, folder);
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.#stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.#child = child;
    this.#ended = once(child, "close");
  }

  /** All that it printed so far. */
  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Asks it to end, and resolves when it has. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#ended;
  }
}

/** What the program of a client prints, as one JSON object, about what it did. */
export async function factsOf<T>(command: string, args: readonly string[]): Promise<T> {
  return JSON.parse(await outputOf(command, args)) as T;
}
