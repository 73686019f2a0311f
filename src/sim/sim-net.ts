import { must } from "../base/assert.ts";
import type { Connection, ConnectionListener, Listener, Net, OnSent } from "../base/net.ts";
import { randomBelow, type Random } from "../base/random.ts";
import type { SimClock } from "./sim-clock.ts";

/** Above this many unsent bytes `write` answers false. */
const HIGH_WATER_BYTES = 64 * 1024;
/** One way, in milliseconds. */
const LATENCY_MS = 0.5;

type Address = { readonly host: string; readonly port: number };

/** A refusal of the network, with the operating system's code. */
export class NetError extends Error {
  override readonly name = "NetError";
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/**
 * The network of a simulated world. A connection carries bytes in order; how long they take and how
 * they are cut into chunks is chance. `host` gives a process its Net, `connect` is for clients.
 */
export class SimNet {
  readonly #clock: SimClock;
  readonly #random: Random;
  readonly #listeners = new Map<
    number,
    { host: SimHost; accept: (connection: Connection) => void }
  >();
  #nextPort = 30_000;

  constructor(dependencies: { readonly clock: SimClock; readonly random: Random }) {
    this.#clock = dependencies.clock;
    this.#random = dependencies.random;
  }

  /** The network as a new process sees it. */
  host(): SimHost {
    return new SimHost({
      bind: (host, port, accept) => this.#bind(host, port, accept),
      unbind: (port) => this.#listeners.delete(port),
    });
  }

  /** Opens a connection as a client. Rejects with NetError ECONNREFUSED when nobody listens. */
  connect(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      this.#later(() => {
        const listener = this.#listeners.get(port);
        if (listener === undefined) {
          reject(new NetError("ECONNREFUSED"));
          return;
        }
        this.#nextPort += 1;
        const client = { host: "127.0.0.1", port: this.#nextPort };
        const [near, far] = connectionPair({
          clock: this.#clock,
          random: this.#random,
          client,
          server: { host: "127.0.0.1", port },
        });
        listener.host.adopt(far);
        listener.accept(far);
        this.#later(() => resolve(near));
      });
    });
  }

  #bind(host: SimHost, wanted: number, accept: (connection: Connection) => void): number {
    this.#nextPort += 1;
    const port = wanted === 0 ? this.#nextPort : wanted;
    if (this.#listeners.has(port)) throw new NetError("EADDRINUSE");
    this.#listeners.set(port, { host, accept });
    return port;
  }

  #later(run: () => void): void {
    this.#clock.schedule("io", latencyMs(this.#random), run);
  }
}

interface Ports {
  bind(host: SimHost, port: number, accept: (connection: Connection) => void): number;
  unbind(port: number): void;
}

/** The Net of one process. */
export class SimHost implements Net {
  readonly #ports: Ports;
  readonly #bound = new Set<number>();
  readonly #connections = new Set<Endpoint>();
  #isDead = false;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  listen(address: Address, onConnection: (connection: Connection) => void): Promise<Listener> {
    return new Promise((resolve) => {
      const port = this.#ports.bind(this, address.port, onConnection);
      this.#bound.add(port);
      resolve({
        host: address.host,
        port,
        close: () => {
          // After its death the port may be another's.
          if (!this.#isDead && this.#bound.delete(port)) this.#ports.unbind(port);
          return Promise.resolve();
        },
      });
    });
  }

  adopt(connection: Endpoint): void {
    this.#connections.add(connection);
  }

  /** The process dies: its ports are free, its peers see what was already sent, then a reset. */
  kill(): void {
    this.#isDead = true;
    for (const port of this.#bound) this.#ports.unbind(port);
    for (const connection of this.#connections) connection.kill();
    this.#connections.clear();
  }
}

interface PairOptions {
  readonly clock: SimClock;
  readonly random: Random;
  readonly client: Address;
  readonly server: Address;
}

function connectionPair(options: PairOptions): [Endpoint, Endpoint] {
  const near = new Endpoint(options, options.client, options.server);
  const far = new Endpoint(options, options.server, options.client);
  near.join(far);
  far.join(near);
  return [near, far];
}

/** One end of a connection. */
class Endpoint implements Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly #clock: SimClock;
  readonly #random: Random;
  #peer: Endpoint | null = null;
  #listener: ConnectionListener | null = null;
  /** Written here, not yet handed to the peer. */
  #unsent: Buffer[] = [];
  #unsentBytes = 0;
  /** Told when `#unsent` is ours, and no more the writer's. */
  #onTaken: OnSent[] = [];
  #isAboveHighWater = false;
  #isEnding = false;
  #hasSentEnd = false;
  #hasReceivedEnd = false;
  #isPaused = false;
  #isDelivering = false;
  #closeError: Error | null = null;
  #state: "open" | "closing" | "closed" | "dead" = "open";

  constructor(options: PairOptions, local: Address, remote: Address) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.localAddress = local.host;
    this.localPort = local.port;
    this.remoteAddress = remote.host;
    this.remotePort = remote.port;
  }

  get queuedBytes(): number {
    return this.#unsentBytes;
  }

  join(peer: Endpoint): void {
    this.#peer = peer;
  }

