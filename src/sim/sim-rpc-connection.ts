import { must } from "../base/assert.ts";
import { type Random, randomBelow } from "../base/random.ts";
import {
  addressText,
  type RpcAddress,
  type RpcEnd,
  type RpcService,
  type RpcStream,
  type RpcStreamListener,
} from "../base/rpc.ts";
import type { SimClock } from "./sim-clock.ts";
import type { SimLinks } from "./sim-links.ts";

/** As in GrpcRpc. */
const OPEN_TIMEOUT_MS = 3_000;
/** A ping every two seconds, and two seconds for its answer: so late a silent break is noticed. */
const KEEPALIVE_MIN_MS = 2_000;
const KEEPALIVE_MAX_MS = 4_000;

const LOST: RpcEnd = { kind: "lost", message: "the connection is lost" };

/** A process, as its connections know it: by itself, and by where it runs. */
export interface Owner {
  readonly machine: string;
}

export interface ConnectionDependencies {
  readonly clock: SimClock;
  readonly random: Random;
  readonly links: SimLinks;
}

/** What is at an address: who serves there, nobody, or no machine that could say so. */
export type Accepter =
  | {
      readonly kind: "served";
      readonly owner: Owner;
      readonly services: ReadonlyMap<string, RpcService>;
    }
  | { readonly kind: "refused" }
  | { readonly kind: "silent" };

export interface ConnectionOptions {
  readonly owner: Owner;
  readonly address: RpcAddress;
  readonly service: string;
  readonly opening: Buffer;
  readonly listener: RpcStreamListener;
  readonly maxMessageBytes: number;
  /** Looked up when the opening arrives. */
  readonly accepter: () => Accepter;
  readonly hasPower: (machine: string) => boolean;
  /** Neither side has anything more to do with it. */
  readonly onOver: () => void;
}

/** One connection with its one stream. */
export class SimRpcConnection {
  readonly opener: StreamEnd;
  readonly #dependencies: ConnectionDependencies;
  readonly #options: ConnectionOptions;
  readonly #accepting: StreamEnd;
  /** Without an owner until it is accepted. */
  #accepter: Owner | null = null;

