import { must } from "../../src/base/assert.ts";
import { METADATA_PARTITION } from "../../src/raft/metadata-log.ts";
import { QuorumStateError } from "../../src/raft/quorum-state.ts";
import { batchNextOffset, batchSizeBytes } from "../../src/protocol/records/batch.ts";
import { DirectoryError, type LogManager } from "../../src/storage/log-manager.ts";
import { BROKER_EPOCH, CONFIG, type Files, Machine, PARTITIONS } from "./cluster.ts";
import { goOn, type Observation, observe } from "./observation.ts";

/**
 * What became of a flip:
 * - "start refused": the broker does not start, and says which file is damaged;
 * - "read refused": the damaged batch is answered with CORRUPT_MESSAGE, every other one is served;
 * - "said": it was found, said in the log and made good, and no client can tell;
 * - "silent": nothing was said and no client can tell.
 */
export type Outcome = "start refused" | "read refused" | "said" | "silent";

export interface Start {
  readonly logs: ReadonlyMap<string, Observation>;
  readonly identity: string;
  readonly metadata: readonly string[] | null;
  readonly after: ReadonlyMap<string, string>;
  readonly said: readonly string[];
  readonly files: Files;
}

/**
 * Starts on the files, looks at everything, goes on, and stops in order. With `scope`, the name of a
 * partition's directory, only at what a flip in it can touch.
 */
export async function start(files: Files, scope: string | null = null): Promise<Start> {
  const machine = new Machine(files);
  const manager = await machine.openLogs();
  const isMetadata = scope === null || scope === METADATA_PARTITION;
  const metadata = isMetadata ? await replay(machine, manager) : null;
  const logs = new Map<string, Observation>();
  const after = new Map<string, string>();
  for (const partition of PARTITIONS) {
    const name = `${partition.topic}-${partition.partitionIndex}`;
    if (scope !== null && scope !== name) continue;
    const log = await manager.openLog(partition, CONFIG);
    logs.set(name, await observe(log));
    after.set(name, await goOn(log));
  }
  const { clusterId, previousBrokerEpoch } = manager;
  const directoryId = manager.directories[0]?.directoryId;
  await manager.close(BROKER_EPOCH);
  const identity = JSON.stringify({ clusterId, directoryId, previousBrokerEpoch });
  return { logs, identity, metadata, after, said: machine.said, files: machine.files() };
}

/** What the metadata log holds; null in place of it is for a start that does not look. */
async function replay(machine: Machine, manager: LogManager): Promise<readonly string[]> {
  const metadata: string[] = [];
  const raft = await machine.openRaft(manager).catch(async (error: unknown) => {
    await manager.close(null);
    throw error;
  });
  await raft.start({
    onCommitted: (batches) => {
      for (const { records } of batches) metadata.push(...records.map(String));
    },
    onLeaderChange: () => undefined,
    onFailure: (error) => {
      throw error;
    },
  });
  await raft.append(raft.leader.leaderEpoch, [Buffer.from("after")]).committed;
  await raft.close();
  return metadata;
}

export interface Flip {
  readonly path: string;
  readonly bit: number;
}

export function flip(files: Files, { path, bit }: Flip): Map<string, Buffer> {
  const bytes = Buffer.from(files.get(path) ?? Buffer.alloc(0));
  bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return new Map([...files, [path, bytes]]);
}

/** Throws an Error that says what a client would see, or lose. */
export async function check(
  files: Files,
  expected: Start,
  damage: Flip,
  isRestarted: boolean,
): Promise<Outcome> {
  let found: Start;
  try {
    found = await start(flip(files, damage), scopeOf(damage.path));
  } catch (error) {
    const isRefusal = error instanceof DirectoryError || error instanceof QuorumStateError;
    if (!isRefusal || !mayRefuseStart(damage.path)) throw error;
    return "start refused";
  }
  const outcome = compare(found, expected, damage, files);
  if (isRestarted) {
    // What one start has made of it, the next one must find as good.
    const again = await start(found.files, scopeOf(damage.path));
    for (const [name, { batches, refused }] of found.logs) {
      const later = again.logs.get(name);
      for (const [offset, bytes] of batches) {
        same(
          `the batch at ${offset} of ${name} after a restart`,
          later?.batches.get(offset),
          bytes,
        );
      }
      const isNew = later?.refused.find((offset) => !refused.includes(offset));
      if (isNew !== undefined) throw new Error(`offset ${isNew} is refused after a restart`);
    }
  }
  return outcome;
}

