import { loopTurn } from "../../src/base/clock.ts";
import type { Disk } from "../../src/base/disk.ts";
import type { Uuid } from "../../src/base/ids.ts";
import type { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { batchSizeBytes } from "../../src/protocol/records/batch.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { parsePartitionDirectoryName } from "../../src/storage/file-names.ts";
import type { Log } from "../../src/storage/log.ts";
import type { PartitionId } from "../../src/storage/log-manager.ts";
import { Transactions } from "./transactions.ts";
import { checkFiles, checkFlushedFiles } from "./file-invariants.ts";
import { type KnownBatch, knownBatch } from "./history.ts";
import { diskOf, imageDifferences, imageOf } from "./image.ts";
import { Node, type Setup, StillClock, WALL_MS } from "./node.ts";
import type { Image } from "./trace.ts";

/** What a partition's log turned out to hold. */
export interface FoundLog {
  readonly key: string;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly flushedEnd: number;
  readonly batches: readonly KnownBatch[];
}

/** What the product makes of an image; a function of the image alone. */
export interface Outcome {
  /** Invariants that are broken whatever the image's history is; "id: what". */
  readonly violations: readonly string[];
  readonly logs: ReadonlyMap<Uuid, FoundLog>;
  /** The mark of the orderly stop before; null: none. */
  readonly cleanEpoch: number | null;
  readonly metadata: {
    readonly leaderEpoch: number;
    readonly batches: readonly {
      readonly baseOffset: number;
      readonly values: readonly string[];
    }[];
  } | null;
}

const NOTHING: Omit<Outcome, "violations"> = { logs: new Map(), cleanEpoch: null, metadata: null };

/**
 * Starts a node on the image, reads all, kills it, starts it again (S6), lets it append, stop in
 * order and start once more.
 */
export async function probe(image: Image, setup: Setup): Promise<Outcome> {
  const violations: string[] = [];
  try {
    const first = await life(image, setup);
    if (first.found.violations.length > 0) return first.found;
    const second = await life(first.image, setup);
    violations.push(...second.found.violations, ...differences(first, second));
    violations.push(...(await checkFlushedFiles(image, first.found)));
    if (violations.length === 0) violations.push(...(await goOn(second, first.found, setup)));
    return { ...first.found, violations };
  } catch (error) {
    const what = error instanceof Error ? `${String(error)} ${error.stack}` : String(error);
    return { ...NOTHING, violations: [`S6: the node did not start: ${what}`] };
  }
}

/** A node that has started and recovered all, and what the disk was then. */
interface Life {
  readonly disk: MemoryDisk;
  readonly node: Node;
  readonly logs: Logs;
  readonly found: Outcome;
  readonly image: Image;
}

async function life(from: Image, setup: Setup): Promise<Life> {
  const disk = diskOf(from);
  const node = await start(disk, setup);
  const logs = await node.openAll();
  const found = { ...(await readAll(logs)), ...metadataOf(node) };
  await loopTurn();
  return { disk, node, logs, found, image: imageOf(disk) };
}

function start(disk: Disk, setup: Setup): Promise<Node> {
  return Node.start({ disk, clock: new StillClock(), seed: "probe" }, setup);
}

function metadataOf({ manager, raft, committed }: Node): Pick<Outcome, "metadata" | "cleanEpoch"> {
  const { previousBrokerEpoch: cleanEpoch } = manager;
  if (raft === null) return { cleanEpoch, metadata: null };
  const batches = committed
    .filter(({ records }) => records.length > 0)
    .map(({ baseOffset, records }) => ({
      baseOffset,
      values: records.map((value) => value.toString("latin1")),
    }));
  return { cleanEpoch, metadata: { leaderEpoch: raft.leader.leaderEpoch, batches } };
}

type Logs = ReadonlyMap<Uuid, { readonly id: PartitionId; readonly log: Log }>;

async function readAll(logs: Logs): Promise<Pick<Outcome, "violations" | "logs">> {
  const violations: string[] = [];
  const found = new Map<Uuid, FoundLog>();
  for (const [topicId, { id, log }] of logs) {
    const key = `${id.topic}-${id.partitionIndex}`;
    if (log.failure !== null) {
      violations.push(`S16: ${key} is offline after a power cut: ${log.failure.message}`);
      continue;
    }
    const { compacts } = log.config.cleanupPolicy;
    const transactions = new Transactions();
    const batches = await readLog(log, compacts, transactions);
    if (!compacts && log.logStartOffset === 0) {
      for (const text of await transactions.faults(log)) violations.push(`${text} (${key})`);
    }
    found.set(topicId, {
      key,
      startOffset: log.logStartOffset,
      endOffset: log.logEndOffset,
      flushedEnd: log.flushedEndOffset,
      batches,
    });
  }
  return { violations, logs: found };
}

async function readLog(
  log: Log,
  compacts: boolean,
  transactions: Transactions,
): Promise<KnownBatch[]> {
  const batches: KnownBatch[] = [];
  const endOffset = log.logEndOffset;
  for (let offset = log.logStartOffset; offset < endOffset;) {
    const slice = await log.read({ offset, endOffset, maxBytes: 1 << 16, minOneBatch: true });
    // A compacted log may end in a gap; what lacks in another is found by its history.
    if (slice.records.length === 0) return batches;
    for (let at = 0; at < slice.records.length;) {
      const size = batchSizeBytes(slice.records, at);
      const bytes = slice.records.subarray(at, at + size);
      batches.push(knownBatch(bytes, compacts));
      transactions.note(bytes);
      at += size;
    }
    offset = slice.nextOffset;
  }
  return batches;
}

/** S6: whatever the first recovery did, the second finds it done. */
function differences(first: Life, second: Life): string[] {
  const found = imageDifferences(first.image, second.image).filter(
    (text) => !/quorum-state|__cluster_metadata-0/.test(text),
  );
  for (const [topicId, log] of first.found.logs) {
    const again = second.found.logs.get(topicId);
    const isSame =
      again?.startOffset === log.startOffset &&
      again.endOffset === log.endOffset &&
      again.batches.length === log.batches.length &&
      again.batches.every(({ digest }, index) => digest === log.batches[index]?.digest);
    if (!isSame) found.push(`${log.key} holds something else`);
  }
  return found.map((text) => `S6: after a second recovery ${text}`);
}

/** The log takes batches again, stops in order and is found as it was left. */
async function goOn(
  { disk, node, logs, image }: Life,
  before: Outcome,
  setup: Setup,
): Promise<string[]> {
  const appended: KnownBatch[] = [];
  for (const [topicId, { log }] of logs) {
    const batch = probeBatch();
    log.append(batch, { leaderEpoch: Math.max(0, log.latestLeaderEpoch), origin: "client" });
    appended.push(knownBatch(batch, false));
    await log.flush();
    if (before.logs.get(topicId)?.endOffset !== appended.at(-1)?.offset) {
      return [`S3: ${topicId} goes on at offset ${appended.at(-1)?.offset}`];
    }
  }
  await node.close(7);
  const left = imageOf(disk);
  const violations = await checkFiles(left, before);
  const { found: last } = await life(left, setup);
  violations.push(...last.violations);
  // What nobody could open still has to be recovered: such a stop is not clean.
  const isAllOpened = partitionDirectoriesOf(image, setup).length === logs.size;
  if (isAllOpened && last.cleanEpoch !== 7)
    violations.push("R5: an orderly stop is not found clean");
  for (const [index, [topicId, { id }]] of [...logs].entries()) {
    const { batches = [] } = before.logs.get(topicId) ?? {};
    const expected = [...batches, appended[index]].map((batch) => batch?.digest).join(" ");
    const found = last.logs.get(topicId)?.batches.map(({ digest }) => digest);
    if (found?.join(" ") !== expected) {
      violations.push(`S3: ${id.topic}-${id.partitionIndex} changed over an orderly stop`);
    }
  }
  return violations;
}

function probeBatch(): Buffer {
  return buildBatch({
    timestampMs: WALL_MS,
    records: [{ key: Buffer.from("probe"), value: Buffer.from("probe") }],
  });
}

function partitionDirectoriesOf({ directories }: Image, { logDirs }: Setup): readonly string[] {
  return directories.filter((path) => {
    const at = path.lastIndexOf("/");
    const id = parsePartitionDirectoryName(path.slice(at + 1));
    return id !== null && id.topic !== "__cluster_metadata" && logDirs.includes(path.slice(0, at));
  });
}
