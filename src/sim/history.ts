import { createHash } from "node:crypto";
import type { LogRecord } from "../protocol/records/record.ts";

/** What must not happen; the name is one of reliability.md, where there is one. */
export interface Finding {
  readonly rule: string;
  readonly detail: string;
}

export interface SentRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
  readonly timestamp: number;
}

interface Sent {
  readonly producer: string;
  /** Place among the records of that producer for that partition. */
  readonly order: number;
  readonly digest: string;
  /** The offset that the ack named; -1 without (a duplicate's ack); null while not acked. */
  ackedOffset: number | null;
}

/** Records by partition as found in the log at the end: offset -> identity. */
export type FoundLog = ReadonlyMap<number, string>;

/**
 * What the clients of one run have sent, been promised, and seen. A record is known by its identity,
 * the text before the first space of its value.
 */
export class History {
  readonly findings: Finding[] = [];
  readonly #mayLose: boolean;
  readonly #sent = new Map<string, Map<string, Sent>>();
  /** What consumers saw: partition -> offset -> identity. */
  readonly #seen = new Map<string, Map<number, string>>();
  readonly #producerIds = new Map<string, string>();
  #ackedCount = 0;
  #sentCount = 0;

  /** `mayLose`: unsynced data is lost on purpose, and offsets are given anew. */
  constructor({ mayLose = false }: { readonly mayLose?: boolean } = {}) {
    this.#mayLose = mayLose;
  }

  get ackedCount(): number {
    return this.#ackedCount;
  }

  get sentCount(): number {
    return this.#sentCount;
  }

  report(rule: string, detail: string): void {
    if (this.findings.length < 20) this.findings.push({ rule, detail });
  }

  /** X4: a producer id is never given out twice. */
  onProducerId(owner: string, producerId: number, producerEpoch: number): void {
    const key = `${producerId}/${producerEpoch}`;
    const other = this.#producerIds.get(key);
    if (other !== undefined) this.report("X4", `${key} was given to ${other} and to ${owner}`);
    this.#producerIds.set(key, owner);
  }

  onSend(partition: string, producer: string, order: number, record: SentRecord): void {
    this.#sentCount += 1;
    const sent = { producer, order, digest: digestOf(record), ackedOffset: null };
    within(this.#sent, partition).set(identityOf(record.value), sent);
  }

  onAck(partition: string, record: SentRecord, offset: number): void {
    const identity = identityOf(record.value);
    const sent = this.#sent.get(partition)?.get(identity);
    if (sent === undefined) return;
    if (sent.ackedOffset === null) this.#ackedCount += 1;
    sent.ackedOffset = offset;
    if (offset >= 0) this.#onSeen(partition, offset, identity, "acked");
  }

  /** A consumer was given the record. */
  onPoll(partition: string, record: LogRecord): void {
    this.#check(partition, record);
    this.#onSeen(partition, record.offset, identityOf(record.value), "polled");
  }

  /**
   * Compares what is in the log at the end with what was promised. Returns how many acked records are
   * missing; where loss is expected that is a figure, elsewhere a finding. Where producers had to begin
   * anew after a loss, their repeats are expected too.
   */
  judge(partition: string, records: readonly LogRecord[]): number {
    const mayLose = this.#mayLose;
    const found = new Map<string, number>();
    const lastOrders = new Map<string, number>();
    for (const record of records) {
      this.#check(partition, record);
      const identity = identityOf(record.value);
      const sent = this.#sent.get(partition)?.get(identity);
      if (sent === undefined) continue;
      const before = found.get(identity);
      if (before !== undefined && !mayLose) {
        this.report("duplicate", `${partition}: ${identity} at ${before} and ${record.offset}`);
      }
      found.set(identity, record.offset);
      const lastOrder = lastOrders.get(sent.producer) ?? -1;
      if (sent.order <= lastOrder && !mayLose) {
        this.report("order", `${partition}: ${identity} at ${record.offset} comes too late`);
      }
      lastOrders.set(sent.producer, sent.order);
    }
    const lost = this.#lost(partition, found);
    if (!mayLose) for (const detail of lost) this.report("lost-write", detail);
    if (!mayLose) this.#judgeSeen(partition, records);
    return lost.length;
  }

  #lost(partition: string, found: ReadonlyMap<string, number>): string[] {
    const lost: string[] = [];
    for (const [identity, { ackedOffset }] of this.#sent.get(partition) ?? []) {
      if (ackedOffset === null) continue;
      const offset = found.get(identity);
      if (offset === undefined) {
        lost.push(`${partition}: ${identity}, acked at ${ackedOffset}, is not in the log`);
      }
    }
    return lost;
  }

  /** What was once seen at an offset is there for ever. */
  #judgeSeen(partition: string, records: readonly LogRecord[]): void {
    const log = new Map(records.map((record) => [record.offset, identityOf(record.value)]));
    for (const [offset, identity] of this.#seen.get(partition) ?? []) {
      if (log.get(offset) === identity) continue;
      const now = log.get(offset) ?? "nothing";
      this.report("inconsistent-offsets", `${partition}@${offset}: ${identity}, then ${now}`);
    }
  }

  #onSeen(partition: string, offset: number, identity: string, how: string): void {
    if (this.#mayLose) return;
    const seen = within(this.#seen, partition);
    const before = seen.get(offset);
    if (before !== undefined && before !== identity) {
      this.report("inconsistent-offsets", `${partition}@${offset}: ${before}, ${how} ${identity}`);
    }
    seen.set(offset, identity);
  }

  /** C20 and C21: byte for byte what was sent, and to this partition. */
  #check(partition: string, record: LogRecord): void {
    const identity = identityOf(record.value);
    const sent = this.#sent.get(partition)?.get(identity);
    if (sent === undefined)
      this.report("C21", `${partition}@${record.offset}: ${identity} was not sent`);
    else if (sent.digest !== digestOf(record)) {
      this.report("C20", `${partition}@${record.offset}: ${identity} is not what was sent`);
    }
  }
}

function within<V>(map: Map<string, Map<number, V>>, key: string): Map<number, V>;
function within<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V>;
function within<K, V>(map: Map<string, Map<K, V>>, key: string): Map<K, V> {
  let inner = map.get(key);
  if (inner === undefined) {
    inner = new Map();
    map.set(key, inner);
  }
  return inner;
}

function identityOf(value: Buffer | null): string {
  return value?.toString("latin1").split(" ", 1)[0] ?? "null";
}

function digestOf(record: SentRecord): string {
  const hash = createHash("sha1");
  const add = (bytes: Buffer | string | null): void => {
    hash.update(bytes === null ? "null;" : `${bytes.length};`).update(bytes ?? "");
  };
  add(record.key);
  add(record.value);
  for (const { key, value } of record.headers) {
    add(key);
    add(value);
  }
  return hash.update(String(record.timestamp)).digest("hex");
}
