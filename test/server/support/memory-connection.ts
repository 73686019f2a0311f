import type { Connection, ConnectionListener } from "../../../src/base/net.ts";

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
  #listener: ConnectionListener | null = null;

  listen(listener: ConnectionListener): void {
    this.#listener = listener;
  }

  write(buffers: readonly Uint8Array[]): boolean {
    this.written.push(Buffer.concat(buffers));
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
    this.#listener!.onClose(null);
  }

  /** The client sends. */
  send(...chunks: readonly Buffer[]): void {
    for (const chunk of chunks) this.#listener!.onData(chunk);
  }

  /** The client reads again. */
  drain(): void {
    this.takesMore = true;
    this.#listener!.onDrain();
  }

  /** The client sends no more. */
  endInput(): void {
    this.#listener!.onEnd();
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
