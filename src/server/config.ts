import { readFileSync } from "node:fs";
import { refuseContradictions, refuseEmptyDirectories } from "./config-checks.ts";
import { ConfigError } from "./config-error.ts";
import {
  type BrokerConfig,
  type BrokerValues,
  CONFIG_KEYS,
  isConfigKey,
  specOf,
} from "./config-keys.ts";
import { type ListenerConfig, listenerSettings, resolveListeners } from "./config-listeners.ts";
import { checkQuorum } from "./config-quorum.ts";
import { type Notice, noticesOf, unknownKey } from "./config-notices.ts";
import { parseProperties, PropertiesError, type Setting } from "./config-properties.ts";
import { isRefusedKey } from "./config-refused-keys.ts";
import type { ConfigSpec } from "./config-spec.ts";
import { ConfigValueError } from "./config-types.ts";

// Read by bin/broker through require() before anything else: synchronous, and light to import.

export type { Notice } from "./config-notices.ts";
export type { Setting } from "./config-properties.ts";

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
  const nodeId = given.get("node.id");
  if (nodeId === undefined) {
    throw new ConfigError("node.id is missing: add a line like node.id=1, unique for each node");
  }
  refuseEmptyDirectories(given);
  const values = Object.fromEntries(
    Object.entries(CONFIG_KEYS).map(([key, spec]) => [key, valueOf<unknown>(spec, given.get(key))]),
  ) as unknown as BrokerValues; // Built from the very table that the type is made of.
  const checked = refuseContradictions(values);
  checkQuorum(checked, given, hostName);
  const listeners = resolveListeners(listenerSettings(checked), hostName);
  const texts = new Map([...given].map(([key, { value }]) => [key, value]));
  // As Kafka does, whichever of the two was set.
  texts.set("broker.id", nodeId.value);
  const config = { ...checked, ...advertised(listeners, checked), given: texts, hostName };
  return { config: Object.freeze(config), notices: [...notices, ...noticesOf(config, given)] };
}

/** The listeners of a config that `resolveConfig` made. */
export function listenersOf(config: BrokerConfig): readonly ListenerConfig[] {
  return resolveListeners(listenerSettings(config), "localhost");
}

/** What is told of the listeners for clients, and what was written of those for controllers. */
function advertised(listeners: readonly ListenerConfig[], values: BrokerValues) {
  const { controllerNames } = listenerSettings(values);
  return {
    "advertised.listeners": [
      ...listeners.map(({ name, advertisedHost, advertisedPort }) => {
        const host = advertisedHost.includes(":") ? `[${advertisedHost}]` : advertisedHost;
        return `${name}://${host}:${advertisedPort}`;
      }),
      ...values["advertised.listeners"].filter((text) =>
        controllerNames.includes(text.split("://")[0]?.toUpperCase() ?? ""),
      ),
    ],
  };
}

/** What counts, by key; the keys that this broker has no use for are checked, too. */
function collect(settings: readonly Setting[], notices: Notice[]): ReadonlyMap<string, Setting> {
  const given = new Map<string, Setting>();
  for (const setting of settings) given.set(setting.key, setting);
  for (const [key, setting] of given) {
    const spec = specOf(key);
    if (isRefusedKey(key)) refuseUnlessOff(setting, spec);
    else if (spec === undefined) notices.push({ level: "warn", message: unknownKey(setting) });
    else if (!isConfigKey(key)) valueOf(spec, setting);
  }
  unifyNodeId(given);
  return given;
}

/** Kafka's older name of the same number: either will do, but two numbers are a slip. */
function unifyNodeId(given: Map<string, Setting>): void {
  const older = given.get("broker.id");
  const nodeId = given.get("node.id");
  if (older === undefined || older.value === "-1") return;
  if (nodeId === undefined) given.set("node.id", older);
  else if (nodeId.value !== older.value) {
    throw new ConfigError(
      `node.id=${nodeId.value} (${nodeId.where}) and broker.id=${older.value} (${older.where}) name ` +
        "the same node: take broker.id out, or make them equal",
    );
  }
}

function valueOf<T>(spec: ConfigSpec<T>, setting: Setting | undefined): T | null {
  const text = setting?.value ?? spec.defaultText ?? spec.fallbackText;
  if (text === undefined) return null;
  try {
    return spec.type.parse(setting?.key ?? "a default", text);
  } catch (error) {
    if (!(error instanceof ConfigValueError) || setting === undefined) throw error;
    throw new ConfigError(
      `${setting.key}=${text} (${setting.where}): must be ${spec.type.allowed}`,
      { cause: error },
    );
  }
}

function refuseUnlessOff({ key, value, where }: Setting, spec?: ConfigSpec<unknown>): void {
  if (["", "false", "0", spec?.defaultText].includes(value)) return;
  throw new ConfigError(
    `${key} (${where}) is not supported: take it out. It is refused rather than ignored because ` +
      "it would change who may do what, or where data goes",
  );
}
