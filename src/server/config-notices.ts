import { isListenerLimitKey } from "./config-connection-limits.ts";
import {
  allKeys,
  type BrokerConfig,
  type BrokerValues,
  isConfigKey,
  specOf,
} from "./config-keys.ts";
import { controllerEndPoints, listenerSettings } from "./config-listeners.ts";
import { type BrokerSettings, CONFIG_SOURCES } from "./config-layers.ts";
import { isLoneNode } from "./config-quorum.ts";
import { isRefusedKey } from "./config-refused-keys.ts";
import type { Setting } from "./config-properties.ts";

/** Something about the settings that the user should know, said once at the start. */
export interface Notice {
  readonly level: "info" | "warn";
  readonly message: string;
}

/** What is to be said of settings that were taken. */
export function noticesOf(
  config: BrokerConfig,
  given: ReadonlyMap<string, Setting>,
): readonly Notice[] {
  const ofLoneNode = [...controllers(config), ...replicationFactors(config)];
  return [...withoutEffect(given), ...(isLoneNode(config, config.hostName) ? ofLoneNode : [])];
}

/**
 * What was set while the cluster ran and goes before this node's properties, so that nobody looks for a
 * line there that does not count; null: nothing.
 */
export function overruledNotice(settings: BrokerSettings): string | null {
  const { cluster, broker } = settings.dynamic;
  const overruled = [...new Set([...cluster.keys(), ...broker.keys()])].flatMap((key) => {
    const [holds, ...others] = settings.synonyms(key);
    const own = others.find(({ source }) => source === CONFIG_SOURCES.staticBroker);
    if (holds === undefined || own === undefined) return [];
    if (own.name === key && own.value === holds.value) return [];
    return [`${key}=${holds.value} goes before ${own.name}=${own.value} of the properties`];
  });
  if (overruled.length === 0) return null;
  return (
    `set while the cluster ran: ${overruled.join("; ")} ` +
    "(kafka-configs --entity-type brokers --alter --delete-config takes it back)"
  );
}

/** A key that is in no table, with the one that was probably meant. */
export function unknownKey({ key, where }: Setting): string {
  const nearest = nearestKey(key);
  const hint = nearest === null ? "" : `; did you mean ${nearest}?`;
  return `${key} (${where}) is not a setting that this broker knows${hint}`;
}

/** The known key that is written almost so; null: none is. */
export function nearestKey(key: string): string | null {
  const [nearest] = [...allKeys()]
    .filter(([name, { isInternal }]) => !isInternal && !isRefusedKey(name))
    .map(([name]) => ({ name, distance: editDistance(key, name) }))
    .sort((a, b) => a.distance - b.distance);
  const isNear = nearest !== undefined && nearest.distance <= Math.max(2, key.length / 4);
  return isNear ? nearest.name : null;
}

/** One line for each reason. */
function withoutEffect(given: ReadonlyMap<string, Setting>): readonly Notice[] {
  const keysByReason = new Map<string, string[]>();
  for (const key of given.keys()) {
    const spec = specOf(key);
    if (spec === undefined || isConfigKey(key) || isRefusedKey(key)) continue;
    if (isListenerLimitKey(key)) continue;
    keysByReason.set(spec.doc, [...(keysByReason.get(spec.doc) ?? []), key]);
  }
  return [...keysByReason].map(([doc, keys]) => ({
    level: "info",
    message: `${keys.join(", ")}: ${doc.charAt(0).toLowerCase()}${doc.slice(1, -1)}`,
  }));
}

function controllers(values: BrokerValues): readonly Notice[] {
  return controllerEndPoints(listenerSettings(values)).map(({ name, host, port }) => ({
    level: "info",
    message: `listener ${name}://${host}:${port} is not opened: a lone node needs no controller port`,
  }));
}

/** They are kept as they are, since they say what data is worth; but a lone node cannot meet them. */
function replicationFactors(values: BrokerValues): readonly Notice[] {
  const notices: Notice[] = [];
  const topics = values["default.replication.factor"];
  if (topics > 1) {
    notices.push({
      level: "warn",
      message:
        `default.replication.factor=${topics}, and this is a lone node: a topic that does not name ` +
        "its replicas is refused; set default.replication.factor=1",
    });
  }
  const offsets = values["offsets.topic.replication.factor"];
  if (offsets > 1) {
    notices.push({
      level: "warn",
      message:
        `offsets.topic.replication.factor=${offsets}, and this is a lone node: consumer groups find ` +
        "no coordinator unless __consumer_offsets is there; set offsets.topic.replication.factor=1",
    });
  }
  return notices;
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
