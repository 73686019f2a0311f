import { isDataOperation } from "./operation.ts";
import type { DataOperation, Operation, Send } from "./operation.ts";
import type { OrderCase } from "./report.ts";
import type { KeyLogs, Sighting } from "./key-log.ts";

interface Sent {
  readonly sighting: Sighting;
  readonly operation: DataOperation;
}

/** Whether what one client sent to one partition is there in the order in which it was sent. */
export class SendOrder {
  readonly #logs: KeyLogs;
  /** By process, by key: the last that it sent and of which the place is known. */
  readonly #last = new Map<string, Map<string, Sent>>();

  constructor(logs: KeyLogs) {
    this.#logs = logs;
  }

  *errors(history: readonly Operation[]): Generator<OrderCase> {
    // A producer has several requests in flight: they are sent in the order in which they begin.
    const begun = [...history].sort((a, b) => a.startedMs - b.startedMs);
    for (const operation of begun) {
      // What the old client has sent may arrive after what the new one sends.
      if (operation.kind === "crash") this.#last.delete(operation.process);
      else if (isDataOperation(operation)) yield* this.#onSends(operation);
    }
  }

  *#onSends(operation: DataOperation): Generator<OrderCase> {
    for (const step of operation.steps) {
      if (step.kind !== "send") continue;
      const sighting = this.#placeOf(step, operation);
      if (sighting === null) continue;
      const lasts = this.#lastsOf(operation.process);
      const last = lasts.get(step.key);
      if (last !== undefined) yield* this.#compare(last, { sighting, operation });
      lasts.set(step.key, { sighting, operation });
    }
  }

  *#compare(from: Sent, to: Sent): Generator<OrderCase> {
    const isInside = from.operation === to.operation;
    const { log } = to.sighting.version;
    const places = { key: log.key, from: from.sighting.offset, to: to.sighting.offset };
    const operations = isInside ? [to.operation] : [from.operation, to.operation];
    if (places.to < places.from) {
      const type = isInside ? "int-nonmonotonic-send" : "nonmonotonic-send";
      const isTolerated = !from.sighting.version.isIdempotent || !to.sighting.version.isIdempotent;
      yield { type, isTolerated, ...places, skipped: [], operations };
    } else if (isInside) {
      const others = log
        .between(places.from, places.to)
        .filter(({ version }) => version.writer !== to.operation);
      const skipped = others.map(({ version }) => version.value);
      if (skipped.length === 0) return;
      // Kafka does not isolate writes.
      yield { type: "int-send-skip", isTolerated: true, ...places, skipped, operations };
    }
  }

  /** Of a value that was sent more than once, nobody knows which of them it is. */
  #placeOf(send: Send, operation: DataOperation): Sighting | null {
    const version = this.#logs.version(send);
    return version.writer === operation ? version.place : null;
  }

  #lastsOf(process: string): Map<string, Sent> {
    let lasts = this.#last.get(process);
    if (lasts === undefined) {
      lasts = new Map();
      this.#last.set(process, lasts);
    }
    return lasts;
  }
}
