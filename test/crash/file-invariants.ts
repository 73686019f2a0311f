import { must } from "../../src/base/assert.ts";
import {
  batchBaseOffset,
  batchLeaderEpoch,
  BATCH_OVERHEAD,
  batchSizeBytes,
  isControl,
} from "../../src/protocol/records/batch.ts";
import type { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { decodeOffsetCheckpoint } from "../../src/storage/checkpoint.ts";
import {
  EPOCH_CHECKPOINT,
  offsetFileName,
  parsePartitionDirectoryName,
  PARTITION_METADATA,
} from "../../src/storage/file-names.ts";
import type { PartitionId } from "../../src/storage/log-manager.ts";
import { decodePartitionMetadata } from "../../src/storage/partition-metadata.ts";
import { listLogFiles, loadLeaderEpochs } from "../../src/storage/log-files.ts";
import { decodeProducerSnapshot } from "../../src/storage/producer-snapshot.ts";
import { ProducerState } from "../../src/storage/producer-state.ts";
import { scanIndexes } from "../../src/storage/segment-indexes.ts";
import {
  type AbortedTransaction,
  decodeTxnIndex,
  encodeTxnIndex,
} from "../../src/storage/txn-index.ts";
import { diskOf } from "./image.ts";
import { SMALL_CONFIG, StillClock } from "./node.ts";
import type { Outcome } from "./probe.ts";
import type { Image } from "./trace.ts";

const KNOWN_NAMES = new RegExp(
  `^(\\d{20}\\.(log|index|timeindex|txnindex|snapshot)|${EPOCH_CHECKPOINT}|${PARTITION_METADATA})$`,
);

/** What must hold of the files of a node that has stopped in order. */
export async function checkFiles(image: Image, before: Outcome): Promise<string[]> {
  const violations: string[] = [];
  const disk = diskOf(image);
  for (const { key, compacts, startOffset } of before.logs.values()) {
    const directory = must(
      image.directories.find((path) => path.endsWith(`/${key}`)),
      "an open log has its directory",
    );
    const say = (id: string, text: string): unknown => violations.push(`${id}: ${key}: ${text}`);
    for (const name of await disk.list(directory)) {
      if (!KNOWN_NAMES.test(name)) say("S15", `${name} was left behind`);
    }
    const files = must(await listLogFiles(disk, directory), "the directory is there");
    for (const [index, base] of files.segmentBases.entries()) {
      // Nobody reads what DeleteRecords has answered for; retention removes it.
      if ((files.segmentBases[index + 1] ?? Infinity) <= startOffset) continue;
      if (!(await areIndexesRight(disk, directory, base, compacts)))
        say("S9", `the indexes of ${base}`);
    }
    for (const text of await epochFaults(disk, directory, files.segmentBases)) say("S10", text);
    for (const text of await producerFaults(disk, directory, files)) say("S11", text);
  }
  violations.push(...checkpointFaults(image, before, 1));
  return violations;
}

/**
 * What must hold of files below a recovery point, after any power cut: else work after a crash would
 * not be proportional to what was not flushed (S9, S10, S11).
 */
export async function checkFlushedFiles(image: Image, found: Outcome): Promise<string[]> {
  const violations = checkpointFaults(image, found, 0);
  const disk = diskOf(image);
  for (const [path, content] of image.files) {
    if (!path.endsWith("/recovery-point-offset-checkpoint")) continue;
    for (const { topic, partitionIndex, offset } of decodeOrNothing(content)) {
      const directory = path.replace(/[^/]*$/, `${topic}-${partitionIndex}`);
      // In the middle of a swap the new indexes lie beside the old batches; recovery ends it first.
      if ([...image.files.keys()].some((file) => isInSwap(file, directory))) continue;
      const { compacts = false } =
        [...found.logs.values()].find(({ key }) => directory.endsWith(`/${key}`)) ?? {};
      const files = await listLogFiles(disk, directory);
      const bases = files?.segmentBases ?? [];
      const say = (id: string, text: string): unknown =>
        violations.push(`${id}: ${directory} below its recovery point ${offset}: ${text}`);
      const hasBatches = (bases[0] ?? Infinity) < offset;
      if (hasBatches && (await loadLeaderEpochs(disk, directory)) === null) {
        say("S10", "the leader epochs");
      }
      for (const [index, base] of bases.entries()) {
        const next = bases[index + 1];
        if (next === undefined || next >= offset) break;
        // Names become durable in any order: of a segment that retention removes some may be gone.
        const isBeingRemoved = index === 0 && !hasIndexes(image, directory, base);
        if (!isBeingRemoved && !(await areIndexesRight(disk, directory, base, compacts))) {
          say("S9", `the indexes of ${base}`);
        }
        const snapshot = image.files.get(`${directory}/${offsetFileName(next, ".snapshot")}`);
        if (!isWholeSnapshot(snapshot)) say("S11", `the snapshot of ${next}`);
      }
    }
  }
  return violations;
}

/**
 * S15: no segment lies in a directory that cannot say whose it is, which would be taken for a stray; but
 * for one that the cluster knows, whose bits may have rotten.
 */
export function strayFaults({ files }: Image, known: readonly PartitionId[]): string[] {
  const directories = new Set(
    [...files.keys()].flatMap((path) => /^(.*)\/\d{20}\.log$/.exec(path)?.[1] ?? []),
  );
  for (const { topic, partitionIndex } of known) {
    for (const path of directories) {
      if (path.endsWith(`/${topic}-${partitionIndex}`)) directories.delete(path);
    }
  }
  return [...directories]
    .filter((path) => parsePartitionDirectoryName(path.slice(path.lastIndexOf("/") + 1)) !== null)
    .filter((path) => !isWhole(files.get(`${path}/${PARTITION_METADATA}`), decodePartitionMetadata))
    .map((path) => `S15: ${path} holds a segment, and cannot say whose it is`);
}

/**
 * R5, S15: Kafka believes the mark of an orderly stop and appends where the files end, so each log ends
 * with a batch there, and not in zeros behind it.
 */
export function cleanEndFaults({ files }: Image): string[] {
  return [...files.keys()].flatMap((markPath) => {
    if (!markPath.endsWith("/.kafka_cleanshutdown")) return [];
    const logDirectory = markPath.slice(0, markPath.lastIndexOf("/"));
    const lastPaths = new Map<string, string>();
    for (const path of [...files.keys()].sort()) {
      const [, directory = "", name = ""] = /^(.*)\/([^/]+)\/\d{20}\.log$/.exec(path) ?? [];
      const isPartition = directory === logDirectory && parsePartitionDirectoryName(name) !== null;
      if (isPartition && name !== "__cluster_metadata-0") lastPaths.set(name, path);
    }
    return [...lastPaths.values()]
      .filter((path) => !endsWithBatch(must(files.get(path), "it was listed")))
      .map((path) => `S15: the stop was orderly, and ${path} does not end with a batch`);
  });
}

function endsWithBatch(bytes: Buffer): boolean {
  let at = 0;
  while (at + BATCH_OVERHEAD <= bytes.length && batchSizeBytes(bytes, at) >= BATCH_OVERHEAD) {
    at += batchSizeBytes(bytes, at);
  }
  return at === bytes.length;
}

function hasIndexes({ files }: Image, directory: string, base: number): boolean {
  return ([".index", ".timeindex"] as const).every((suffix) =>
    files.has(`${directory}/${offsetFileName(base, suffix)}`),
  );
}

/** S9: what is stored is what the batches give. */
async function areIndexesRight(
  disk: MemoryDisk,
  directory: string,
  base: number,
  compacts: boolean,
): Promise<boolean> {
  const path = (suffix: ".log" | ".index" | ".timeindex"): string =>
    `${directory}/${offsetFileName(base, suffix)}`;
  const file = await disk.open(path(".log"));
  const { indexes } = await scanIndexes(
    { file, clock: new StillClock() },
    {
      baseOffset: base,
      endPosition: await file.size(),
      intervalBytes: SMALL_CONFIG.indexIntervalBytes,
      checksCrc: false,
    },
  );
  indexes.noteEnd();
  const pairs = [
    { path: path(".index"), bytes: indexes.offsets.bytes },
    { path: path(".timeindex"), bytes: indexes.times.bytes },
  ];
  const stored = disk.files();
  const areStored = pairs.every(({ path: name, bytes }) => {
    const content = stored.get(name);
    return content?.equals(bytes.content.subarray(0, bytes.sizeBytes)) === true;
  });
  return areStored && isTxnIndexRight(stored, directory, base, compacts);
}

/**
 * Where there is none, none of the transactions that end here was aborted. After a compaction the
 * marker of one may stay longer than its batches.
 */
function isTxnIndexRight(
  stored: ReadonlyMap<string, Buffer>,
  directory: string,
  base: number,
  compacts: boolean,
): boolean {
  const path = (suffix: ".log" | ".txnindex" | ".snapshot"): string =>
    `${directory}/${offsetFileName(base, suffix)}`;
  const before = stored.get(path(".snapshot"));
  // Whether it has to be whole is looked at where the segment before it ends.
  if (base > 0 && !isWholeSnapshot(before)) return true;
  const producers =
    base === 0
      ? new ProducerState()
      : ProducerState.restore(decodeProducerSnapshot(must(before, "it is whole")), 0);
  const aborted: AbortedTransaction[] = [];
  const markers = new Set<number>();
  const bytes = must(stored.get(path(".log")), "it was listed");
  for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
    const completed = producers.update(bytes, at, 0);
    if (isControl(bytes, at)) markers.add(batchBaseOffset(bytes, at));
    if (completed?.isAborted === true) aborted.push(completed);
  }
  const content = stored.get(path(".txnindex")) ?? Buffer.alloc(0);
  if (content.equals(encodeTxnIndex(aborted))) return true;
  return compacts && decodeTxnIndex(content).every(({ lastOffset }) => markers.has(lastOffset));
}

