import { must } from "../../src/base/assert.ts";
import { loopTurn } from "../../src/base/clock.ts";
import type { Disk } from "../../src/base/disk.ts";
import type { Uuid } from "../../src/base/ids.ts";
import type { MemoryDisk } from "../../src/sim/memory-disk.ts";
import { buildBatch } from "../../src/protocol/records/batch-builder.ts";
import { parsePartitionDirectoryName } from "../../src/storage/file-names.ts";
import type { Log } from "../../src/storage/log.ts";
import type { PartitionId } from "../../src/storage/log-manager.ts";
import { readFaults, readLog } from "./reads.ts";
import { Transactions } from "./transactions.ts";
import {
  checkFiles,
  checkFlushedFiles,
  cleanEndFaults,
  decodeOrNothing,
  strayFaults,
} from "./file-invariants.ts";
import { type KnownBatch, knownBatch } from "./history.ts";
import { diskOf, hashOfKey, imageDifferences, imageKey, imageOf } from "./image.ts";
import { Node, type Setup, StillClock, WALL_MS } from "./node.ts";
import type { Image } from "./trace.ts";

/** What a partition's log turned out to hold. */
export interface FoundLog {
  readonly key: string;
  /** The log directory that it lies in. */
  readonly path: string;
  readonly compacts: boolean;
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
  /** What was on its way to another log directory. */
  readonly moves: readonly { readonly topicId: Uuid | null; readonly path: string }[];
  /** The mark of the orderly stop before; null: none. */
  readonly cleanEpoch: number | null;
  readonly metadata: {
    readonly leaderEpoch: number;
    /** Up to where it was noted to be durable. */
    readonly notedEnd: number;
    readonly batches: readonly {
      readonly baseOffset: number;
      readonly values: readonly string[];
    }[];
  } | null;
}

const NOTHING: Omit<Outcome, "violations"> = {
  logs: new Map(),
  moves: [],
  cleanEpoch: null,
  metadata: null,
};

/** An image that was looked at. */
export interface Probed {
  /** Equal for equal images in all processes. */
  readonly hash: string;
  readonly outcome: Outcome;
}

/** What became of an image that a recovery has left: the next start, and the life after it. */
interface Successor {
  readonly found: Outcome;
  readonly violations: readonly string[];
}

/**
 * Starts the product on images of one setup, and remembers what it found: traces of one workload have
 * most images in common, and most recoveries leave one of a few.
 */
export class Prober {
  readonly #setup: Setup;
  readonly #probed = new Map<string, Probed>();
  readonly #successors = new Map<string, Successor>();

  constructor(setup: Setup) {
    this.#setup = setup;
  }

  /** How many images it knows. */
  get size(): number {
    return this.#probed.size + this.#successors.size;
  }

  /** By the key of the image. */
  known(key: string): Probed | undefined {
    return this.#probed.get(key);
  }

  /**
   * Starts a node on the image, reads all, kills it, starts it again (S6), lets it append, stop in
   * order and start once more.
   */
  async probe(key: string, image: Image): Promise<Probed> {
    const probed = { hash: hashOfKey(key), outcome: await this.#probe(image) };
    this.#probed.set(key, probed);
    return probed;
  }

  async #probe(image: Image): Promise<Outcome> {
    try {
      const first = await life(image, this.#setup);
      const { found } = first;
      if (found.violations.length > 0) return found;
      const key = imageKey(first.image);
      const next = this.#successors.get(key) ?? (await this.#successorOf(first.image));
      this.#successors.set(key, next);
      const violations = [
        ...next.violations,
        ...differences(found, next.found),
        ...strayFaults(image, this.#setup.known ?? []),
        ...cleanEndFaults(image),
        ...(await checkFlushedFiles(image, found)),
      ];
      return { ...found, violations };
    } catch (error) {
      return { ...NOTHING, violations: [`S6: the node did not start: ${textOf(error)}`] };
    }
  }

  async #successorOf(image: Image): Promise<Successor> {
    const second = await life(image, this.#setup);
    const { found } = second;
    const violations = [...found.violations, ...fileDifferences(image, second.image)];
    if (found.violations.length > 0) return { found, violations };
    for (const [topicId, { log }] of second.logs) {
      const { key, batches } = must(found.logs.get(topicId), "all were read");
      for (const text of await readFaults(log, batches)) violations.push(`${text} (${key})`);
    }
    if (violations.length > 0) return { found, violations };
    return { found, violations: await goOn(second, this.#setup) };
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${String(error)} ${error.stack}` : String(error);
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
  const found = { ...(await readAll(logs)), ...metadataOf(node, from) };
  await loopTurn();
  return { disk, node, logs, found, image: imageOf(disk, from) };
}

function start(disk: Disk, setup: Setup): Promise<Node> {
  return Node.start({ disk, clock: new StillClock(), seed: "probe" }, setup);
}

function metadataOf(
  { manager, raft, committed }: Node,
  from: Image,
): Pick<Outcome, "metadata" | "cleanEpoch" | "moves"> {
  const { previousBrokerEpoch: cleanEpoch, interruptedMoves: moves } = manager;
  if (raft === null) return { cleanEpoch, moves, metadata: null };
  const batches = committed
    .filter(({ records }) => records.length > 0)
    .map(({ baseOffset, records }) => ({
      baseOffset,
      values: records.map((value) => value.toString("latin1")),
    }));
  const { leaderEpoch } = raft.leader;
  return { cleanEpoch, moves, metadata: { leaderEpoch, notedEnd: notedEndOf(from), batches } };
}

function notedEndOf({ files }: Image): number {
  const path = [...files.keys()].find((each) =>
    each.endsWith("/__cluster_metadata-0/recovery-point-offset-checkpoint"),
  );
  const content = path === undefined ? undefined : files.get(path);
  return content === undefined ? 0 : (decodeOrNothing(content)[0]?.offset ?? 0);
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
    const batches = await readLog(log, transactions);
    if (log.logStartOffset === 0) {
      for (const text of await transactions.faults(log)) violations.push(`${text} (${key})`);
    }
    found.set(topicId, {
      key,
      path: log.directory.slice(0, log.directory.lastIndexOf("/")),
      compacts,
      startOffset: log.logStartOffset,
      endOffset: log.logEndOffset,
      flushedEnd: log.flushedEndOffset,
      batches,
    });
  }
  return { violations, logs: found };
}

/** S6: whatever the first recovery did, the second finds it done. */
function fileDifferences(first: Image, second: Image): string[] {
  return imageDifferences(first, second)
    .filter((text) => !/quorum-state|__cluster_metadata-0/.test(text))
    .map((text) => `S6: after a second recovery ${text}`);
}

/** S6: and so does who reads it. */
function differences(first: Outcome, second: Outcome): string[] {
  const faults: string[] = [];
  for (const [topicId, log] of first.logs) {
    const again = second.logs.get(topicId);
    const isSame =
      again?.startOffset === log.startOffset &&
      again.endOffset === log.endOffset &&
      again.batches.length === log.batches.length &&
      again.batches.every(({ digest }, index) => digest === log.batches[index]?.digest);
    if (!isSame) faults.push(`S6: after a second recovery ${log.key} holds something else`);
  }
  return faults;
}

/** The log takes batches again, stops in order and is found as it was left. */
async function goOn(
  { disk, node, logs, image, found: before }: Life,
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
  const left = imageOf(disk, image);
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
