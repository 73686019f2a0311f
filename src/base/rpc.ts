import type { Listener } from "./net.ts";

/** Where another node listens. */
export interface RpcAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * How a stream came to its end.
 * - `ended`: the other side has closed it. If it was by `end`, all that it had sent has been delivered.
 * - `refused`: nobody listens at the address (R16).
 * - `rejected`: somebody does, and will have none of it; `message` says why.
 * - `lost`: the connection broke, or could not be made for another reason; what was sent may or may not
 *   have arrived.
 * - `timedOut`: no answer came to the opening.
 */
export interface RpcEnd {
  readonly kind: "ended" | "refused" | "rejected" | "lost" | "timedOut";
  /** For people. */
  readonly message: string;
}

/** Told what happens to a stream; never called from inside a call of ours. */
export interface RpcStreamListener {
  /** The other side has admitted us; first call. Whoever is opened to is not told. */
  onOpen?(answer: Buffer): void;
  onMessage(message: Buffer): void;
  /** What was sent has left: `queuedBytes` has come down to 0. */
  onDrain?(): void;
  /** Last call, always exactly one, unless this side has closed the stream itself. */
  onEnd(end: RpcEnd): void;
}

/**
 * Messages in order, both ways, on a connection of its own, so that no stream queues behind another.
 * Whoever opens one may send at once; that is delivered when it has been admitted.
 */
export interface RpcStream {
  /** Of the other side, for people. */
  readonly remote: string;
  /** Bytes of messages that wait here: the network has not taken them. The sender bounds them. */
  readonly queuedBytes: number;
  /** The buffer must not change any more. Dropped when the stream has come to its end. */
  send(message: Buffer): void;
  /** The other side is told `ended` after all that was sent. Nothing is called any more. Idempotent. */
  end(): void;
  /** Drops what waits; the other side is told `ended` or `lost`. Nothing is called any more. Idempotent. */
  destroy(): void;
}

/** Who opens a stream, before a byte of its messages is looked at. */
export interface RpcOpening {
  /** What the opener says of itself. */
  readonly bytes: Buffer;
  readonly remote: string;
}

export type RpcAdmission =
  | {
      readonly kind: "admitted";
      /** What the opener is told. */
      readonly answer: Buffer;
      /** Called at once with the stream; gives back who is told of it. */
      readonly onStream: (stream: RpcStream) => RpcStreamListener;
    }
  /** The opener is told the message, and nothing is kept of it. */
  | { readonly kind: "rejected"; readonly message: string };

/** What is served under one name. */
export type RpcService = (opening: RpcOpening) => RpcAdmission;

/**
 * The way between nodes: streams of messages that are opaque here (design.md, section 2). A message of more
 * than `maxMessageBytes` ends its stream.
 */
export interface Rpc {
  /**
   * Services go by `package.Service/Method`. Whoever closes the listener breaks the streams that it has
   * accepted. Rejects with an Error whose `code` is EADDRINUSE, EACCES, ….
   */
  listen(address: RpcAddress, services: ReadonlyMap<string, RpcService>): Promise<Listener>;
  /** Connects and opens; what comes of it is told to the listener. */
  open(
    address: RpcAddress,
    service: string,
    opening: Buffer,
    listener: RpcStreamListener,
  ): RpcStream;
}

/** Texts in PEM. Who has no certificate of the authority gets no stream. */
export interface RpcTls {
  readonly authorities: string;
  readonly certificateChain: string;
  readonly privateKey: string;
}

/** `tls` null: plaintext. */
export type OpenRpc = (options: { readonly tls: RpcTls | null }) => Promise<Rpc>;

/** A call that has no answer. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly kind: RpcEnd["kind"];

  constructor({ kind, message }: RpcEnd) {
    super(message);
    this.kind = kind;
  }
}

/** One message there, the first that comes back. Rejects with RpcError; `ended`: none came. */
export function callOnce(
  rpc: Pick<Rpc, "open">,
  address: RpcAddress,
  call: { readonly service: string; readonly opening: Buffer; readonly message: Buffer },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = rpc.open(address, call.service, call.opening, {
      onMessage: (answer) => {
        stream.end();
        resolve(answer);
      },
      onEnd: (end) => reject(new RpcError(end)),
    });
    stream.send(call.message);
  });
}

/** `host:port`, with brackets around an IPv6 address. */
export function addressText({ host, port }: RpcAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
