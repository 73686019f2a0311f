import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { KAFKA_LIBRARIES } from "../../support/java.ts";
import { outputOf } from "../../support/programs.ts";

const SOURCES = fileURLToPath(new URL("java", import.meta.url));

/** Case to answer, as AdminProbe.java prints them; `uncalled` are the methods that no case calls. */
export interface Answers {
  readonly cases: ReadonlyMap<string, string>;
  readonly uncalled: readonly string[];
}

/** Compiles the probe into the folder. */
export async function compileProbe(folder: string): Promise<void> {
  const sources = readdirSync(SOURCES).map((name) => join(SOURCES, name));
  await outputOf("javac", ["-cp", KAFKA_LIBRARIES, "-d", folder, ...sources]);
}

/** Runs the compiled probe against a broker with two log directories. */
export async function runProbe(
  folder: string,
  bootstrap: string,
  logDirectories: readonly string[],
): Promise<Answers> {
  const stdout = await outputOf("java", [
    ...["-Xmx256m", "-XX:TieredStopAtLevel=1"],
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
    ...["-cp", `${folder}:${KAFKA_LIBRARIES}`, "AdminProbe", bootstrap, ...logDirectories],
  ]);
  const cases = new Map<string, string>();
  const uncalled: string[] = [];
  for (const line of stdout.trimEnd().split("\n")) {
    const tab = line.indexOf("\t");
    const name = line.slice(0, tab);
    if (name === "uncalled") uncalled.push(line.slice(tab + 1));
    else cases.set(name, line.slice(tab + 1));
  }
  return { cases, uncalled };
}
