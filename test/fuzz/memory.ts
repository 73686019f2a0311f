import { getHeapSnapshot, getHeapStatistics } from "node:v8";

const MAX_GROWTH = 1.1;
/** Of a heap that grew, so many kinds of things are named. */
const NAMED_KINDS = 5;
/** Things whose names say more than what they are: constructors, functions, and what V8 keeps outside the heap. */
const NAMED = new Set(["object", "closure", "native", "hidden"]);

/** Bytes that V8 and its buffers hold now. A difference is what was allocated, less what was freed. */
export function heapBytes(): number {
  const statistics = getHeapStatistics();
  return statistics.used_heap_size + statistics.external_memory;
}

/** What is reachable: bytes by kind of thing, objects by their constructor. */
export interface HeldMemory {
  readonly totalBytes: number;
  readonly bytesByKind: ReadonlyMap<string, number>;
}

/** The part of a heap snapshot that is read here: `nodes` holds a row of numbers for each thing on the heap. */
interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[]];
    };
  };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

/**
 * What is held once everything unreachable is gone, without the code that the engine compiles and what
 * it notes for it. Of a thousand generated codecs some become hot only after a million frames, and ten million made
 * the heap 15 MiB larger; from one million to two and a half not one object was added, only machine code.
 */
export async function heldMemory(): Promise<HeldMemory> {
  // Two turns: closed sockets and the like go in the second.
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  const chunks: Buffer[] = [];
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk as Uint8Array));
  const { snapshot, nodes, strings } = JSON.parse(Buffer.concat(chunks).toString()) as Snapshot;
  const { node_fields: fields, node_types: kinds } = snapshot.meta;
  const [kindAt, nameAt, sizeAt] = ["type", "name", "self_size"].map((name) =>
    fields.indexOf(name),
  );
  const bytesByNumber = new Map<number, number>();
  let totalBytes = 0;
  for (let row = 0; row < nodes.length; row += fields.length) {
    const kind = nodes[row + kindAt!]!;
    if (kinds[0][kind] === "code") continue;
    const number = kind * strings.length + (NAMED.has(kinds[0][kind]!) ? nodes[row + nameAt!]! : 0);
    const bytes = nodes[row + sizeAt!]!;
    totalBytes += bytes;
    bytesByNumber.set(number, (bytesByNumber.get(number) ?? 0) + bytes);
  }
  const nameOf = (number: number): string => {
    const kind = kinds[0][Math.floor(number / strings.length)]!;
    return NAMED.has(kind) ? `${kind} ${strings[number % strings.length]!}` : kind;
  };
  return {
    totalBytes,
    bytesByKind: new Map([...bytesByNumber].map(([number, bytes]) => [nameOf(number), bytes])),
  };
}

/** Null, or what grew most, where the second holds more than a tenth more than the first. */
export function growth(before: HeldMemory, after: HeldMemory): string | null {
  if (after.totalBytes <= before.totalBytes * MAX_GROWTH) return null;
  return [...after.bytesByKind]
    .map(([kind, bytes]) => ({ kind, grown: bytes - (before.bytesByKind.get(kind) ?? 0) }))
    .sort((a, b) => b.grown - a.grown)
    .slice(0, NAMED_KINDS)
    .map(({ kind, grown }) => `${kind} ${mib(grown)}`)
    .join(", ");
}

export function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/**
 * Roughly what a decoded value takes, as V8 lays it out; a slice counts as its object, since the bytes
 * it shows are the frame's.
 */
export function valueBytes(value: unknown): number {
  if (typeof value === "string") return 24 + value.length;
  if (typeof value === "bigint") return 24;
  if (typeof value !== "object" || value === null) return 8;
  if (Buffer.isBuffer(value)) return 104;
  let bytes = 24;
  if (Array.isArray(value)) {
    for (const element of value) bytes += 8 + valueBytes(element);
    return bytes;
  }
  const fields = value as Readonly<Record<string | symbol, unknown>>;
  for (const key of Reflect.ownKeys(fields)) bytes += 8 + valueBytes(fields[key]);
  return bytes;
}
