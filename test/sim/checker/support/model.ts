import type {
  KeyFacts,
  Operation,
  Poll,
  Send,
  TransactionOperation,
} from "../../../../src/sim/checker/operation.ts";

/** A record of the model's log; `open` until its transaction ends. */
interface ModelRecord {
  readonly offset: number;
  readonly value: string;
  readonly recordKey: string;
  state: "open" | "committed" | "aborted" | "removed";
}

class ModelLog {
  readonly key: string;
  readonly records: ModelRecord[] = [];
  nextOffset = 0;
  startOffset = 0;

  constructor(key: string) {
    this.key = key;
  }

  append(value: string, recordKey: string, state: ModelRecord["state"]): ModelRecord {
    const record = { offset: this.nextOffset, value, recordKey, state };
    this.records.push(record);
    this.nextOffset += 1;
    return record;
  }

  get lastStableOffset(): number {
    return this.records.find(({ state }) => state === "open")?.offset ?? this.nextOffset;
  }
}

interface Client {
  readonly name: string;
  readonly isDirty: boolean;
  /** What it does now: one element for each thing that happens, the last ends it. */
  work: (() => void)[];
  isSubscribed: boolean;
  positions: Map<string, number>;
  /** Where it goes back to when a transaction fails. */
  settled: Map<string, number>;
  rebalanced: Set<string>;
  /** Sends of unknown outcome, which it may repeat: where they are, if anywhere. */
  unknown: { readonly key: string; readonly value: string; readonly record: ModelRecord | null }[];
  sentCount: number;
}

/** All that a model run leaves: a history in which everything is as it should be. */
export interface ModelRun {
  readonly operations: Operation[];
  readonly facts: ReadonlyMap<string, KeyFacts>;
  readonly logs: ReadonlyMap<string, ModelLog>;
  /** Later than all of it. */
  readonly endMs: number;
}

/** Keys: the first loses its oldest records now and then, the second is compacted. */
const KEYS = ["deleted", "compacted", "k", "l"];
const RECORD_KEYS = ["x", "y", "z"];

/** A broker that makes no mistake, and clients of all kinds, from one seed. */
export function runModel(seed: number, steps: number): ModelRun {
  return new Model(seed).run(steps);
}

