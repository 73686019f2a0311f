import { parseIpOverrides } from "./config-connection-limits.ts";
import { ConfigError } from "./config-error.ts";
import { specOf } from "./config-keys.ts";
import { isRefusedKey } from "./config-refused-keys.ts";
import type { BrokerSettings, Layer } from "./config-layers.ts";
import { nearestKey } from "./config-notices.ts";
import { ConfigValueError } from "./config-types.ts";

/** Keys that begin so are a listener's own; those below count for all listeners together. */
const LISTENER_KEY = /^listener\.name\.[^.]*\.(.*)$/;
const OF_ALL_LISTENERS: ReadonlySet<string> = new Set([
  "max.connections",
  "max.connection.creation.rate",
  "num.network.threads",
]);
const THREAD_KEYS = [
  "background.threads",
  "log.cleaner.threads",
  "num.io.threads",
  "num.network.threads",
  "num.recovery.threads.per.data.dir",
  "num.replica.fetchers",
] as const;
const IP_OVERRIDES = "max.connections.per.ip.overrides";
const LISTENER_SETTINGS = ["listeners", "listener.security.protocol.map"] as const;

/**
 * Why this broker, or (`isCluster`) all of them, may not have these settings while they run; null when
 * they may. Kafka's order and words (DynamicBrokerConfig), except for what is not built here.
 */
export function brokerChangeProblem(
  settings: BrokerSettings,
  next: Layer,
  isCluster: boolean,
): string | null {
  return (
    keyProblem(next) ??
    valueProblem(next) ??
    (isCluster ? clusterProblem(next) : null) ??
    supportProblem(settings, next) ??
    contradiction(settings, next) ??
    threadProblem(settings, next)
  );
}

function keyProblem(next: Layer): string | null {
  const keys = [...next.keys()].sort();
  const readOnly = keys.filter((key) => specOf(key)?.updateMode === "read-only");
  if (readOnly.length > 0) {
    return `Cannot update these configs dynamically: [${readOnly.join(", ")}]`;
  }
  const security = keys.filter((key) => key.startsWith("ssl."));
  if (security.length === 0) return null;
  return (
    "These security configs can be dynamically updated only per-listener using the listener " +
    `prefix: [${security.join(", ")}]`
  );
}

function valueProblem(next: Layer): string | null {
  for (const [key, text] of next) {
    const name = LISTENER_KEY.exec(key)?.[1] ?? key;
    try {
      specOf(name)?.type.parse(name, text);
      // It is read when a connection comes, which is too late to find it wrong.
      if (name === IP_OVERRIDES) parseIpOverrides(text);
    } catch (error) {
      if (error instanceof ConfigValueError || error instanceof ConfigError) return error.message;
      throw error;
    }
  }
  return null;
}

function clusterProblem(next: Layer): string | null {
  const keys = [...next.keys()].filter((key) => {
    const ofListener = LISTENER_KEY.exec(key)?.[1];
    if (ofListener !== undefined) return !OF_ALL_LISTENERS.has(ofListener);
    return specOf(key)?.updateMode === "per-broker";
  });
  if (keys.length === 0) return null;
  return (
    "Cannot update these configs at default cluster level, broker id must be specified: " +
    `[${keys.sort().join(", ")}]`
  );
}

/** What Kafka would take and do: to take it and do nothing would be to drop it silently. */
function supportProblem(settings: BrokerSettings, next: Layer): string | null {
  for (const [key, text] of next) {
    const spec = specOf(key);
    if (isRefusedKey(key) && !["", "false", "0", spec?.defaultText].includes(text.trim())) {
      return `${key} is not supported by this broker`;
    }
    if (spec === undefined && !isRefusedKey(key)) {
      const nearest = nearestKey(key);
      return `Unknown broker config name: ${key}${nearest === null ? "" : `; did you mean ${nearest}?`}`;
    }
  }
  const moved = LISTENER_SETTINGS.find(
    (key) => next.has(key) && next.get(key) !== settings.text(key),
  );
  if (moved === undefined) return null;
  return `${moved} cannot be changed while this broker runs: change its properties and restart it`;
}

/** Kafka's words for what no single value shows. */
function contradiction(settings: BrokerSettings, next: Layer): string | null {
  const numberOf = (key: string): number => Number(next.get(key) ?? settings.text(key) ?? NaN);
  const required = (isMet: boolean, message: string): string | null =>
    isMet ? null : `requirement failed: ${message}`;
  const retentionMs = next.has("log.retention.ms") ? numberOf("log.retention.ms") : -1;
  const rollMs = next.has("log.roll.ms") ? numberOf("log.roll.ms") : 1;
  const overrides = next.get(IP_OVERRIDES) ?? settings.text(IP_OVERRIDES);
  const jitterMs = next.has("log.roll.jitter.ms") ? numberOf("log.roll.jitter.ms") : 0;
  return (
    required(rollMs >= 1, "log.roll.ms must be greater than or equal to 1") ??
    required(jitterMs >= 0, "log.roll.jitter.ms must be greater than or equal to 0") ??
    required(
      retentionMs >= 1 || retentionMs === -1,
      "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    ) ??
    required(
      numberOf("log.cleaner.min.compaction.lag.ms") <=
        numberOf("log.cleaner.max.compaction.lag.ms"),
      "log.cleaner.min.compaction.lag.ms must not be above log.cleaner.max.compaction.lag.ms",
    ) ??
    required(
      numberOf("max.connections.per.ip") > 0 || (overrides ?? "") !== "",
      "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property " +
        "is set.",
    )
  );
}

function threadProblem(settings: BrokerSettings, next: Layer): string | null {
  for (const key of THREAD_KEYS) {
    const wanted = Number(next.get(key) ?? NaN);
    const current = Number(settings.text(key));
    const refusal = `Dynamic thread count update validation failed for ${key}=${wanted}, value should`;
    if (wanted < Math.floor(current / 2)) {
      return `${refusal} be at least half the current value ${current}`;
    }
    if (wanted > current * 2) {
      return `${refusal} not be greater than double the current value ${current}`;
    }
  }
  return null;
}
