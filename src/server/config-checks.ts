import { resolve } from "node:path";
import { parseIpOverrides } from "./config-connection-limits.ts";
import { ConfigError } from "./config-error.ts";
import { type BrokerValues, CONFIG_KEYS, type ConfigKey } from "./config-keys.ts";
import type { Setting } from "./config-properties.ts";
import type { ConfigSpec } from "./config-spec.ts";
import { splitList } from "./config-types.ts";

/** By Kafka's precedence only the first that is set counts, but 0 is a slip in each. */
const RETENTION_TIMES = [
  "log.retention.ms",
  "log.retention.minutes",
  "log.retention.hours",
] as const;

/**
 * Refuses what no single value shows. Gives the values back with `log.dirs` as the directories that
 * hold. Throws ConfigError.
 */
export function refuseContradictions(values: BrokerValues): BrokerValues {
  refuseAbove(values, "group.min.session.timeout.ms", "group.max.session.timeout.ms");
  refuseAbove(values, "log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
  for (const key of RETENTION_TIMES) {
    if (numberOf(values[key]) !== 0) continue;
    throw new ConfigError(`${key}=0: must be 1 or more, or below 0 to keep records for ever`);
  }
  parseIpOverrides(values["max.connections.per.ip.overrides"]);
  const checked = { ...values, "log.dirs": directoriesOf(values) };
  refuseOtherMetadataDirectory(checked);
  return checked;
}

/** An empty list is a slip (an unset variable, say), not a wish for the default. */
export function refuseEmptyDirectories(given: ReadonlyMap<string, Setting>): void {
  const setting = given.get("log.dirs") ?? given.get("log.dir");
  if (setting === undefined || splitList(setting.value).length > 0) return;
  throw new ConfigError(
    `${setting.key} (${setting.where}) is empty: name a directory for data, or take it out`,
  );
}

function refuseAbove(values: BrokerValues, lower: ConfigKey, upper: ConfigKey): void {
  if ((numberOf(values[lower]) ?? 0) <= (numberOf(values[upper]) ?? 0)) return;
  throw new ConfigError(
    `${lower}=${textOf(values, lower)} must not be above ${upper}=${textOf(values, upper)}`,
  );
}

function textOf(values: BrokerValues, key: ConfigKey): string {
  const spec: ConfigSpec<unknown> = CONFIG_KEYS[key];
  return spec.type.format(values[key]);
}

function numberOf(value: BrokerValues[ConfigKey]): number | null {
  if (typeof value === "number") return value;
  return value !== null && typeof value === "object" && "value" in value ? value.value : null;
}

function directoriesOf(values: BrokerValues): readonly string[] {
  const listed = values["log.dirs"].length > 0 ? values["log.dirs"] : values["log.dir"];
  const directories = listed.map((directory) => directory.replace(/(.)\/+$/, "$1"));
  const places = directories.map((directory) => resolve(directory));
  const second = places.findIndex((place, index) => places.indexOf(place) !== index);
  const first = places.indexOf(places[second] ?? "");
  if (second >= 0) {
    const names = [...new Set([directories[first], directories[second]])].join(" and ");
    throw new ConfigError(`log.dirs names ${names}, one directory twice: take one of them out`);
  }
  if (directories.length === 0) {
    throw new ConfigError("log.dirs is empty: name a directory for data");
  }
  return directories;
}

function refuseOtherMetadataDirectory(values: BrokerValues): void {
  const directory = values["metadata.log.dir"];
  if (directory === null || directory === values["log.dirs"][0]) return;
  throw new ConfigError(
    `metadata.log.dir=${directory}: metadata lies in the first of log.dirs; ` +
      `take it out, or put ${directory} first there`,
  );
}
