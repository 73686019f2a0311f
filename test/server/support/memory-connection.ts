import type { Connection, ConnectionListener, OnSent } from "../../../src/base/net.ts";

/** The broker's end of a connection whose client is the test. */
export class MemoryConnection implements Connection {
  readonly remoteAddress = "10.0.0.7";
  readonly remotePort = 50_000;
  readonly localAddress = "10.0.0.1";
  readonly localPort = 9092;
  /** What the broker has written, as one string of bytes per write. */
  readonly written: Buffer[] = [];
  isPaused = false;
  isEnded = false;
  isDestroyed = false;
  /** What `write` answers: false plays a client that does not read. */
  takesMore = true;
  /** Of what was written, what the client's system has not taken. */
  queuedBytes = 0;
  #listener: ConnectionListener | null = null;
  #unsent: OnSent[] = [];

  listen(listener: ConnectionListener): void {
    this.#listener = listener;
  }

  write(buffers: readonly Uint8Array[], onSent: OnSent = () => undefined): boolean {
    this.written.push(Buffer.concat(buffers));
    if (this.takesMore) onSent();
    else this.#unsent.push(onSent);
    return this.takesMore;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.#haveSent(new Error("destroyed"));
    this.#listener!.onClose(null);
  }

  /** The client sends. */
  send(...chunks: readonly Buffer[]): void {
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.length;) {
        const target = this.#listener!.readTarget!();
        const copied = chunk.copy(target, 0, at);
        this.#listener!.onData(target.subarray(0, copied));
        at += copied;
      }
    }
  }

  /** The client reads again. */
  drain(): void {
    this.takesMore = true;
    this.#haveSent();
    this.#listener!.onDrain();
  }

  /** The client sends no more. */
  endInput(): void {
    this.#listener!.onEnd();
  }

  #haveSent(error: Error | null = null): void {
    for (const onSent of this.#unsent.splice(0)) onSent(error);
  }

  /** All that was written, as text. */
  get text(): string {
    return Buffer.concat(this.written).toString();
  }
}

/** A frame with its size prefix. */
export function frame(content: string | Buffer): Buffer {
  const body = Buffer.from(content);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}
