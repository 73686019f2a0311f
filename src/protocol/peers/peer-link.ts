import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Random } from "../../base/random.ts";
import {
  addressText,
  type Rpc,
  type RpcAddress,
  type RpcEnd,
  type RpcStream,
} from "../../base/rpc.ts";
import { encodeHello, type Hello, judgeHello, REACHED_ITSELF } from "./hello.ts";

export interface PeerLinkDependencies {
  readonly rpc: Pick<Rpc, "open">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface PeerLinkOptions {
  readonly service: string;
  readonly address: RpcAddress;
  /** Who should be there; null: whoever it is. */
  readonly nodeId: number | null;
  /** What this node says of itself, at each opening. */
  readonly hello: () => Hello;
}

export interface PeerLinkListener {
  /** The other side has been found to be a node of this cluster. */
  onOpen?(peer: Hello): void;
  onMessage(peer: Hello, message: Buffer): void;
  /** The stream is over, or could not be opened; what was sent on it may be lost. Another attempt follows. */
  onEnd(end: RpcEnd): void;
}

/** After a refusal: soon at first, so that a node that comes back is found, and at most once a second. */
const MIN_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 1_000;

/**
 * The way to one node: a stream that is opened again whenever it is over. The first attempt after a stream
 * that was open for a while is made at once, as a refusal then tells that the process is gone (R16).
 */
export class PeerLink {
  readonly #dependencies: PeerLinkDependencies;
  readonly #options: PeerLinkOptions;
  readonly #listener: PeerLinkListener;
  #stream: RpcStream | null = null;
  #peer: Hello | null = null;
  #openedAtMs = -Infinity;
  #backoffMs = 0;
  #retry: Timer | null = null;
  /** What was last complained of; said once. */
  #complaint = "";
  #isClosed = false;

  constructor(
    dependencies: PeerLinkDependencies,
    options: PeerLinkOptions,
    listener: PeerLinkListener,
  ) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#listener = listener;
  }

  get address(): RpcAddress {
    return this.#options.address;
  }

  /** Who is there, while the stream is open. */
  get peer(): Hello | null {
    return this.#peer;
  }

  /** Whether what is sent now has a chance to arrive. */
  get isConnecting(): boolean {
    return this.#stream !== null;
  }

  /** Bytes that were sent and have not left. */
  get queuedBytes(): number {
    return this.#stream?.queuedBytes ?? 0;
  }

  /** Called once. */
  start(): void {
    const { rpc } = this.#dependencies;
    const { address, service, hello } = this.#options;
    this.#retry = null;
    this.#stream = rpc.open(address, service, encodeHello(hello()), {
      onOpen: (answer) => this.#onOpen(answer),
      onMessage: (message) => {
        if (this.#peer !== null) this.#listener.onMessage(this.#peer, message);
      },
      onEnd: (end) => this.#onEnd(end),
    });
  }

  /** Dropped unless a stream is open or being opened. */
  send(message: Buffer): void {
    this.#stream?.send(message);
  }

  /** Ends the stream after what was sent; nothing is called any more. */
  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#stream?.end();
    this.#stream = null;
    this.#peer = null;
  }

  /** The other side does not keep to the protocol. */
  reject(message: string): void {
    this.#stream?.destroy();
    this.#onEnd({ kind: "rejected", message });
  }

  #onOpen(answer: Buffer): void {
    const { hello, nodeId, address } = this.#options;
    const verdict = judgeHello(answer, hello());
    if (verdict.kind === "stranger") {
      this.reject(verdict.message);
      return;
    }
    const peer = verdict.hello;
    if (nodeId !== null && peer.nodeId !== nodeId) {
      this.reject(`${addressText(address)} should be node ${nodeId}, and is node ${peer.nodeId}`);
      return;
    }
    this.#peer = peer;
    this.#openedAtMs = this.#dependencies.clock.nowMs();
    this.#complaint = "";
    this.#listener.onOpen?.(peer);
  }

  #onEnd(end: RpcEnd): void {
    const { clock } = this.#dependencies;
    // One that was over again at once may have been closed by somebody who will do so the next time, too.
    const hasLasted = this.#peer !== null && clock.nowMs() - this.#openedAtMs >= MAX_BACKOFF_MS;
    if (hasLasted) this.#backoffMs = 0;
    this.#stream = null;
    this.#peer = null;
    if (end.kind === "rejected" && end.message === REACHED_ITSELF) {
      this.#isClosed = true;
      return;
    }
    if (end.kind === "rejected") this.#complain(end.message);
    this.#listener.onEnd(end);
    if (!this.#isClosed) this.#retryLater(end);
  }

  #retryLater({ kind }: RpcEnd): void {
    const { clock, random } = this.#dependencies;
    // Who was turned away once will be so again, until somebody has changed the settings.
    const delayMs = kind === "rejected" ? MAX_BACKOFF_MS : this.#backoffMs;
    this.#backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(MIN_BACKOFF_MS, 2 * this.#backoffMs));
    const jitter = 0.5 + random.uint32() / 2 ** 33;
    this.#retry = clock.after(delayMs * jitter, () => this.start());
  }

  #complain(message: string): void {
    if (message === this.#complaint) return;
    this.#complaint = message;
    const { logger } = this.#dependencies;
    logger.warn({ address: this.#options.address }, `no stream to another node: ${message}`);
  }
}
