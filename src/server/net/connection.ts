import { must } from "../../base/assert.ts";
import type { BufferPool } from "../../base/buffer-pool.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { MemoryBudget } from "../../base/memory-budget.ts";
import type { Connection } from "../../base/net.ts";
import { ProtocolError } from "../../protocol/errors.ts";
import { FrameDecoder } from "../../protocol/frame.ts";
import type { FrameReader, ReadingTurns } from "./reading-turns.ts";
import { Slot } from "./slot.ts";
import type { TurnTime } from "./turn-time.ts";
import { UnsentAnswers } from "./unsent-answers.ts";

/** Requests of one connection in work at a time; the client's next ones wait in its socket. */
export const MAX_REQUESTS_IN_WORK = 64;

/** Request bytes of one connection in work at a time; a single larger request is taken alone. */
export const MAX_REQUEST_BYTES_IN_WORK = 16 * 1024 * 1024;

/** Who is told that the connection ends, and does not end his half, is cut off after so long. */
const LINGER_MS = 5_000;

/**
 * Who has had us hold bytes for one frame for longer is cut off when the node is short of memory: others
 * wait for it, and Kafka's clients wait for 30 s (request.timeout.ms) before they give up.
 */
const MAX_HELD_MS = 10_000;

/** What became of a request: the frame to send, nothing, or the end of the connection. */
export type Outcome =
  | { readonly kind: "response"; readonly chunks: readonly Buffer[] }
  | { readonly kind: "none" }
  | { readonly kind: "close" };

/** The connection as a request sees it. */
export interface ConnectionInfo {
  readonly connectionId: string;
  readonly clientHost: string;
  readonly listenerName: string;
}

/** What a request may want to hear of its connection. */
export interface RequestHooks {
  /** Runs `callback` once if the connection closes, or stops, before the answer is there; at once if it has. */
  onClose(callback: () => void): void;
  /** Runs `callback` once when the answer has left, or never will: its bytes are not looked at any more. */
  onSent(callback: () => void): void;
}

/**
 * Starts one request: what must happen in order is done when it returns. Never throws and never
 * rejects. The frame of a Produce request is used again when its outcome is there: nothing of it may be
 * kept longer.
 */
export type StartRequest = (
  frame: Buffer,
  connection: ConnectionInfo,
  hooks: RequestHooks,
) => Outcome | Promise<Outcome>;

export interface ClientConnectionDependencies {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly logger: ConnectionLogger;
  readonly budget: MemoryBudget;
  readonly turns: ReadingTurns;
  readonly turnTime: TurnTime;
  /** For the memory of frames. */
  readonly pool: BufferPool;
  readonly startRequest: StartRequest;
  /**
   * Whether the request may be in work beside others of its connection. All others are in work alone, as
   * in Kafka: their answers may be large, and must not pile up for a client that does not read them. The
   * frames of those that may are used again (StartRequest).
   */
  readonly mayOverlap: (frame: Buffer) => boolean;
  /** Whether the request may begin when the node has no room: its answer is small, or others wait for it. */
  readonly needsNoRoom: (frame: Buffer) => boolean;
  /** Whether a large frame may begin with these bytes, from this peer. */
  readonly admitsLarge: (head: Buffer) => boolean;
  /** Called once, when a request was answered: the peer speaks Kafka's protocol. */
  readonly onKnown: () => void;
  /** Called once, when the connection is gone. */
  readonly onClosed: () => void;
}

/** Where a connection says what its peer did. */
export interface ConnectionLogger {
  warn(facts: object, message: string): void;
}

export interface ClientConnectionOptions {
  readonly connectionId: string;
  readonly listenerName: string;
  readonly maxRequestBytes: number;
  /** Not above 0: never. */
  readonly maxIdleMs: number;
}

/**
 * One client's connection. Requests start in order, some overlap; answers leave in the order of the
 * requests. Reading stops while too much is in work, here or on the node, and while the client does not
 * read its answers; so memory is bounded whatever the client does.
 */
