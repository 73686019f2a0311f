import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { environmentSettings } from "./config-environment.ts";
import { ConfigError } from "./config-error.ts";
import { configurationHelp } from "./config-page.ts";
import {
  EMBEDDED_SETTINGS,
  type LoadedConfig,
  readSettingsFile,
  resolveConfig,
  type Setting,
} from "./config.ts";

/** How the process ends; sysexits' number for a bad configuration. */
export const EXIT_CODES = { clean: 0, fatal: 1, usage: 2, badConfiguration: 78 } as const;

/** What the command line asks for. Plain data: bin/broker hands it to a module loaded later. */
export type CommandLine =
  | { readonly kind: "exit"; readonly code: number; readonly text: string }
  | { readonly kind: "run"; readonly loaded: LoadedConfig; readonly version: string };

const USAGE = `usage: broker [FILE.properties] [--override KEY=VALUE]... [--help] [--version]
       broker --help-config [TEXT]

Runs one node. FILE.properties has Kafka's own settings; without one: node 1, data under ./data, clients at
127.0.0.1:9092. KAFKA_LOG_DIRS and the like in the environment go before the file, and --override, which may
be given more than once, before both. --help-config lists every setting, or those whose line has TEXT.

exit codes: 0 stopped, 1 could not go on (port in use, directory locked), 2 wrong usage, 78 bad configuration`;

/**
 * Reads the arguments, the file that they name, and the environment. Never throws for what a user can
 * get wrong.
 */
export function readCommandLine(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = process.env,
): CommandLine {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        override: { type: "string", multiple: true },
        help: { type: "boolean", short: "h" },
        "help-config": { type: "boolean" },
        version: { type: "boolean", short: "v" },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return wrongUsage(error.message.split(". To specify")[0] ?? error.message);
  }
  const { values, positionals } = parsed;
  const text = answerOf(values, positionals);
  if (text !== null) return { kind: "exit", code: EXIT_CODES.clean, text };
  if (positionals.length > 1) return wrongUsage(`one file at most, not ${positionals.join(" ")}`);
  const overrides = (values.override ?? []).map(overrideOf);
  const bad = overrides.find((override) => typeof override === "string");
  if (bad !== undefined) return wrongUsage(bad);
  try {
    const own = [...environmentSettings(environment), ...(overrides as Setting[])]; // No text is left.
    return load(positionals[0], own);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      kind: "exit",
      code: EXIT_CODES.badConfiguration,
      text: `broker: bad configuration: ${error.message}`,
    };
  }
}

/** What is asked for instead of a run; null: a run. */
function answerOf(
  values: { readonly help?: boolean; readonly version?: boolean; readonly "help-config"?: boolean },
  positionals: readonly string[],
): string | null {
  if (values.help === true) return USAGE;
  if (values.version === true) return `holdfast ${packageVersion()}`;
  return values["help-config"] === true ? configurationHelp(positionals.join(" ")) : null;
}

function load(path: string | undefined, own: readonly Setting[]): CommandLine {
  const settings = path === undefined ? EMBEDDED_SETTINGS : readSettingsFile(path);
  const loaded = resolveConfig([...settings, ...own], hostname());
  return { kind: "run", loaded, version: packageVersion() };
}

function overrideOf(text: string): Setting | string {
  const equals = text.indexOf("=");
  if (equals <= 0) return `--override ${text}: must be KEY=VALUE`;
  return {
    key: text.slice(0, equals).trim(),
    value: text.slice(equals + 1).trim(),
    where: "--override",
  };
}

function wrongUsage(reason: string): CommandLine {
  return {
    kind: "exit",
    code: EXIT_CODES.usage,
    text: `broker: ${reason}\ntry: broker --help`,
  };
}

function packageVersion(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
