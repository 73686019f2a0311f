import { DEFAULT_LOG_CONFIG, type LogDependencies } from "./log-config.ts";
import type { LogDirectory } from "./log-directory.ts";
import { Log } from "./log.ts";

/**
 * Recovers a partition of a directory that nobody has opened, since nobody knows its topic, and leaves
 * it closed in order: it keeps the next stop from being clean no more. Throws DiskError.
 */
export async function recoverUnopened(
  dependencies: LogDependencies,
  directory: LogDirectory,
  key: string,
): Promise<void> {
  const stored = directory.partitions.get(key);
  if (stored === undefined || directory.logs.has(key)) return;
  const log = await Log.open(
    { ...dependencies, parentSync: directory.sync },
    {
      directory: `${directory.path}/${key}`,
      config: DEFAULT_LOG_CONFIG,
      ...directory.checkpointsOf(stored),
    },
  );
  await log.close();
  if (log.failure !== null) throw log.failure;
  directory.recovered.add(key);
}
