import type { Setting } from "./config-properties.ts";

const PREFIX = "KAFKA_";

/** Variables of Kafka's docker image that are no settings: they are for Java and its logging. */
const OTHERS: ReadonlySet<string> = new Set([
  "KAFKA_GC_LOG_OPTS",
  "KAFKA_HEAP_OPTS",
  "KAFKA_JMX_HOSTNAME",
  "KAFKA_JMX_OPTS",
  "KAFKA_JVM_PERFORMANCE_OPTS",
  "KAFKA_LOG4J_LOGGERS",
  "KAFKA_LOG4J_OPTS",
  "KAFKA_LOG4J_ROOT_LOGLEVEL",
  "KAFKA_OPTS",
  "KAFKA_TOOLS_LOG4J_LOGLEVEL",
  "KAFKA_VERSION",
]);

/**
 * The settings among environment variables, by the rule of Kafka's docker image: `KAFKA_` and the key in
 * capitals, with `_` for a dot, `__` for an underscore and `___` for a dash. CLUSTER_ID is what that image
 * formats directories with.
 */
export function environmentSettings(
  environment: Readonly<Record<string, string | undefined>>,
): readonly Setting[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    const key = name === "CLUSTER_ID" ? "holdfast.cluster.id" : keyOf(name);
    return value === undefined || key === null ? [] : [{ key, value: value.trim(), where: name }];
  });
}

/** null: it is no setting. */
function keyOf(name: string): string | null {
  if (!name.startsWith(PREFIX) || OTHERS.has(name)) return null;
  return name
    .slice(PREFIX.length)
    .toLowerCase()
    .replaceAll("_", ".")
    .replaceAll("...", "-")
    .replaceAll("..", "_");
}
