import {
  type ConnectOpts,
  createServer,
  type Server,
  Socket,
  type SocketConstructorOpts,
} from "node:net";
import { assert } from "../../base/assert.ts";
import type { Connection, ConnectionListener, Listener, Net, OnSent } from "../../base/net.ts";

/** Bytes that may wait in a socket before `write` says so. */
const WRITE_QUEUE_BYTES = 1024 * 1024;

/** Connections that the system accepts before we do (socket.listen.backlog.size of Kafka is 50). */
const BACKLOG = 511;

const NO_BYTES = Buffer.alloc(0);

/** TCP of the operating system. */
export class NodeNet implements Net {
  listen(
    address: { readonly host: string; readonly port: number },
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const server = createServer(
      { noDelay: true, highWaterMark: WRITE_QUEUE_BYTES, pauseOnConnect: true },
      (socket) => onConnection(new NodeConnection(socket)),
    );
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      // No host: all addresses, IPv6 and IPv4, as Kafka's empty host.
      const host = address.host === "" ? {} : { host: address.host };
      server.listen({ ...host, port: address.port, backlog: BACKLOG }, () => {
        server.removeListener("error", reject);
        resolve(new NodeListener(server));
      });
    });
  }
}

class NodeListener implements Listener {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  #closing: Promise<void> | null = null;

  constructor(server: Server) {
    const address = server.address();
    assert(address !== null && typeof address === "object", "a TCP server has an address");
    this.host = address.address;
    this.port = address.port;
    this.#server = server;
    // Out of file descriptors, for one: that connection is lost, the listener goes on.
    server.on("error", () => undefined);
  }

  close(): Promise<void> {
    // Node calls back when the connections have ended, too; the port is free at once.
    this.#closing ??= Promise.resolve(void this.#server.close());
    return this.#closing;
  }
}

/** What Node's handle of a socket was given to write, and what of it waits (net.Socket looks there, too). */
interface WriteQueue {
  readonly bytesWritten?: unknown;
  readonly writeQueueSize?: unknown;
}

class NodeConnection implements Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  #socket: Socket;
  #isCorked = false;
  #failure: Error | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    // Also for a connection that is refused and never listened to.
    socket.on("error", (error) => (this.#failure = error));
    this.remoteAddress = withoutIPv4Mapping(socket.remoteAddress ?? "");
    this.remotePort = socket.remotePort ?? 0;
    this.localAddress = withoutIPv4Mapping(socket.localAddress ?? "");
    this.localPort = socket.localPort ?? 0;
  }

  get queuedBytes(): number {
    const socket = this.#socket as Socket & { _handle?: WriteQueue | null };
    const { bytesWritten, writeQueueSize } = socket._handle ?? {};
    // Without them a write counts whole until all of it has left.
    if (typeof bytesWritten !== "number" || typeof writeQueueSize !== "number") {
      return socket.writableLength;
    }
    return socket.bytesWritten - bytesWritten + writeQueueSize;
  }

  listen(listener: ConnectionListener): void {
    const reader =
      listener.readTarget === undefined ? null : socketReadingInto(this.#socket, listener);
    if (reader === null) {
      this.#socket.on("data", (chunk) => deliver(chunk, listener));
    } else {
      this.#socket = reader;
      reader.on("error", (error) => (this.#failure = error));
    }
    this.#socket
      .on("drain", () => listener.onDrain())
      .on("end", () => listener.onEnd())
      .on("close", () => listener.onClose(this.#failure));
    this.#socket.resume();
  }

  write(buffers: readonly Uint8Array[], onSent?: OnSent): boolean {
    const socket = this.#socket;
    if (!this.#isCorked) {
      this.#isCorked = true;
      socket.cork();
      // After the microtasks of this turn, so that answers which become ready together leave in one writev.
      process.nextTick(() => {
        this.#isCorked = false;
        socket.uncork();
      });
    }
    const last = buffers.length - 1;
    for (const [index, buffer] of buffers.entries()) {
      // Called with an error, too, when the connection closes before.
      if (index === last && onSent !== undefined) socket.write(buffer, onSent);
      else socket.write(buffer);
    }
    return socket.writableLength < WRITE_QUEUE_BYTES;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Bytes that came in memory of the network's own, for a listener that wants them in its own. */
function deliver(chunk: Buffer, listener: ConnectionListener): void {
  if (listener.readTarget === undefined) {
    listener.onData(chunk);
    return;
  }
  for (let at = 0; at < chunk.length;) {
    const target = listener.readTarget();
    const copied = chunk.copy(target, 0, at);
    listener.onData(target.subarray(0, copied));
    at += copied;
  }
}

/**
 * The same connection as a socket that reads into memory of ours (`onread`): Node offers that for
 * connections that it opens, not for those that a server accepts, so the handle changes hands. Before
 * anything was read (`pauseOnConnect`). null: this Node keeps its handle elsewhere.
 */
function socketReadingInto(accepted: Socket, listener: ConnectionListener): Socket | null {
  const owner = accepted as Socket & { _handle?: { useUserBuffer?: unknown } | null };
  const handle = owner._handle;
  if (typeof handle?.useUserBuffer !== "function") return null;
  owner._handle = null;
  // `handle` is what the server itself gives to the sockets that it makes; the types leave it out.
  const options: SocketConstructorOpts & ConnectOpts & { handle: unknown; highWaterMark: number } =
    {
      handle,
      highWaterMark: WRITE_QUEUE_BYTES,
      onread: {
        buffer: () => listener.readTarget?.() ?? NO_BYTES,
        callback: (byteCount, buffer) => {
          listener.onData(Buffer.from(buffer.buffer, buffer.byteOffset, byteCount));
          return true;
        },
      },
    };
  return new Socket(options);
}

/** `::ffff:127.0.0.1`, as a dual-stack socket says it, is the IPv4 address to people and limits. */
function withoutIPv4Mapping(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
