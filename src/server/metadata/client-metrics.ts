import {
  type ConfigType,
  ConfigValueError,
  intType,
  listType,
  splitList,
} from "../config-types.ts";
import { type ItemError, itemError } from "./controller.ts";
import type { ConfigImage } from "./image.ts";

/** One key of a subscription. */
export interface ClientMetricsSpec {
  readonly type: ConfigType<unknown>;
  readonly defaultText: string;
  readonly doc: string;
}

/** What a subscription of client metrics has (KIP-714). Kept and told; no client is asked for metrics yet. */
export const CLIENT_METRICS_CONFIGS: Readonly<Record<string, ClientMetricsSpec>> = {
  "interval.ms": {
    type: intType({}),
    defaultText: "300000",
    doc: "How often clients send metrics. No effect: they are not asked yet.",
  },
  match: {
    type: listType(),
    defaultText: "",
    doc: "Which clients send metrics. No effect: they are not asked yet.",
  },
  metrics: {
    type: listType(),
    defaultText: "",
    doc: "Prefixes of the metrics that clients send. No effect: they are not asked yet.",
  },
};

const MATCH_KEYS: ReadonlySet<string> = new Set([
  "client_instance_id",
  "client_id",
  "client_software_name",
  "client_software_version",
  "client_source_address",
  "client_source_port",
]);

/** Why a subscription may not be so, in Kafka's words; null when it may. */
export function clientMetricsProblem(name: string, configs: ConfigImage): ItemError | null {
  if (name === "") return itemError("INVALID_REQUEST", "Subscription name can't be empty");
  for (const key of configs.keys()) {
    if (Object.hasOwn(CLIENT_METRICS_CONFIGS, key)) continue;
    return itemError("INVALID_REQUEST", `Unknown client metrics configuration: ${key}`);
  }
  const problem = valueProblem(configs);
  if (problem !== null) return itemError("INVALID_CONFIG", problem);
  const intervalMs = Number(configs.get("interval.ms") ?? 1000);
  if (intervalMs < 100 || intervalMs > 3_600_000) {
    return itemError(
      "INVALID_REQUEST",
      `Invalid value ${intervalMs} for interval.ms, interval must be between 100 and 3600000 (1 hour)`,
    );
  }
  const illegal = splitList(configs.get("match") ?? "").find((pattern) => !isPattern(pattern));
  return illegal === undefined
    ? null
    : itemError("INVALID_CONFIG", `Illegal client matching pattern: ${illegal}`);
}

function valueProblem(configs: ConfigImage): string | null {
  try {
    for (const [key, text] of configs) CLIENT_METRICS_CONFIGS[key]?.type.parse(key, text);
    return null;
  } catch (error) {
    if (error instanceof ConfigValueError) return error.message;
    throw error;
  }
}

function isPattern(text: string): boolean {
  const parts = text.split("=");
  const [key, pattern] = parts;
  if (parts.length !== 2 || key === undefined || pattern === undefined) return false;
  if (!MATCH_KEYS.has(key.trim())) return false;
  try {
    new RegExp(pattern.trim());
    return true;
  } catch {
    return false;
  }
}