/** S10: the stored epochs strictly rise (the decoder refuses others), and are those of the batches. */
async function epochFaults(
  disk: MemoryDisk,
  directory: string,
  segmentBases: readonly number[],
): Promise<string[]> {
  const stored = await loadLeaderEpochs(disk, directory);
  if (stored === null) return ["the leader epochs cannot be read"];
  const { epochs } = stored;
  const faults: string[] = [];
  let endOffset = 0;
  forEachBatch(disk, directory, segmentBases, (bytes, at) => {
    const offset = batchBaseOffset(bytes, at);
    const epoch = batchLeaderEpoch(bytes, at);
    endOffset = offset;
    if (epochs.epochAt(offset) !== epoch) {
      faults.push(`offset ${offset} is of epoch ${epoch}, the file says ${epochs.epochAt(offset)}`);
    }
  });
  if ((epochs.entries.at(-1)?.startOffset ?? 0) > endOffset)
    faults.push("an epoch is past the end");
  return faults;
}

/** S11: the snapshot of an orderly stop knows all that the batches that are left tell. */
async function producerFaults(
  disk: MemoryDisk,
  directory: string,
  files: { readonly segmentBases: readonly number[]; readonly snapshotOffsets: readonly number[] },
): Promise<string[]> {
  const [newest] = files.snapshotOffsets;
  if (newest === undefined) return ["there is no snapshot after an orderly stop"];
  const stored = disk.files().get(`${directory}/${offsetFileName(newest, ".snapshot")}`);
  const replayed = new ProducerState();
  forEachBatch(disk, directory, files.segmentBases, (bytes, at) => replayed.update(bytes, at, 0));
  const known = new Set(decodeProducerSnapshot(must(stored, "it was listed")).map(textOf));
  const lacking = replayed.snapshot().find((entry) => !known.has(textOf(entry)));
  await Promise.resolve();
  return lacking === undefined ? [] : [`the snapshot lacks ${textOf(lacking)}`];
}