/** mulberry32. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

class Model {
  readonly #random: (below: number) => number;
  readonly #logs = new Map(KEYS.map((key) => [key, new ModelLog(key)]));
  readonly #operations: Operation[] = [];
  readonly #clients: Client[];
  /** Who has a key of the group, and what the group has committed. */
  readonly #owners = new Map<string, Client>();
  readonly #committed = new Map<string, number>();
  /** Requests of clients that are gone, which arrive later. */
  readonly #late: (() => void)[] = [];
  #nowMs = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.#clients = ["a", "b", "c", "d", "u"].map((name) => ({
      name,
      isDirty: name === "u",
      work: [],
      isSubscribed: false,
      positions: new Map(),
      settled: new Map(),
      rebalanced: new Set(),
      unknown: [],
      sentCount: 0,
    }));
  }

  run(steps: number): ModelRun {
    for (let step = 0; step < steps; step += 1) {
      this.#nowMs += 1;
      const client = this.#pick(this.#clients);
      const next = client.work.shift();
      if (next !== undefined) next();
      else this.#begin(client);
      if (this.#random(20) === 0) this.#late.shift()?.();
      if (this.#random(25) === 0) this.#rebalance();
      if (this.#random(60) === 0) this.#clean();
    }
    for (const client of this.#clients) {
      for (const next of client.work.splice(0)) {
        this.#nowMs += 1;
        next();
      }
    }
    for (const next of this.#late.splice(0)) next();
    this.#readAll();
    const facts = new Map<string, KeyFacts>([
      ["deleted", { logStartOffset: this.#log("deleted").startOffset }],
      ["compacted", { isCompacted: true }],
    ]);
    return { operations: this.#operations, facts, logs: this.#logs, endMs: this.#nowMs + 1 };
  }

  #begin(client: Client): void {
    const dice = this.#random(100);
    const choices: readonly (readonly [below: number, begin: () => void])[] = client.isDirty
      ? [
          [10, () => this.#assign(client)],
          [100, () => this.#poll(client)],
        ]
      : [
          [30, () => this.#send(client)],
          [60, () => this.#poll(client)],
          [88, () => this.#transaction(client)],
          [92, () => this.#assign(client)],
          [95, () => this.#subscribe(client)],
          [98, () => this.#repeat(client)],
          [100, () => this.#crash(client)],
        ];
    choices.find(([below]) => dice < below)?.[1]();
  }

  #send(client: Client): void {
    const startedMs = this.#nowMs;
    const fate = this.#pick(["ok", "ok", "ok", "ok", "acklost", "lost", "refused", "late"]);
    const drafts = Array.from({ length: 1 + this.#random(3) }, () => this.#draft(client));
    const steps: Send[] = [];
    const write = (draft: Send): ModelRecord =>
      this.#log(draft.key).append(draft.value, draft.recordKey ?? "", "committed");
    for (const draft of drafts) {
      client.work.push(() => {
        const isWritten = fate === "ok" || fate === "acklost";
        const record = isWritten ? write(draft) : null;
        if (fate === "late") this.#late.push(() => void write(draft));
        // Now and then an ack does not say where it is.
        const isTold = fate === "ok" && this.#random(5) > 0;
        steps.push(isTold && record !== null ? { ...draft, offset: record.offset } : draft);
        if (fate === "acklost" || fate === "lost") client.unknown.push({ ...draft, record });
      });
    }
    client.work.push(() => {
      const outcome = fate === "ok" ? "ok" : fate === "refused" ? "fail" : "info";
      this.#add({ kind: "send", process: client.name, outcome, steps, ...this.#since(startedMs) });
      if (fate === "late") client.work.unshift(() => this.#crash(client));
    });
  }

  /** The client sends again what it does not know to be there: the broker knows it, or not. */
  #repeat(client: Client): void {
    const unknown = client.unknown.shift();
    if (unknown === undefined) return;
    const startedMs = this.#nowMs;
    client.work.push(() => {
      const { key, value } = unknown;
      const record = unknown.record ?? this.#log(key).append(value, "", "committed");
      const steps: Send[] = [{ kind: "send", key, value, offset: record.offset }];
      const frame = { process: client.name, ...this.#since(startedMs) };
      this.#add({ kind: "send", outcome: "ok", steps, ...frame });
    });
  }

  #transaction(client: Client): void {
    const startedMs = this.#nowMs;
    const steps: (Send | Poll)[] = [];
    const open: ModelRecord[] = [];
    for (let index = 1 + this.#random(4); index > 0; index -= 1) {
      client.work.push(() => {
        if (this.#random(3) === 0) return void steps.push(...this.#pollOnce(client));
        const draft = this.#draft(client);
        const record = this.#log(draft.key).append(draft.value, draft.recordKey ?? "", "open");
        open.push(record);
        steps.push({ ...draft, offset: record.offset });
      });
    }
    client.work.push(() => {
      const fate = this.#pick(["ok", "ok", "ok", "fail", "info", "info"] as const);
      const isCommitted = fate === "ok" || (fate === "info" && this.#random(2) === 0);
      for (const record of open) record.state = isCommitted ? "committed" : "aborted";
      // The marker takes an offset.
      for (const key of new Set(steps.map((step) => step.key))) this.#log(key).nextOffset += 1;
      const operation: TransactionOperation = {
        kind: "txn",
        process: client.name,
        outcome: fate,
        steps,
        ...this.#since(startedMs),
        ...takeRebalanced(client),
      };
      this.#add(operation);
      if (fate === "ok") this.#settle(client);
      else if (this.#random(2) === 0) goBack(client, steps);
    });
  }

  #poll(client: Client): void {
    const startedMs = this.#nowMs;
    const steps: Poll[] = [];
    const isolation = client.isDirty ? "read_uncommitted" : "read_committed";
    client.work.push(() => steps.push(...this.#pollOnce(client)));
    if (this.#random(3) === 0) client.work.push(() => steps.push(...this.#pollOnce(client)));
    client.work.push(() => {
      const frame = { ...this.#since(startedMs), ...takeRebalanced(client) };
      const process = client.name;
      this.#add({ kind: "poll", process, outcome: "ok", steps, isolation, ...frame });
      this.#settle(client);
    });
  }

  #pollOnce(client: Client): Poll[] {
    if (client.positions.size === 0) return [];
    const key = this.#pick([...client.positions.keys()]);
    const log = this.#log(key);
    const end = client.isDirty ? log.nextOffset : log.lastStableOffset;
    const from = Math.max(client.positions.get(key)!, log.startOffset);
    const max = 1 + this.#random(8);
    const isShown = ({ state }: ModelRecord): boolean =>
      state === "committed" || (client.isDirty && state !== "removed");
    const records = log.records
      .filter((record) => record.offset >= from && record.offset < end && isShown(record))
      .slice(0, max);
    const last = records.at(-1);
    client.positions.set(key, last === undefined ? from : last.offset + 1);
    return [
      { kind: "poll", key, records: records.map(({ offset, value }) => ({ offset, value })) },
    ];
  }

  #settle(client: Client): void {
    client.settled = new Map(client.positions);
    if (!client.isSubscribed || this.#random(2) === 0) return;
    for (const [key, position] of client.positions) this.#committed.set(key, position);
  }

  #assign(client: Client): void {
    const keys = KEYS.filter(() => this.#random(2) === 0);
    const seeks = client.isSubscribed || this.#random(4) === 0;
    this.#leave(client);
    const before = seeks ? new Map<string, number>() : client.positions;
    // A key that is new begins where the client likes.
    const positionOf = (key: string): number =>
      before.get(key) ?? this.#random(this.#log(key).nextOffset + 1);
    client.positions = new Map(keys.map((key) => [key, positionOf(key)]));
    client.settled = new Map(client.positions);
    const frame = { process: client.name, outcome: "ok" as const, ...this.#since(this.#nowMs) };
    this.#add({ kind: "assign", keys, seeks, ...frame });
  }

  #subscribe(client: Client): void {
    if (client.isSubscribed) return;
    client.isSubscribed = true;
    client.positions = new Map();
    client.settled = new Map();
    const frame = { process: client.name, outcome: "ok" as const, ...this.#since(this.#nowMs) };
    this.#add({ kind: "subscribe", keys: KEYS, seeks: true, ...frame });
  }

  #crash(client: Client): void {
    this.#leave(client);
    client.positions = new Map();
    client.settled = new Map();
    client.unknown = [];
    client.rebalanced.clear();
    const frame = { process: client.name, outcome: "info" as const, ...this.#since(this.#nowMs) };
    this.#add({ kind: "crash", ...frame });
  }

  #leave(client: Client): void {
    client.isSubscribed = false;
    for (const [key, owner] of this.#owners) if (owner === client) this.#owners.delete(key);
  }

  /** A key of the group goes to another member, which begins where the group has committed. */
  #rebalance(): void {
    const members = this.#clients.filter(({ isSubscribed }) => isSubscribed);
    if (members.length === 0) return;
    const key = this.#pick(KEYS);
    const owner = this.#owners.get(key);
    owner?.positions.delete(key);
    owner?.settled.delete(key);
    owner?.rebalanced.add(key);
    const next = this.#pick(members);
    const position = this.#committed.get(key) ?? 0;
    this.#owners.set(key, next);
    next.positions.set(key, position);
    next.settled.set(key, position);
    next.rebalanced.add(key);
  }

  /** Retention of one key, compaction of another. */
  #clean(): void {
    const deleted = this.#log("deleted");
    const [low, high] = [deleted.startOffset, deleted.lastStableOffset];
    deleted.startOffset = low + this.#random(high - low + 1);
    const compacted = this.#log("compacted");
    const end = compacted.lastStableOffset;
    const newest = new Map<string, number>();
    for (const { recordKey, offset, state } of compacted.records) {
      if (state === "committed" && offset < end) newest.set(recordKey, offset);
    }
    for (const record of compacted.records) {
      const isOld = record.offset < (newest.get(record.recordKey) ?? 0);
      if (record.state === "committed" && record.recordKey !== "" && isOld)
        record.state = "removed";
    }
  }

  /** As Jepsen's final polls: somebody reads everything, in many small polls. */
  #readAll(): void {
    const final = { ...this.#clients[0]!, name: "final", rebalanced: new Set<string>() };
    final.positions = new Map(KEYS.map((key) => [key, 0]));
    this.#nowMs += 1;
    const frame = { process: "final", outcome: "ok" as const };
    this.#add({ kind: "assign", keys: KEYS, ...frame, ...this.#since(this.#nowMs) });
    const isBehind = ([key, position]: [string, number]): boolean =>
      this.#log(key).records.some(
        ({ offset, state }) => offset >= position && state === "committed",
      );
    while ([...final.positions].some(isBehind)) {
      this.#nowMs += 1;
      const steps = this.#pollOnce(final);
      this.#add({ kind: "poll", ...frame, steps, ...this.#since(this.#nowMs) });
    }
  }

  #draft(client: Client): Send {
    client.sentCount += 1;
    const value = `${client.name}-${client.sentCount}`;
    return { kind: "send", key: this.#pick(KEYS), value, recordKey: this.#pick(RECORD_KEYS) };
  }

  /** Ends now; so that no two operations ever touch, by the half of a tick. */
  #since(startedMs: number) {
    return { startedMs, endedMs: this.#nowMs + 0.5 };
  }

  #add(operation: Operation): void {
    this.#operations.push(operation);
  }

  #log(key: string): ModelLog {
    return this.#logs.get(key)!;
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random(from.length)]!;
  }
}

function takeRebalanced(client: Client): { readonly rebalancedKeys?: readonly string[] } {
  if (client.rebalanced.size === 0) return {};
  const rebalancedKeys = [...client.rebalanced];
  client.rebalanced.clear();
  return { rebalancedKeys };
}

/** After a transaction that came to nothing: to where the last one that succeeded had ended. */
function goBack(client: Client, steps: readonly (Send | Poll)[]): void {
  for (const step of steps) {
    const position = step.kind === "poll" ? client.settled.get(step.key) : undefined;
    if (position !== undefined) client.positions.set(step.key, position);
  }
}