  constructor(dependencies: ConnectionDependencies, options: ConnectionOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
    const { owner, address, listener } = options;
    const there = new Pipe(dependencies, owner.machine, address.host);
    const back = new Pipe(dependencies, address.host, owner.machine);
    const shared = {
      maxMessageBytes: options.maxMessageBytes,
      onOver: () => this.#maybeOver(),
      hasPower: options.hasPower,
    };
    this.opener = new StreamEnd(there, { ...shared, remote: addressText(address) });
    this.#accepting = new StreamEnd(back, { ...shared, remote: owner.machine });
    this.opener.join(this.#accepting);
    this.#accepting.join(this.opener);
    this.opener.listen(listener);
    there.push(0, () => this.#onOpening());
    dependencies.clock.schedule("timer", OPEN_TIMEOUT_MS, () => {
      if (this.opener.isAnswered) return;
      this.opener.giveUp({ kind: "timedOut", message: `no answer in ${OPEN_TIMEOUT_MS} ms` });
    });
  }

  isBetween(a: string, b: string): boolean {
    const ends = [this.#options.owner.machine, this.#options.address.host];
    return ends.includes(a) && ends.includes(b);
  }

  /** The listener that accepted it is closed. */
  onListenerClosed(owner: Owner): void {
    if (this.#accepter === owner) this.#accepting.die({ isSilent: false });
  }

  /** What waited for a link to be mended goes on. */
  resume(): void {
    this.opener.resume();
    this.#accepting.resume();
  }

  /** The process has died: what its kernel had already taken may still arrive, and then the end. */
  onProcessDeath(owner: Owner): void {
    for (const end of this.#endsOf(owner)) end.die({ isSilent: false });
  }

  /** Its machine is without power: the other side notices only that nothing comes. */
  onPowerCut(owner: Owner): void {
    for (const end of this.#endsOf(owner)) {
      end.die({ isSilent: true });
      this.#missAnswers(end.peer, () => true);
    }
  }

  /** Somebody between them resets it. */
  break(): void {
    this.opener.resetPeer();
    this.#accepting.resetPeer();
  }

  /** A link between the two is cut: a ping or its answer will be missed by each of them. */
  onCut(from: string, to: string): void {
    const { links } = this.#dependencies;
    const cut = links.cutOf(from, to);
    // Before that there is only an opening, which has its own limit.
    if (this.#accepter === null) return;
    for (const end of [this.opener, this.#accepting]) {
      this.#missAnswers(end, () => links.cutOf(from, to) === cut);
    }
  }

  #missAnswers(end: StreamEnd, isStill: () => boolean): void {
    const { clock, random } = this.#dependencies;
    const delayMs = KEEPALIVE_MIN_MS + randomBelow(random, KEEPALIVE_MAX_MS - KEEPALIVE_MIN_MS);
    clock.schedule("timer", delayMs, () => {
      if (isStill()) end.giveUp(LOST);
    });
  }

  #endsOf(owner: Owner): StreamEnd[] {
    const ends = this.#options.owner === owner ? [this.opener] : [];
    return this.#accepter === owner ? [...ends, this.#accepting] : ends;
  }

  #onOpening(): void {
    const accepter = this.#options.accepter();
    if (accepter.kind === "silent") return;
    if (accepter.kind === "refused") {
      this.#answer({ kind: "refused", message: "connect ECONNREFUSED" });
      return;
    }
    const { service: name, opening, owner } = this.#options;
    const service = accepter.services.get(name);
    const admission = service?.({ bytes: opening, remote: owner.machine }) ?? {
      kind: "rejected",
      message: `there is no ${name} here`,
    };
    if (admission.kind === "rejected") {
      this.#answer({ kind: "rejected", message: admission.message });
      return;
    }
    this.#accepter = accepter.owner;
    this.#accepting.pushAnswer(admission.answer);
    this.#accepting.listen(admission.onStream(this.#accepting));
  }

  /** Nobody has it on the other side. */
  #answer(end: RpcEnd): void {
    this.#accepting.die({ isSilent: true });
    this.#accepting.pushEnd(end);
  }

  #maybeOver(): void {
    if (this.opener.isOver && (this.#accepter === null || this.#accepting.isOver)) {
      this.#options.onOver();
    }
  }
}

interface EndOptions {
  readonly remote: string;
  readonly maxMessageBytes: number;
  readonly onOver: () => void;
  readonly hasPower: (machine: string) => boolean;
}

/** One side's end of the stream. */
class StreamEnd implements RpcStream {
  readonly remote: string;
  readonly #out: Pipe;
  readonly #options: EndOptions;
  #peer: StreamEnd | null = null;
  #listener: RpcStreamListener | null = null;
  #state: "open" | "closed" | "dead" | "deadInSilence" = "open";
  #isAnswered = false;

  constructor(out: Pipe, options: EndOptions) {
    this.#out = out;
    this.#options = options;
    this.remote = options.remote;
    out.onDrain = () => {
      if (this.#state === "open") this.#listener?.onDrain?.();
    };
  }

  get machine(): string {
    return this.#out.from;
  }

  get peer(): StreamEnd {
    return must(this.#peer, "a stream has two ends");
  }

  get isOver(): boolean {
    return this.#state !== "open";
  }

  get isDeadInSilence(): boolean {
    return this.#state === "deadInSilence";
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  get queuedBytes(): number {
    return this.#out.queuedBytes;
  }

  join(peer: StreamEnd): void {
    this.#peer = peer;
  }

  listen(listener: RpcStreamListener): void {
    this.#listener = listener;
  }

  resume(): void {
    this.#out.resume();
  }

  send(message: Buffer): void {
    if (this.#state !== "open") return;
    const { maxMessageBytes } = this.#options;
    this.#out.push(message.length, () => {
      if (message.length > maxMessageBytes) this.peer.#refuse();
      else this.peer.#receive(message);
    });
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#close("closed");
    this.pushEnd({ kind: "ended", message: "ended" });
  }

  destroy(): void {
    if (this.#state !== "open") return;
    this.#close("closed");
    this.resetPeer();
  }

  /** The other side is admitted. */
  pushAnswer(answer: Buffer): void {
    this.#out.push(0, () => {
      if (this.peer.#state !== "open") return;
      this.peer.#isAnswered = true;
      this.peer.#listener?.onOpen?.(answer);
    });
  }

  pushEnd(end: RpcEnd): void {
    this.#out.push(0, () => this.peer.finish(end));
  }

  /** Comes to its end here, and its owner is told. */
  finish(end: RpcEnd): void {
    if (this.#state !== "open") return;
    this.#close("closed");
    this.#listener?.onEnd(end);
  }

  /** The owner is no more, and is told nothing. */
  die({ isSilent }: { readonly isSilent: boolean }): void {
    if (this.#state === "dead" || this.#state === "deadInSilence") return;
    const wasOpen = this.#state === "open";
    if (wasOpen && isSilent) this.#out.clear();
    if (wasOpen && !isSilent) {
      this.#out.dropSome();
      this.pushEnd(LOST);
    }
    this.#close(isSilent ? "deadInSilence" : "dead");
  }

  /** The other side is reset, and what is on its way there is gone. */
  resetPeer(): void {
    this.#out.clear();
    this.pushEnd(LOST);
  }

  /** No answer came in time. */
  giveUp(end: RpcEnd): void {
    if (this.#state !== "open") return;
    this.resetPeer();
    this.finish(end);
  }

  #receive(message: Buffer): void {
    if (this.#state === "open") this.#listener?.onMessage(message);
    // The machine that has come back knows of no such connection.
    else if (this.isDeadInSilence && this.#options.hasPower(this.machine)) this.pushEnd(LOST);
  }

  /** The message is too long. */
  #refuse(): void {
    if (this.#state !== "open") return;
    this.pushEnd({ kind: "rejected", message: "the message is too long" });
    this.#close("closed");
    this.#listener?.onEnd(LOST);
  }

  #close(state: "closed" | "dead" | "deadInSilence"): void {
    this.#state = state;
    this.#options.onOver();
  }
}

interface Parcel {
  readonly bytes: number;
  readonly deliver: () => void;
}

/** One direction of a connection: parcels in order, each after its time. */
class Pipe {
  readonly from: string;
  /** The last of what was sent has been delivered. */
  onDrain: () => void = () => undefined;
  readonly #to: string;
  readonly #dependencies: ConnectionDependencies;
  #parcels: Parcel[] = [];
  /** How many were due while the link was cut. */
  #heldCount = 0;
  #lastDueMs = 0;
  #queuedBytes = 0;

  constructor(dependencies: ConnectionDependencies, from: string, to: string) {
    this.from = from;
    this.#to = to;
    this.#dependencies = dependencies;
  }

  /** On their way. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  push(bytes: number, deliver: () => void): void {
    this.#parcels.push({ bytes, deliver });
    this.#queuedBytes += bytes;
    this.#schedule();
  }

  resume(): void {
    const { links } = this.#dependencies;
    if (links.isCut(this.from, this.#to)) return;
    for (; this.#heldCount > 0; this.#heldCount -= 1) this.#schedule();
  }

  /** What is on its way never arrives. */
  clear(): void {
    this.#keep(0);
  }

  /** The last ones never arrive. */
  dropSome(): void {
    this.#keep(randomBelow(this.#dependencies.random, this.#parcels.length + 1));
  }

  #keep(count: number): void {
    // Their places in the order stay, so that what is sent afterwards is not early.
    this.#parcels = this.#parcels.map((parcel, index) =>
      index < count ? parcel : { bytes: 0, deliver: () => undefined },
    );
    this.#queuedBytes = this.#parcels.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #schedule(): void {
    const { clock, links } = this.#dependencies;
    const dueMs = Math.max(clock.nowMs + links.latencyMs(this.from, this.#to), this.#lastDueMs);
    this.#lastDueMs = dueMs;
    clock.schedule("io", dueMs - clock.nowMs, () => this.#onDue());
  }

  #onDue(): void {
    if (this.#dependencies.links.isCut(this.from, this.#to)) {
      this.#heldCount += 1;
      return;
    }
    const parcel = must(this.#parcels.shift(), "each event of a pipe has its parcel");
    this.#queuedBytes -= parcel.bytes;
    parcel.deliver();
    if (parcel.bytes > 0 && this.#queuedBytes === 0) this.onDrain();
  }
}
