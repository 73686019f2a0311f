import { readFileSync } from "node:fs";
import { must } from "../base/assert.ts";
import { ConfigError } from "./config-error.ts";
import { isRefusedKey, KEYS_WITHOUT_EFFECT } from "./config-kafka-keys.ts";
import { type BrokerConfig, CONFIG_KEYS, type ConfigKey, isConfigKey } from "./config-keys.ts";
import {
  controllerEndPoints,
  type ListenerConfig,
  type ListenerSettings,
  resolveListeners,
} from "./config-listeners.ts";
import { parseProperties, PropertiesError } from "./config-properties.ts";
import { type ConfigSpec, splitList } from "./config-types.ts";

// Read by bin/broker through require() before anything else: synchronous, and light to import.

/** One setting as the user wrote it. A later one of the same key wins. */
export interface Setting {
  readonly key: string;
  readonly value: string;
  /** For messages: `server.properties:12` or `--override`. */
  readonly where: string;
}

/** Something about the settings that the user should know, said once at the start. */
export interface Notice {
  readonly level: "info" | "warn";
  readonly message: string;
}

export interface LoadedConfig {
  readonly config: BrokerConfig;
  readonly notices: readonly Notice[];
}

/** What holds when no file is given: one node, on this machine only. */
export const EMBEDDED_SETTINGS: readonly Setting[] = Object.entries({
  "process.roles": "broker,controller",
  "node.id": "1",
  listeners: "PLAINTEXT://127.0.0.1:9092",
  "log.dirs": "./data",
  "offsets.topic.replication.factor": "1",
}).map(([key, value]) => ({ key, value, where: "built in" }));

/** The settings of a `.properties` file. Throws ConfigError when it cannot be read. */
export function readSettingsFile(path: string): readonly Setting[] {
  try {
    return parseProperties(readFileSync(path, "utf8")).map(({ key, value, line }) => ({
      key,
      value,
      where: `${path}:${line}`,
    }));
  } catch (error) {
    if (error instanceof PropertiesError) {
      throw new ConfigError(`${path}:${error.line}: ${error.message}`, { cause: error });
    }
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new ConfigError(
      `${path}: cannot be read (${code}); name a .properties file, or none for the built-in settings`,
      { cause: error },
    );
  }
}

/**
 * Checks the settings and fills the defaults in. `hostName` is what clients are told for a listener
 * that names no host. Throws ConfigError for the first setting that cannot be taken.
 */
export function resolveConfig(settings: readonly Setting[], hostName = "localhost"): LoadedConfig {
  const notices: Notice[] = [];
  const given = collect(settings, notices);
  if (!given.has("node.id")) {
    throw new ConfigError("node.id is missing: add a line like node.id=1, unique for each node");
  }
  const values = Object.fromEntries(
    Object.entries(CONFIG_KEYS).map(([key, spec]) => [key, valueOf<unknown>(spec, given.get(key))]),
  ) as unknown as BrokerConfig; // Built from the very table that the type is made of.
  refuseEmptyDirectories(given.get("log.dirs") ?? given.get("log.dir"));
  refuseConflicts(values);
  refuseSeveralNodes(values);
  noticeControllers(values, notices);
  const config = { ...values, "log.dirs": directoriesOf(values) };
  refuseOtherMetadataDirectory(config);
  return {
    config: Object.freeze({
      ...config,
      ...told(resolveListeners(listenerSettings(config), hostName)),
    }),
    notices,
  };
}

/** The listeners of a config that `resolveConfig` made. */
export function listenersOf(config: BrokerConfig): readonly ListenerConfig[] {
  return resolveListeners(listenerSettings(config), "localhost");
}

/** The text of a setting that holds, as a properties file would have it; null: none, or no such key. */
export function settingText(config: BrokerConfig, key: string): string | null {
  const value = isConfigKey(key) ? config[key] : null;
  if (value === null) return null;
  if (typeof value !== "object") return String(value);
  return "text" in value ? value.text : value.join(",");
}

function listenerSettings(config: BrokerConfig): ListenerSettings {
  return {
    listeners: config.listeners,
    advertised: config["advertised.listeners"],
    controllerNames: config["controller.listener.names"].map((name) => name.toUpperCase()),
    protocolMap: config["listener.security.protocol.map"],
  };
}

function told(listeners: readonly ListenerConfig[]) {
  return {
    "advertised.listeners": listeners.map(({ name, advertisedHost, advertisedPort }) => {
      const host = advertisedHost.includes(":") ? `[${advertisedHost}]` : advertisedHost;
      return `${name}://${host}:${advertisedPort}`;
    }),
  };
}

function collect(settings: readonly Setting[], notices: Notice[]): ReadonlyMap<string, Setting> {
  const given = new Map<string, Setting>();
  const withoutEffect = new Set<string>();
  for (const setting of settings) {
    // Kafka's older name of the same number.
    const key = setting.key === "broker.id" ? "node.id" : setting.key;
    if (isConfigKey(key)) given.set(key, setting);
    else if (isRefusedKey(key)) refuseUnlessOff(setting);
    else if (KEYS_WITHOUT_EFFECT.has(key)) withoutEffect.add(key);
    else notices.push({ level: "warn", message: unknownKey(setting) });
  }
  if (withoutEffect.size > 0) {
    const names = [...withoutEffect].join(", ");
    notices.push({ level: "info", message: `these settings have no effect here: ${names}` });
  }
  return given;
}