  listen(listener: ConnectionListener): void {
    this.#listener = listener;
    // The peer may have died before we were told of the connection.
    if (this.#state === "closed") this.#later(() => listener.onClose(this.#closeError));
    else this.#far.#deliver();
  }

  write(buffers: readonly Uint8Array[], onSent?: OnSent): boolean {
    if (this.#state !== "open" || this.#isEnding) {
      if (onSent !== undefined) this.#later(() => onSent(new NetError("EPIPE")));
      return false;
    }
    for (const buffer of buffers) {
      if (buffer.length === 0) continue;
      // Not a copy: a writer that changes its buffer before it was sent shall be found out.
      this.#unsent.push(Buffer.from(buffer.buffer, buffer.byteOffset, buffer.length));
      this.#unsentBytes += buffer.length;
    }
    if (onSent !== undefined) this.#onTaken.push(onSent);
    this.#deliver();
    if (this.#unsentBytes > HIGH_WATER_BYTES) this.#isAboveHighWater = true;
    return !this.#isAboveHighWater;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#far.#deliver();
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#isEnding = true;
    this.#deliver();
  }

  destroy(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#dropSomeUnsent();
    this.#later(() => this.#close(null));
    this.#far.#reset();
  }

  /** The owner is dead: it is told nothing, the peer sees a reset. */
  kill(): void {
    if (this.#state === "closed" || this.#state === "dead") return;
    this.#state = "dead";
    this.#onTaken = [];
    this.#dropSomeUnsent();
    this.#far.#reset();
  }

  get #far(): Endpoint {
    return must(this.#peer, "a connection has two ends");
  }

  /** What the kernel had already taken may still arrive, the rest never does. */
  #dropSomeUnsent(): void {
    const bytes = Buffer.concat(this.#unsent);
    const kept = bytes.subarray(0, randomBelow(this.#random, bytes.length + 1));
    this.#unsent = kept.length === 0 ? [] : [kept];
    this.#unsentBytes = kept.length;
    this.#later(() => this.#tellTaken(new NetError("ECONNRESET")));
  }

  /** The writer may have its buffers back. */
  #tellTaken(error: Error | null): void {
    for (const onSent of this.#onTaken.splice(0)) onSent(error);
  }

  /** The peer has gone without an end. */
  #reset(): void {
    // What the peer had sent before may come first.
    this.#far.#deliver();
    this.#clock.schedule("io", LATENCY_MS + 4 * latencyMs(this.#random), () => {
      if (this.#state === "dead") return;
      this.#close(new NetError("ECONNRESET"));
    });
  }

  /** Sends the next chunk on its way, unless one is on it. */
  #deliver(): void {
    if (this.#isDelivering || !this.#mayDeliver()) return;
    this.#isDelivering = true;
    this.#later(() => {
      this.#isDelivering = false;
      if (!this.#mayDeliver()) return;
      if (this.#unsentBytes > 0) this.#handOver();
      else this.#handOverEnd();
      this.#deliver();
    });
  }

  #mayDeliver(): boolean {
    const peer = this.#far;
    const hasSomething = this.#unsentBytes > 0 || (this.#isEnding && !this.#hasSentEnd);
    return hasSomething && peer.#state === "open" && peer.#listener !== null && !peer.#isPaused;
  }

  #handOver(): void {
    const bytes = Buffer.concat(this.#unsent);
    // Now and then a chunk of few bytes, which cuts frames in odd places.
    const most = randomBelow(this.#random, 4) === 0 ? Math.min(bytes.length, 40) : bytes.length;
    const size = randomBelow(this.#random, 3) === 0 ? 1 + randomBelow(this.#random, most) : most;
    const rest = bytes.subarray(size);
    this.#unsent = rest.length === 0 ? [] : [rest];
    this.#unsentBytes = rest.length;
    this.#tellTaken(null);
    this.#far.#receive(bytes.subarray(0, size));
    if (this.#unsentBytes === 0 && this.#isAboveHighWater) {
      this.#isAboveHighWater = false;
      this.#later(() => {
        if (this.#state === "open") this.#listener?.onDrain();
      });
    }
  }

  /** As the operating system does it: into the reader's memory, as often as that is full. */
  #receive(bytes: Buffer): void {
    const listener = this.#listener;
    if (listener?.readTarget === undefined) {
      listener?.onData(bytes);
      return;
    }
    for (let at = 0; at < bytes.length;) {
      const target = listener.readTarget();
      const copied = bytes.copy(target, 0, at);
      listener.onData(target.subarray(0, copied));
      at += copied;
    }
  }

  #handOverEnd(): void {
    this.#hasSentEnd = true;
    this.#far.#hasReceivedEnd = true;
    this.#far.#listener?.onEnd();
    for (const one of [this, this.#far]) {
      if (one.#hasSentEnd && one.#hasReceivedEnd) {
        one.#later(() => one.#close(null));
        one.#far.#later(() => one.#far.#close(null));
      }
    }
  }

  #close(error: Error | null): void {
    if (this.#state === "closed" || this.#state === "dead") return;
    this.#state = "closed";
    this.#closeError = error;
    this.#unsent = [];
    this.#unsentBytes = 0;
    this.#tellTaken(error ?? new NetError("ECONNRESET"));
    this.#listener?.onClose(error);
  }

  #later(run: () => void): void {
    this.#clock.schedule("io", latencyMs(this.#random), run);
  }
}

/** Mostly short, sometimes ten times as long. */
function latencyMs(random: Random): number {
  const fraction = (random.uint32() + 1) / 2 ** 32;
  return randomBelow(random, 50) === 0 ? 10 * LATENCY_MS * fraction : LATENCY_MS * fraction;
}