function textOf(entry: object): string {
  return JSON.stringify(entry, (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
}

function isInSwap(path: string, directory: string): boolean {
  return path.startsWith(`${directory}/`) && path.endsWith(".swap");
}

function isWholeSnapshot(content: Buffer | undefined): boolean {
  return isWhole(content, decodeProducerSnapshot);
}

function isWhole(content: Buffer | undefined, decode: (content: Buffer) => unknown): boolean {
  if (content === undefined) return false;
  try {
    decode(content);
    return true;
  } catch {
    // Handled: that it cannot be read is the finding.
    return false;
  }
}

/** S12: the checkpoints lie between start and end. */
function checkpointFaults(image: Image, { logs }: Outcome, appendedCount: number): string[] {
  const byKey = new Map([...logs.values()].map((log) => [log.key, log]));
  return [...image.files].flatMap(([path, content]) => {
    const name = /\/((?:recovery-point|log-start)-offset-checkpoint)$/.exec(path)?.[1];
    if (name === undefined) return [];
    return decodeOrNothing(content).flatMap(({ topic, partitionIndex, offset }) => {
      const log = byKey.get(`${topic}-${partitionIndex}`);
      if (log === undefined || offset <= log.endOffset + appendedCount) return [];
      return [`S12: ${name} says ${offset} of ${log.key}, which ends at ${log.endOffset}`];
    });
  });
}

/** The entries of a checkpoint; none of a damaged one. */
export function decodeOrNothing(content: Buffer): ReturnType<typeof decodeOffsetCheckpoint> {
  try {
    return decodeOffsetCheckpoint(content);
  } catch {
    // Handled: a checkpoint is replaced whole, so the probe's own reading of it has told already.
    return [];
  }
}

function forEachBatch(
  disk: MemoryDisk,
  directory: string,
  segmentBases: readonly number[],
  visit: (bytes: Buffer, at: number) => void,
): void {
  const files = disk.files();
  for (const base of segmentBases) {
    const bytes = must(files.get(`${directory}/${offsetFileName(base, ".log")}`), "it was listed");
    for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) visit(bytes, at);
  }
}