export class ClientConnection implements ConnectionInfo, FrameReader {
  readonly connectionId: string;
  readonly clientHost: string;
  readonly listenerName: string;
  readonly #dependencies: ClientConnectionDependencies;
  readonly #connection: Connection;
  readonly #decoder: FrameDecoder;
  readonly #maxIdleMs: number;
  /** Read, but not started yet. */
  #waiting: Buffer[] = [];
  /** Those of them that were started; cut off by the half, as each shift costs the array's length. */
  #startedCount = 0;
  /** Started; the first is the next to be answered. */
  readonly #slots: Slot[] = [];
  #bytesInWork = 0;
  /** Invariant: `open` reads, `draining` only answers, `ending` waits for its bytes to leave. */
  #state: "open" | "draining" | "ending" | "closed" = "open";
  #isPaused = false;
  #isPeerSlow = false;
  /** It came too early, and is not served yet. */
  #isHeldBack = false;
  #isKnown = false;
  #lastActivityMs: number;
  /** Idleness; then the time that is left for the peer to end. */
  #timer: Timer | null = null;
  /** Memory of the frame that is not complete yet, and since when there is one. */
  #placeBytes = 0;
  #placeSinceMs = 0;
  readonly #unsent: UnsentAnswers;
  readonly #onRoom = (): boolean => {
    const slotCount = this.#slots.length;
    this.#startWaiting();
    return this.#slots.length > slotCount;
  };
  /** Requests that are answered at once come back here: a loop, not a recursion. */
  #isStarting = false;
  /** Its next requests wait for the next turn of the event loop. */
  #isYielding = false;

  constructor(dependencies: ClientConnectionDependencies, options: ClientConnectionOptions) {
    this.#dependencies = dependencies;
    this.#connection = dependencies.connection;
    this.connectionId = options.connectionId;
    this.clientHost = dependencies.connection.remoteAddress;
    this.listenerName = options.listenerName;
    this.#decoder = new FrameDecoder(
      options.maxRequestBytes,
      dependencies.pool,
      dependencies.admitsLarge,
    );
    this.#unsent = new UnsentAnswers(dependencies.clock);
    this.#maxIdleMs = options.maxIdleMs;
    this.#lastActivityMs = dependencies.clock.nowMs();
  }

  /** Begins to read, `holdMs` from now. */
  start(holdMs = 0): void {
    this.#connection.listen({
      readTarget: () => this.#decoder.target,
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => this.#onDrain(),
      // As Kafka: who has ended his half wants nothing more, and parked requests must not wait for it.
      onEnd: () => this.destroy(),
      onClose: () => this.#onClose(),
    });
    if (holdMs === 0) {
      this.#watchIdle(this.#maxIdleMs);
      return;
    }
    this.#isHeldBack = true;
    this.#pause();
    this.#timer = this.#dependencies.clock.after(holdMs, () => {
      this.#isHeldBack = false;
      this.#watchIdle(this.#maxIdleMs);
      this.#startWaiting();
    });
  }

  /** To be called now and then while the node's memory is tight: whoever holds some for too long is cut off. */
  maybeCutOff(): void {
    const { budget, clock, logger } = this.#dependencies;
    const placeMs = this.#placeBytes === 0 ? 0 : clock.nowMs() - this.#placeSinceMs;
    const isSlowWriter = budget.isShort && placeMs > MAX_HELD_MS;
    const isSlowReader = this.#unsent.isStuck(this.#connection, budget.isShort);
    if (!isSlowWriter && !isSlowReader) return;
    logger.warn(
      { connectionId: this.connectionId, clientHost: this.clientHost },
      "closing a connection that has held memory for too long: others need it",
    );
    this.destroy();
  }

  becomeFirst(): void {
    this.#pauseOrResume();
  }

  /**
   * Takes no more requests and closes when those in work are answered. What is parked and can be let go
   * of (a Fetch that waits for data) is, as if the connection had closed already.
   */
  drain(): void {
    this.#stopReading();
    this.#letGo();
    this.#maybeEnd();
  }

  /** Closes at once. */
  destroy(): void {
    this.#stopReading();
    this.#connection.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#state !== "open") return;
    this.#lastActivityMs = this.#dependencies.clock.nowMs();
    try {
      for (const frame of this.#decoder.received(chunk.length)) {
        this.#dependencies.budget.take(frame.length);
        this.#waiting.push(frame);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuseStream(error, chunk);
      return;
    }
    this.#countPlace(this.#decoder.placeBytes);
    this.#startWaiting();
  }

  /** A frame that is not complete yet holds so many bytes now. */
  #countPlace(placeBytes: number): void {
    const { budget, clock, turns } = this.#dependencies;
    const oldBytes = this.#placeBytes;
    if (placeBytes === oldBytes) return;
    this.#placeBytes = placeBytes;
    if (oldBytes === 0) {
      this.#placeSinceMs = clock.nowMs();
      turns.begin(this);
    } else if (placeBytes === 0) {
      turns.end(this);
    }
    if (placeBytes > oldBytes) budget.take(placeBytes - oldBytes);
    else budget.release(oldBytes - placeBytes);
  }

  #startWaiting(): void {
    if (this.#isStarting || this.#isYielding) return;
    this.#isStarting = true;
    while (this.#state === "open" && this.#mayStart()) {
      this.#start(must(this.#waiting[this.#startedCount++], "a request waits"));
      // One a turn, and more while there is time: what a client has sent ahead must not hold up others.
      if (this.#waitingCount > 0 && this.#dependencies.turnTime.isOver) this.#yield();
    }
    this.#dropStarted();
    this.#isStarting = false;
    this.#pauseOrResume();
  }

  /** Goes on when the event loop has looked at the other connections. */
  #yield(): void {
    this.#isYielding = true;
    this.#dependencies.clock.afterPoll(() => {
      this.#isYielding = false;
      this.#startWaiting();
    });
  }

  get #waitingCount(): number {
    return this.#waiting.length - this.#startedCount;
  }

  #dropWaiting(): void {
    for (const frame of this.#waiting.slice(this.#startedCount)) {
      this.#dependencies.budget.release(frame.length);
    }
    this.#waiting = [];
    this.#startedCount = 0;
  }

  #dropStarted(): void {
    if (this.#startedCount * 2 < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#startedCount);
    this.#startedCount = 0;
  }

  /** Whether the request that is next may be in work now, beside those that are. */
  #mayStart(): boolean {
    const next = this.#waiting[this.#startedCount];
    if (next === undefined || this.#isPeerSlow || this.#isHeldBack || this.#isYielding)
      return false;
    const { budget, mayOverlap, needsNoRoom } = this.#dependencies;
    // Who has not taken yet what he was given gets no more of what is scarce.
    if (budget.isTight && this.#unsent.bytes > 0) return false;
    const last = this.#slots.at(-1);
    // One at least, so that requests which wait for others cannot lock each other out.
    if (last === undefined) return budget.hasRoom || needsNoRoom(next);
    return last.mayOverlap && this.#hasRoomForMore() && mayOverlap(next);
  }

  #hasRoomForMore(): boolean {
    return (
      this.#slots.length < MAX_REQUESTS_IN_WORK &&
      this.#bytesInWork < MAX_REQUEST_BYTES_IN_WORK &&
      this.#dependencies.budget.hasRoom
    );
  }

  /** Whether it may be read on: there is room for more here and on the node, and the peer takes answers. */
  #mayRead(): boolean {
    if (this.#waitingCount > 0 || this.#isPeerSlow || this.#isHeldBack) return false;
    if (this.#slots.length > 0 && !this.#hasRoomForMore()) return false;
    const { budget, turns } = this.#dependencies;
    return this.#placeBytes === 0 || budget.hasRoom || turns.isFirst(this);
  }

  #start(frame: Buffer): void {
    const slot = new Slot(
      frame,
      this.#dependencies.mayOverlap(frame),
      () => this.#state === "open",
    );
    this.#slots.push(slot);
    this.#bytesInWork += frame.length;
    const outcome = this.#dependencies.startRequest(frame, this, slot);
    if (outcome instanceof Promise) void outcome.then((value) => this.#finish(slot, value));
    else this.#finish(slot, outcome);
  }

  #finish(slot: Slot, outcome: Outcome): void {
    slot.finish(outcome);
    if (slot.mayOverlap) this.#dependencies.pool.release(slot.frame);
    this.#dependencies.budget.release(slot.requestBytes);
    if (this.#state === "closed") {
      slot.sent();
      return;
    }
    // What came behind it is not started any more; what came before it is still answered.
    if (outcome.kind === "close") this.#stopReading();
    if (this.#slots[0] !== slot) return;
    this.#answer();
    this.#startWaiting();
    this.#maybeEnd();
  }

  /** Sends what is ready from the front of the order, in one write. */
  #answer(): void {
    const chunks: Buffer[] = [];
    const answered: Slot[] = [];
    let isLast = false;
    for (let slot = this.#slots[0]; slot !== undefined && !isLast; slot = this.#slots[0]) {
      const { outcome, requestBytes } = slot;
      if (outcome === null) break;
      this.#slots.shift();
      answered.push(slot);
      this.#bytesInWork -= requestBytes;
      if (outcome.kind === "response") {
        this.#becomeKnown();
        chunks.push(...outcome.chunks);
      }
      isLast = outcome.kind === "close";
    }
    this.#send(chunks, () => {
      for (const slot of answered) slot.sent();
    });
    if (isLast) this.#end();
  }

  /** What the client has not taken yet counts as the request did: it is the node's memory. */
  #send(chunks: readonly Buffer[], onSent: () => void): void {
    if (chunks.length === 0 || this.#state === "ending") {
      onSent();
      return;
    }
    const { budget, clock } = this.#dependencies;
    let byteCount = 0;
    for (const chunk of chunks) byteCount += chunk.length;
    budget.take(byteCount);
    this.#lastActivityMs = clock.nowMs();
    this.#unsent.written(byteCount);
    const isTaken = this.#connection.write(chunks, (error) => {
      // Who is not there any more shall not be served all that he had asked for.
      if (error !== undefined && error !== null) this.#stopReading();
      this.#unsent.left(byteCount);
      budget.release(byteCount);
      onSent();
      if (this.#unsent.bytes === 0 && this.#waitingCount > 0) this.#startWaiting();
    });
    if (!isTaken) this.#isPeerSlow = true;
  }

  #becomeKnown(): void {
    if (this.#isKnown) return;
    this.#isKnown = true;
    this.#dependencies.onKnown();
  }

  #onDrain(): void {
    this.#isPeerSlow = false;
    this.#startWaiting();
  }

  #pauseOrResume(): void {
    if (this.#state !== "open") return;
    if (this.#mayRead()) {
      this.#resume();
      return;
    }
    this.#pause();
    this.#waitForBudget();
  }

  /** The node is full: wait for the requests of others, too. */
  #waitForBudget(): void {
    const { budget } = this.#dependencies;
    if (!budget.hasRoom) budget.whenRoom(this.#onRoom);
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#connection.pause();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#connection.resume();
  }

  #stopReading(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    this.#dependencies.budget.forget(this.#onRoom);
    this.#dropWaiting();
    this.#pause();
  }

  #maybeEnd(): void {
    if (this.#state === "draining" && this.#slots.length === 0) this.#end();
  }

  /**
   * What was written still leaves. What still comes is read and dropped, as the peer's end is behind it.
   * Without that end the connection would keep its place among max.connections: it is closed soon.
   */
  #end(): void {
    this.#state = "ending";
    this.#stopTimer();
    this.#timer = this.#dependencies.clock.after(LINGER_MS, () => this.destroy());
    this.#connection.end();
    this.#resume();
  }

  #refuseStream(error: ProtocolError, chunk: Buffer): void {
    this.#dependencies.logger.warn(
      { connectionId: this.connectionId, clientHost: this.clientHost },
      `closing a connection that does not speak Kafka's protocol: ${error.message}${guess(chunk)}`,
    );
    this.#decoder.close();
    this.#countPlace(0);
    this.drain();
  }

  #onClose(): void {
    this.#state = "closed";
    this.#dependencies.budget.forget(this.#onRoom);
    this.#stopTimer();
    this.#dropWaiting();
    this.#decoder.close();
    this.#countPlace(0);
    this.#letGo();
    for (const slot of this.#slots.splice(0)) if (slot.outcome !== null) slot.sent();
    this.#dependencies.onClosed();
  }

  #letGo(): void {
    for (const slot of [...this.#slots]) slot.letGo();
  }

  #watchIdle(delayMs: number): void {
    if (this.#maxIdleMs <= 0) return;
    const { clock } = this.#dependencies;
    this.#timer = clock.after(delayMs, () => {
      const idleMs = this.#slots.length > 0 ? 0 : clock.nowMs() - this.#lastActivityMs;
      if (idleMs < this.#maxIdleMs) this.#watchIdle(this.#maxIdleMs - idleMs);
      else this.destroy();
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}

/** What the peer may have meant, from the first bytes of a stream that is not Kafka's. */
function guess(chunk: Buffer): string {
  if (chunk[0] === 0x16 && chunk[1] === 0x03) {
    return "; it looks like TLS, which this listener does not speak";
  }
  return /^(GET|POST|PUT|HEAD|OPTIONS) /.test(chunk.toString("latin1", 0, 8))
    ? "; it looks like HTTP, which this port does not speak"
    : "";
}
