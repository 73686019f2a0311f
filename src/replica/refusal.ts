import { DiskError } from "../base/disk.ts";
import { KafkaError } from "../protocol/errors.ts";

/**
 * What a client is told when reading or writing its partition failed with `error`. Anything but a
 * refusal and a failing disk is a bug, and is thrown on.
 */
export function refusalOf(error: unknown): KafkaError {
  if (error instanceof KafkaError) return error;
  if (error instanceof DiskError) {
    return new KafkaError("KAFKA_STORAGE_ERROR", undefined, { cause: error });
  }
  throw error;
}
