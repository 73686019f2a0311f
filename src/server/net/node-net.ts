import { createServer, type Server, type Socket } from "node:net";
import { assert } from "../../base/assert.ts";
import type { Connection, ConnectionListener, Listener, Net } from "../../base/net.ts";

/** Bytes that may wait in a socket before `write` says so. */
const WRITE_QUEUE_BYTES = 1024 * 1024;

/** Connections that the system accepts before we do (socket.listen.backlog.size of Kafka is 50). */
const BACKLOG = 511;

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

class NodeConnection implements Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly #socket: Socket;
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

  listen(listener: ConnectionListener): void {
    this.#socket
      .on("data", (chunk) => listener.onData(chunk))
      .on("drain", () => listener.onDrain())
      .on("end", () => listener.onEnd())
      .on("close", () => listener.onClose(this.#failure));
    this.#socket.resume();
  }

  write(buffers: readonly Uint8Array[]): boolean {
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
    for (const buffer of buffers) socket.write(buffer);
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

/** `::ffff:127.0.0.1`, as a dual-stack socket says it, is the IPv4 address to people and limits. */
function withoutIPv4Mapping(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
