import { resolve } from "node:path";
import { type Disk, DiskError } from "../../base/disk.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type {
  DescribeLogDirsRequest,
  DescribeLogDirsResponse,
} from "../../protocol/messages/35-describe-log-dirs.ts";
import type { LogManager } from "../../storage/log-manager.ts";
import type { StoredLog } from "../../storage/stored-logs.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

// DescribeLogDirs, versions 1-5 (KIP-113): what lies in which of this node's log directories. 3 added an
// error of the whole answer, 4 the size of the directory's disk (KIP-827), 5 whether new replicas are
// kept away from it (KIP-1066), which nothing does here.

type Directory = DescribeLogDirsResponse["results"][number];
type Topic = Directory["topics"][number];

export interface DescribeLogDirsDependencies {
  readonly logs: Pick<LogManager, "directories" | "storedLogs">;
  readonly disk: Pick<Disk, "statfs">;
}

export function describeLogDirsHandler(
  dependencies: DescribeLogDirsDependencies,
): TypedApiHandler<typeof APIS.describeLogDirs.request, typeof APIS.describeLogDirs.response> {
  const { logs } = dependencies;
  return handlerFor(APIS.describeLogDirs, async (request) => {
    const isWanted = wantedBy(request);
    const spaces = new Map<string, Space | null>();
    for (const { path, isOnline } of logs.directories) {
      if (isOnline) spaces.set(path, await spaceOf(dependencies.disk, path));
    }
    // All in one moment: a log that changes its place is in one of them, and not in two.
    const results = logs.directories.map(({ path }) => {
      const space = spaces.get(path) ?? null;
      return space === null
        ? offline(path)
        : describe(path, logs.storedLogs(path).filter(isWanted), space);
    });
    return { throttleTimeMs: 0, errorCode: errorCode("NONE"), results };
  });
}

/** No list: all partitions. */
function wantedBy({ topics }: DescribeLogDirsRequest): (log: StoredLog) => boolean {
  if (topics === null) return () => true;
  const wanted = new Map<string, Set<number>>();
  for (const { topic, partitions } of topics) {
    const known = wanted.get(topic) ?? new Set();
    wanted.set(topic, known);
    for (const partitionIndex of partitions) known.add(partitionIndex);
  }
  return ({ topic, partitionIndex }) => wanted.get(topic)?.has(partitionIndex) === true;
}

interface Space {
  readonly totalBytes: number;
  readonly usableBytes: number;
}

/** null: the disk refuses even that. */
async function spaceOf(disk: Pick<Disk, "statfs">, path: string): Promise<Space | null> {
  try {
    return await disk.statfs(path);
  } catch (error) {
    if (error instanceof DiskError) return null;
    throw error;
  }
}

function describe(path: string, logs: readonly StoredLog[], space: Space): Directory {
  const topics = new Map<string, Topic>();
  for (const { topic, partitionIndex, sizeBytes, offsetLag, isFuture } of logs) {
    const entry = topics.get(topic) ?? { name: topic, partitions: [] };
    topics.set(topic, entry);
    entry.partitions.push({
      partitionIndex,
      partitionSize: sizeBytes,
      offsetLag,
      isFutureKey: isFuture,
    });
  }
  return {
    errorCode: errorCode("NONE"),
    logDir: resolve(path),
    topics: [...topics.values()],
    totalBytes: space.totalBytes,
    usableBytes: space.usableBytes,
    isCordoned: false,
  };
}

function offline(path: string): Directory {
  return {
    errorCode: errorCode("KAFKA_STORAGE_ERROR"),
    logDir: resolve(path),
    topics: [],
    totalBytes: -1,
    usableBytes: -1,
    isCordoned: false,
  };
}