/** The partition's directory that holds the file; null: all may depend on it. */
function scopeOf(path: string): string | null {
  return path.split("/").at(-2) === "data" ? null : (path.split("/").at(-2) ?? null);
}

/** Whose damage only an operator can put right: nothing says what was there. */
function mayRefuseStart(path: string): boolean {
  return path.endsWith("/meta.properties") || path.includes("/__cluster_metadata-0/");
}

function compare(found: Start, expected: Start, damage: Flip, files: Files): Outcome {
  let isRefused = false;
  for (const [name, seen] of found.logs) {
    const wanted = must(expected.logs.get(name), "the partition was there");
    const allowed = damagedOffsets(damage, name, files);
    const isOne = compareLogs(name, seen, wanted, allowed);
    // The last batch of the producer may be the damaged one: then it is not known any more.
    if (!isOne)
      same(`what was appended to ${name}`, found.after.get(name), expected.after.get(name));
    isRefused ||= isOne;
  }
  // With another epoch than the registered one, or none, the registration is an unclean one (R5).
  if (!damage.path.endsWith("/.kafka_cleanshutdown")) {
    same("who it is", found.identity, expected.identity);
  }
  if (found.metadata !== null) {
    same("the metadata", found.metadata.join(), expected.metadata?.join());
  }
  if (isRefused) return "read refused";
  return found.said.length > 0 ? "said" : "silent";
}

/** Returns whether something was refused; only the damaged batch may be. */
function compareLogs(
  name: string,
  seen: Observation,
  wanted: Observation,
  allowed: { readonly from: number; readonly to: number } | null,
): boolean {
  same(`the start of ${name}`, seen.logStartOffset, wanted.logStartOffset);
  same(`the end of ${name}`, seen.logEndOffset, wanted.logEndOffset);
  for (const offset of seen.refused) {
    const isAllowed = allowed !== null && offset >= allowed.from && offset < allowed.to;
    if (!isAllowed) throw new Error(`the good offset ${offset} of ${name} is refused`);
  }
  for (const [offset, bytes] of seen.batches) {
    same(`the batch at ${offset} of ${name}`, bytes, wanted.batches.get(offset));
  }
  for (const offset of wanted.batches.keys()) {
    if (seen.batches.has(offset) || seen.refused.includes(offset)) continue;
    throw new Error(`the batch at ${offset} of ${name} is lost`);
  }
  const isRefused = seen.refused.length > 0;
  for (const [question, answer] of wanted.answers) {
    const given = seen.answers.get(question);
    if (isRefused && (given === "refused" || question === "aborted")) continue;
    if (isRefused && /timestamp|at or after/.test(question)) continue;
    if (question === "first unstable" && isHeldBack(given, seen.refused)) continue;
    same(`${question} of ${name}`, given, answer);
  }
  return isRefused;
}

/** Without its damaged marker a transaction stays open: read_committed waits, and is not misled (X6). */
function isHeldBack(firstUnstable: string | undefined, refused: readonly number[]): boolean {
  return refused.some((offset) => Number(firstUnstable) < offset);
}

/** The offsets of the batch that the flipped bit belongs to; null: it is in no batch of the partition. */
function damagedOffsets(damage: Flip, name: string, files: Files) {
  if (!damage.path.includes(`/${name}/`) || !damage.path.endsWith(".log")) return null;
  const bytes = files.get(damage.path) ?? Buffer.alloc(0);
  for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
    if (damage.bit >> 3 >= at + batchSizeBytes(bytes, at)) continue;
    return { from: Number(bytes.readBigInt64BE(at)), to: batchNextOffset(bytes, at) };
  }
  return null;
}

function same(what: string, found: unknown, wanted: unknown): void {
  if (found === wanted) return;
  throw new Error(`${what} is ${String(found).slice(0, 200)}, not ${String(wanted).slice(0, 200)}`);
}