function valueOf<T>(spec: ConfigSpec<T>, setting: Setting | undefined): T | null {
  if (setting === undefined) {
    if (spec.defaultText === null) return null;
    return must(spec.parse(spec.defaultText), "a default is an allowed value");
  }
  const value = spec.parse(setting.value);
  if (value === undefined) {
    throw new ConfigError(
      `${setting.key}=${setting.value} (${setting.where}): must be ${spec.allowed}`,
    );
  }
  return value;
}

function refuseUnlessOff({ key, value, where }: Setting): void {
  if (["", "false", "0"].includes(value)) return;
  throw new ConfigError(
    `${key} (${where}) is not supported: take it out. It is refused rather than ignored because ` +
      "it would change who may do what",
  );
}

/** An empty list is a slip (an unset variable, say), not a wish for the default. */
function refuseEmptyDirectories(setting: Setting | undefined): void {
  if (setting === undefined || splitList(setting.value).length > 0) return;
  throw new ConfigError(
    `${setting.key} (${setting.where}) is empty: name a directory for data, or take it out`,
  );
}

/** What no single value shows. */
function refuseConflicts(config: BrokerConfig): void {
  refuseAbove(config, "group.min.session.timeout.ms", "group.max.session.timeout.ms");
  refuseAbove(config, "log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
  for (const key of RETENTION_TIMES) {
    if (numberOf(config[key]) !== 0) continue;
    throw new ConfigError(`${key}=0: must be 1 or more, or below 0 to keep records for ever`);
  }
}

/** By Kafka's precedence only the first that is set counts, but 0 is a slip in each. */
const RETENTION_TIMES = [
  "log.retention.ms",
  "log.retention.minutes",
  "log.retention.hours",
] as const;

function refuseAbove(config: BrokerConfig, lower: ConfigKey, upper: ConfigKey): void {
  if ((numberOf(config[lower]) ?? 0) <= (numberOf(config[upper]) ?? 0)) return;
  const [low, high] = [settingText(config, lower), settingText(config, upper)];
  throw new ConfigError(`${lower}=${low} must not be above ${upper}=${high}`);
}

function numberOf(value: BrokerConfig[ConfigKey]): number | null {
  if (typeof value === "number") return value;
  return value !== null && typeof value === "object" && "value" in value ? value.value : null;
}

function refuseSeveralNodes(config: BrokerConfig): void {
  if (new Set(config["process.roles"]).size !== 2) {
    throw new ConfigError(
      `process.roles=${config["process.roles"].join(",")}: one node is all that runs so far, ` +
        "and it is both: set process.roles=broker,controller",
    );
  }
  const voters = config["controller.quorum.voters"];
  if (voters.some((voter) => voter.split("@")[0] !== String(config["node.id"]))) {
    throw new ConfigError(
      `controller.quorum.voters=${voters.join(",")}: several nodes are not supported yet; ` +
        `a lone node needs no voters, or only its own (${config["node.id"]}@host:port)`,
    );
  }
  if (config["controller.quorum.bootstrap.servers"].length > 1) {
    throw new ConfigError(
      "controller.quorum.bootstrap.servers names several: several nodes are not supported yet; " +
        "a lone node needs none",
    );
  }
}

function noticeControllers(config: BrokerConfig, notices: Notice[]): void {
  for (const { name, host, port } of controllerEndPoints(listenerSettings(config))) {
    notices.push({
      level: "info",
      message: `listener ${name}://${host}:${port} is not opened: a lone node needs no controller port`,
    });
  }
}

function directoriesOf(config: BrokerConfig): readonly string[] {
  const listed = config["log.dirs"].length > 0 ? config["log.dirs"] : config["log.dir"];
  const directories = listed.map((directory) => directory.replace(/(.)\/+$/, "$1"));
  const repeated = directories.find((directory, index) => directories.indexOf(directory) !== index);
  if (repeated !== undefined) throw new ConfigError(`log.dirs names ${repeated} twice`);
  if (directories.length === 0)
    throw new ConfigError("log.dirs is empty: name a directory for data");
  return directories;
}

function refuseOtherMetadataDirectory(config: BrokerConfig): void {
  const directory = config["metadata.log.dir"];
  if (directory === null || directory === config["log.dirs"][0]) return;
  throw new ConfigError(
    `metadata.log.dir=${directory}: metadata lies in the first of log.dirs; ` +
      `take it out, or put ${directory} first there`,
  );
}

function unknownKey({ key, where }: Setting): string {
  const names = [...Object.keys(CONFIG_KEYS), ...KEYS_WITHOUT_EFFECT];
  const [nearest] = names
    .map((name) => ({ name, distance: editDistance(key, name) }))
    .sort((a, b) => a.distance - b.distance);
  const hint =
    nearest !== undefined && nearest.distance <= Math.max(2, key.length / 4)
      ? `; did you mean ${nearest.name}?`
      : "";
  return `${key} (${where}) is not a setting that this broker knows${hint}`;
}

/** Insertions, removals and replacements that make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
