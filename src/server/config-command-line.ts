import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { ConfigError } from "./config-error.ts";
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

Runs one node. FILE.properties has Kafka's own settings; without one: node 1, data under ./data, clients at
127.0.0.1:9092. --override goes before the file and may be given more than once.

exit codes: 0 stopped, 1 could not go on (port in use, directory locked), 2 wrong usage, 78 bad configuration`;

/** Reads the arguments, and the file that they name. Never throws for what a user can get wrong. */
export function readCommandLine(args: readonly string[]): CommandLine {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        override: { type: "string", multiple: true },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return wrongUsage(error.message.split(". To specify")[0] ?? error.message);
  }
  const { values, positionals } = parsed;
  if (values.help === true) return { kind: "exit", code: EXIT_CODES.clean, text: USAGE };
  if (values.version === true) {
    return { kind: "exit", code: EXIT_CODES.clean, text: `holdfast ${packageVersion()}` };
  }
  if (positionals.length > 1) return wrongUsage(`one file at most, not ${positionals.join(" ")}`);
  const overrides = (values.override ?? []).map(overrideOf);
  const bad = overrides.find((override) => typeof override === "string");
  if (bad !== undefined) return wrongUsage(bad);
  try {
    return load(positionals[0], overrides as Setting[]); // No text is left among them.
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      kind: "exit",
      code: EXIT_CODES.badConfiguration,
      text: `broker: bad configuration: ${error.message}`,
    };
  }
}

function load(path: string | undefined, overrides: readonly Setting[]): CommandLine {
  const settings = path === undefined ? EMBEDDED_SETTINGS : readSettingsFile(path);
  return {
    kind: "run",
    loaded: resolveConfig([...settings, ...overrides], hostname()),
    version: packageVersion(),
  };
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
