import type { IncrementalAlterConfigsRequest } from "../protocol/messages/44-incremental-alter-configs.ts";
import { isLogLevel, LOG_LEVELS, type LogLevels, ROOT_LOGGER } from "./log-levels.ts";
import { operationOf } from "./metadata/config-operations.ts";
import { type ItemError, itemError } from "./metadata/controller.ts";

type Resource = IncrementalAlterConfigsRequest["resources"][number];
type Change = Resource["configs"][number];

/** Changes log levels (KIP-412): all that are named or none. Null, or why not, in Kafka's words. */
export function alterLoggers(
  logLevels: LogLevels | null,
  { resourceName, configs }: Resource,
  options: { readonly nodeId: number; readonly validateOnly: boolean },
): ItemError | null {
  const nodeProblem = nodeIdProblem(resourceName, options.nodeId, "node id. Expected");
  if (nodeProblem !== null) return itemError("INVALID_REQUEST", nodeProblem);
  for (const change of configs) {
    const error = changeProblem(logLevels, change);
    if (error !== null) return error;
  }
  if (options.validateOnly) return null;
  // DELETE of the one logger that there is was refused above.
  for (const { name, value } of configs) {
    if (value !== null && isLogLevel(value)) logLevels?.set(name, value);
  }
  return null;
}

/** Why the name of a broker's resource is not this node's; null when it is. */
export function nodeIdProblem(name: string, nodeId: number, unexpected: string): string | null {
  if (!/^[+-]?\d+$/.test(name)) return `Node id must be an integer, but it is: ${name}`;
  return Number(name) === nodeId
    ? null
    : `Unexpected ${unexpected} ${nodeId}, but received ${name}`;
}

function changeProblem(logLevels: LogLevels | null, change: Change): ItemError | null {
  const { name, value, configOperation } = change;
  const operation = operationOf(configOperation);
  if (operation === null) {
    return itemError(
      "INVALID_REQUEST",
      `Unknown operation type ${configOperation} is not allowed for the BROKER_LOGGER resource`,
    );
  }
  if (operation === "APPEND" || operation === "SUBTRACT") {
    const message = `${operation} operation is not allowed for the BROKER_LOGGER resource`;
    return itemError("INVALID_REQUEST", message);
  }
  if (logLevels?.all().has(name) !== true) {
    return itemError("INVALID_CONFIG", `Logger ${name} does not exist!`);
  }
  if (operation === "DELETE") {
    const message = `Removing the log level of the ${ROOT_LOGGER} logger is not allowed`;
    return itemError("INVALID_REQUEST", message);
  }
  if (value !== null && isLogLevel(value)) return null;
  return itemError(
    "INVALID_CONFIG",
    `Cannot set the log level of ${name} to ${value} as it is not a supported log level. ` +
      `Valid log levels are ${[...LOG_LEVELS].sort().join(", ")}`,
  );
}
