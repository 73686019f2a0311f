import { KafkaError } from "../protocol/errors.ts";
import type { LogDirectory } from "./log-directory.ts";

/**
 * The directory for a new log: of those that take anything, one that is not full if there is one, the
 * one with the fewest partitions. Throws KafkaError KAFKA_STORAGE_ERROR.
 */
export function placeNewLog(directories: readonly LogDirectory[]): LogDirectory {
  const online = directories.filter(({ failure }) => failure === null);
  const roomy = online.filter(({ fullness }) => fullness === null);
  const candidates = roomy.length > 0 ? roomy : online;
  const [first] = candidates;
  if (first === undefined) {
    throw new KafkaError("KAFKA_STORAGE_ERROR", "every log directory is offline");
  }
  return candidates.reduce(
    (best, other) => (other.partitions.size < best.partitions.size ? other : best),
    first,
  );
}
