import {
  BOOLEAN,
  type ConfigType,
  ConfigValueError,
  intType,
  invalid,
  oneOfType,
  STRING,
} from "../config-types.ts";
import { type ItemError, itemError } from "./controller.ts";
import type { ConfigImage } from "./image.ts";

/** One key of a group. */
export interface GroupConfigSpec {
  readonly type: ConfigType<unknown>;
  /** What holds where the broker has no key of that meaning. */
  readonly defaultText: string | null;
  /** The keys of the broker that bound it. */
  readonly min: string | null;
  readonly max: string | null;
  readonly doc: string;
}

/** What of share.auto.offset.reset is a duration, as java.time.Duration reads one. */
const DURATION = /^by_duration:P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/i;

const AUTO_OFFSET_RESET: ConfigType<string> = {
  ...STRING,
  allowed: "earliest, latest or by_duration:PnDTnHnMn.nS",
  parse: (name, text) => {
    const value = text.trim();
    if (value === "earliest" || value === "latest" || DURATION.test(value)) return value;
    throw invalid(
      name,
      text,
      `Invalid value \`${value}\` for configuration ${name}. The value must be either 'earliest', ` +
        "'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
    );
  },
};

/** Every key that a group has in Kafka 4.3. Kept and told; the protocols that they tune are not built yet. */
export const GROUP_CONFIGS: Readonly<Record<string, GroupConfigSpec>> = {
  "consumer.assignment.interval.ms": bounded("consumer", "assignment.interval.ms", 0),
  "consumer.heartbeat.interval.ms": bounded("consumer", "heartbeat.interval.ms", 1),
  "consumer.session.timeout.ms": bounded("consumer", "session.timeout.ms", 1),
  "share.assignment.interval.ms": bounded("share", "assignment.interval.ms", 0),
  "share.auto.offset.reset": own("share groups", AUTO_OFFSET_RESET, "latest"),
  "share.delivery.count.limit": bounded("share", "delivery.count.limit", 1),
  "share.heartbeat.interval.ms": bounded("share", "heartbeat.interval.ms", 1),
  "share.isolation.level": own(
    "share groups",
    oneOfType(["read_committed", "read_uncommitted"]),
    "read_uncommitted",
  ),
  "share.partition.max.record.locks": bounded("share", "partition.max.record.locks", 1),
  "share.record.lock.duration.ms": bounded("share", "record.lock.duration.ms", 1000),
  "share.renew.acknowledge.enable": own("share groups", BOOLEAN, "true"),
  "share.session.timeout.ms": bounded("share", "session.timeout.ms", 1),
  "streams.assignment.interval.ms": bounded("streams", "assignment.interval.ms", 0),
  "streams.heartbeat.interval.ms": bounded("streams", "heartbeat.interval.ms", 1),
  "streams.initial.rebalance.delay.ms": {
    ...bounded("streams", "initial.rebalance.delay.ms", 0),
    min: null,
    max: null,
  },
  "streams.num.standby.replicas": {
    ...bounded("streams", "num.standby.replicas", 0),
    min: null,
    max: "group.streams.max.standby.replicas",
  },
  "streams.session.timeout.ms": bounded("streams", "session.timeout.ms", 1),
};

/** The broker's key that gives the group's key its default. */
export function brokerKeyOf(key: string): string {
  return `group.${key}`;
}

/** Why a group may not have these settings, in Kafka's words; null when it may. */
export function groupConfigProblem(
  group: string,
  configs: ConfigImage,
  brokerText: (key: string) => string | null,
): ItemError | null {
  if (group === "") return itemError("INVALID_REQUEST", "Default group resources are not allowed.");
  const problem =
    valueProblem(configs) ??
    boundsProblem(configs, brokerText) ??
    sessionProblem(configs, brokerText);
  return problem === null ? null : itemError("INVALID_CONFIG", problem);
}

function valueProblem(configs: ConfigImage): string | null {
  try {
    for (const [key, text] of configs) {
      const spec = GROUP_CONFIGS[key];
      if (spec === undefined) return `Unknown group config name: ${key}`;
      spec.type.parse(key, text);
    }
    return null;
  } catch (error) {
    if (error instanceof ConfigValueError) return error.message;
    throw error;
  }
}

function boundsProblem(
  configs: ConfigImage,
  brokerText: (key: string) => string | null,
): string | null {
  for (const [key, text] of configs) {
    const { min = null, max = null } = GROUP_CONFIGS[key] ?? {};
    if (min !== null && Number(text) < Number(brokerText(min) ?? -Infinity)) {
      return `${key} must be greater than or equal to ${min}`;
    }
    if (max !== null && Number(text) > Number(brokerText(max) ?? Infinity)) {
      return `${key} must be less than or equal to ${max}`;
    }
  }
  return null;
}

/** A member that is heard of more seldom than it may be silent would always be thrown out. */
function sessionProblem(
  configs: ConfigImage,
  brokerText: (key: string) => string | null,
): string | null {
  const numberOf = (key: string): number =>
    Number(configs.get(key) ?? brokerText(brokerKeyOf(key)) ?? 0);
  for (const protocol of ["consumer", "share", "streams"]) {
    const session = `${protocol}.session.timeout.ms`;
    const heartbeat = `${protocol}.heartbeat.interval.ms`;
    if (!configs.has(session) && !configs.has(heartbeat)) continue;
    if (numberOf(session) <= numberOf(heartbeat)) {
      return `${session} must be greater than ${heartbeat}`;
    }
  }
  return null;
}

function bounded(protocol: string, rest: string, min: number): GroupConfigSpec {
  return {
    type: intType({ min }),
    defaultText: null,
    min: `group.${protocol}.min.${rest}`,
    max: `group.${protocol}.max.${rest}`,
    doc: `No effect: the group protocol of ${protocol} groups is not built yet.`,
  };
}

function own(what: string, type: ConfigType<unknown>, defaultText: string): GroupConfigSpec {
  return { type, defaultText, min: null, max: null, doc: `No effect: ${what} are not built yet.` };
}
