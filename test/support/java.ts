import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { outputOf, type ProgramResult, runProgram } from "./programs.ts";
import { PEERS_FOLDER } from "./python.ts";

const LIBRARIES = join(PEERS_FOLDER, "kafka", `libs-${process.env["KV"] ?? "4.3.1"}`);

/** Kafka's clients and tools: a class path. */
export const KAFKA_LIBRARIES = join(LIBRARIES, "*");

/** Their classes as the JVM lays them out in memory, which halves what the start of a tool costs. */
const CLASS_ARCHIVE = `${LIBRARIES}.jsa`;
const QUIET = "-Xlog:disable";

/** Why Kafka's tools cannot be run here; null: they can. */
export function whyNoKafkaTools(): string | null {
  if (!existsSync(LIBRARIES)) return "Kafka is not installed (test/peers/kafka/setup.sh)";
  return spawnSync("java", ["-version"]).status === 0 ? null : "there is no Java";
}

/** Makes the archive of classes where there is none yet. A JVM that cannot use it does without. */
export async function archiveKafkaClasses(): Promise<void> {
  if (existsSync(CLASS_ARCHIVE)) return;
  const folder = mkdtempSync(`${LIBRARIES}-`);
  const [archive, settings] = [join(folder, "jsa"), join(folder, "settings")];
  writeFileSync(settings, "default.api.timeout.ms=1000\nrequest.timeout.ms=1000\n");
  // Nobody listens there: it fails, once it has loaded what all of them have in common.
  const { stderr } = await runProgram("java", [
    ...[`-XX:ArchiveClassesAtExit=${archive}`, QUIET, "-XX:+UseSerialGC", "-cp", KAFKA_LIBRARIES],
    ...["org.apache.kafka.tools.TopicCommand", "--list"],
    ...["--bootstrap-server", "127.0.0.1:1", "--command-config", settings],
  ]);
  if (existsSync(archive)) renameSync(archive, CLASS_ARCHIVE);
  else console.warn(`Kafka's tools will start slowly: no archive of their classes:\n${stderr}`);
  rmSync(folder, { recursive: true });
}

/** Starts one of Kafka's own tools (test/peers/kafka/README.md names the classes). */
export function spawnKafkaTool(
  className: string,
  args: readonly string[],
): ChildProcessWithoutNullStreams {
  const child = spawn("java", javaArguments(className, args));
  child.stdout.setEncoding("utf8");
  child.stderr.setEncoding("utf8");
  return child;
}

/** Runs a tool to its end. */
export function runKafkaTool(
  className: string,
  args: readonly string[],
  input?: string,
): Promise<ProgramResult> {
  return runProgram("java", javaArguments(className, args), input);
}

/** The same, for a tool that must succeed; returns what it printed. */
export function kafkaTool(
  className: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  return outputOf("java", javaArguments(className, args), input);
}

function javaArguments(className: string, args: readonly string[]): string[] {
  return [
    ...(existsSync(CLASS_ARCHIVE) ? [`-XX:SharedArchiveFile=${CLASS_ARCHIVE}`, QUIET] : []),
    // Short runs beside each other: a small heap, and no threads to compile and to collect it.
    ...["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ...["-cp", KAFKA_LIBRARIES, className, ...args],
  ];
}
