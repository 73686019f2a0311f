import { createServer, type Server as NetServer, type Socket } from "node:net";
import {
  type ChannelOptions,
  type ConnectionInjector,
  Metadata,
  Server,
  type ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import { assert } from "../../base/assert.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Listener } from "../../base/net.ts";
import type { RpcAddress, RpcService, RpcStream, RpcStreamListener } from "../../base/rpc.ts";

/** In the request what the opener says of itself, in the response what it is answered. */
export const HELLO_KEY = "holdfast-hello-bin";

/** A connection on which no stream was admitted, or the last has ended, is closed after so long. */
const STRANGER_TIMEOUT_MS = 10_000;
/** With more of them, the oldest goes: nobody can fill the memory without being a node of the cluster. */
const MAX_STRANGERS = 64;
const MAX_STREAMS_PER_CONNECTION = 16;
const BACKLOG = 511;

type Call = ServerDuplexStream<Buffer, Buffer>;

export interface GrpcListenerOptions {
  readonly address: RpcAddress;
  readonly services: ReadonlyMap<string, RpcService>;
  readonly credentials: ServerCredentials;
  readonly serverOptions: ChannelOptions;
}

interface Guest {
  readonly socket: Socket;
  /** Admitted ones that have not ended. */
  streamCount: number;
  timer: Timer | null;
}

/** A port for other nodes. Connections are accepted here and counted, and only then given to gRPC. */
export class GrpcListener implements Listener {
  readonly host: string;
  readonly port: number;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #netServer: NetServer;
  /** By address and port of the other side, as gRPC names it. */
  readonly #guests = new Map<string, Guest>();
  #isClosed = false;

  /** Rejects with an Error whose `code` is the system's. */
  static open(
    dependencies: { readonly clock: Clock },
    options: GrpcListenerOptions,
  ): Promise<GrpcListener> {
    const { host, port } = options.address;
    const netServer = createServer({ noDelay: true });
    return new Promise((resolve, reject) => {
      netServer.once("error", reject);
      netServer.listen({ ...(host === "" ? {} : { host }), port, backlog: BACKLOG }, () => {
        netServer.removeListener("error", reject);
        resolve(new GrpcListener(dependencies, options, netServer));
      });
    });
  }

  private constructor(
    dependencies: { readonly clock: Clock },
    options: GrpcListenerOptions,
    netServer: NetServer,
  ) {
    const address = netServer.address();
    assert(address !== null && typeof address === "object", "a TCP server has an address");
    this.host = address.address;
    this.port = address.port;
    this.#clock = dependencies.clock;
    this.#netServer = netServer;
    this.#server = new Server({
      ...options.serverOptions,
      "grpc.max_concurrent_streams": MAX_STREAMS_PER_CONNECTION,
    });
    for (const [name, service] of options.services) {
      // Not inside gRPC's own call, which would take a bug of ours for an answer to the peer.
      const handler = (call: Call): void => queueMicrotask(() => this.#onCall(call, service));
      this.#server.register<Buffer, Buffer>(`/${name}`, handler, asItIs, asItIs, "bidi");
    }
    this.#injector = this.#server.createConnectionInjector(options.credentials);
    netServer.on("connection", (socket) => this.#onConnection(socket));
    // Out of file descriptors, for one: that connection is lost, the listener goes on.
    netServer.on("error", () => undefined);
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#netServer.close();
      for (const { socket } of this.#guests.values()) socket.destroy();
      this.#injector.destroy();
      this.#server.forceShutdown();
    }
    return Promise.resolve();
  }

  #onConnection(socket: Socket): void {
    const name = `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`;
    const guest: Guest = { socket, streamCount: 0, timer: null };
    this.#guests.set(name, guest);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      guest.timer?.cancel();
      if (this.#guests.get(name) === guest) this.#guests.delete(name);
    });
    this.#expectStream(guest);
    this.#maybeEvict();
    this.#injector.injectConnection(socket);
  }

  #expectStream(guest: Guest): void {
    guest.timer = this.#clock.after(STRANGER_TIMEOUT_MS, () => guest.socket.destroy());
  }

  #maybeEvict(): void {
    const strangers = [...this.#guests.values()].filter(({ streamCount }) => streamCount === 0);
    if (strangers.length > MAX_STRANGERS) strangers[0]?.socket.destroy();
  }

  #onCall(call: Call, service: RpcService): void {
    const guest = this.#guests.get(call.getPeer());
    const [opening] = call.metadata.get(HELLO_KEY);
    if (guest === undefined) {
      refuse(call, "the connection has gone since");
      return;
    }
    if (!(opening instanceof Buffer)) {
      refuse(call, "this port is for the nodes of a Holdfast cluster");
      return;
    }
    const admission = service({ bytes: opening, remote: call.getPeer() });
    if (admission.kind === "rejected") {
      refuse(call, admission.message);
      return;
    }
    guest.streamCount += 1;
    guest.timer?.cancel();
    const metadata = new Metadata();
    metadata.set(HELLO_KEY, admission.answer);
    call.sendMetadata(metadata);
    const stream = new AcceptedStream(call, guest.socket);
    stream.listen(admission.onStream(stream), () => {
      guest.streamCount -= 1;
      if (guest.streamCount === 0 && !guest.socket.destroyed) this.#expectStream(guest);
    });
  }
}

/** The other end of a stream that was opened to this node. */
class AcceptedStream implements RpcStream {
  readonly remote: string;
  readonly #call: Call;
  /** Of the connection, which is the stream's own. */
  readonly #socket: Socket;
  #queuedBytes = 0;
  #state: "open" | "ending" | "over" = "open";
  #onOver: () => void = () => undefined;
  #onDrain: () => void = () => undefined;

  constructor(call: Call, socket: Socket) {
    this.remote = call.getPeer();
    this.#call = call;
    this.#socket = socket;
  }

  listen(listener: RpcStreamListener, onOver: () => void): void {
    this.#onOver = onOver;
    this.#onDrain = () => listener.onDrain?.();
    const over = (kind: "ended" | "lost", message: string): void => {
      const isHeard = this.#state === "open";
      this.#finish();
      if (isHeard) listener.onEnd({ kind, message });
    };
    this.#call
      .on("data", (message: Buffer) => {
        if (this.#state === "open") listener.onMessage(message);
      })
      .on("end", () => {
        // Also the first that is heard when the connection breaks, and then its socket is known to be gone.
        if (this.#socket.destroyed || this.#socket.readableEnded) {
          over("lost", "the connection is lost");
          return;
        }
        if (this.#state === "open") this.#call.end();
        over("ended", "ended");
      })
      .on("cancelled", () => over("lost", "the connection is lost"))
      .on("error", (error: Error) => over("lost", error.message))
      .on("close", () => over("lost", "the connection is lost"));
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  send(message: Buffer): void {
    if (this.#state !== "open") return;
    this.#queuedBytes += message.length;
    this.#call.write(message, () => {
      this.#queuedBytes -= message.length;
      if (this.#queuedBytes === 0 && this.#state === "open") this.#onDrain();
    });
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#call.end();
  }

  destroy(): void {
    if (this.#state === "over") return;
    this.#finish();
    // What waits in it goes with it.
    this.#socket.destroy();
  }

  #finish(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#onOver();
  }
}

function refuse(call: Call, details: string): void {
  call.emit("error", { code: status.PERMISSION_DENIED, details });
}

function asItIs(bytes: Buffer): Buffer {
  return bytes;
}
