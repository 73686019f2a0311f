import {
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials as channelCredentials,
  Metadata,
  ServerCredentials,
  type ServiceError,
  status,
  type StatusObject,
} from "@grpc/grpc-js";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Listener } from "../../base/net.ts";
import {
  addressText,
  type Rpc,
  type RpcAddress,
  type RpcEnd,
  type RpcService,
  type RpcStream,
  type RpcStreamListener,
  type RpcTls,
} from "../../base/rpc.ts";
import { GrpcListener, HELLO_KEY } from "./grpc-listener.ts";

export interface GrpcRpcOptions {
  /** null: plaintext. */
  readonly tls: RpcTls | null;
  /** A message of more ends its stream. */
  readonly maxMessageBytes?: number;
}

/** Above the largest batch that a broker takes (socket.request.max.bytes is 100 MiB). */
const MAX_MESSAGE_BYTES = 128 * 1024 * 1024;
/** Without an answer to the opening for so long, there will be none. */
const OPEN_TIMEOUT_MS = 3_000;
/** What one stream may hold on its way. */
const FLOW_CONTROL_WINDOW_BYTES = 8 * 1024 * 1024;

/** Refusals of whoever listens there; anything else is the network's. */
const REJECTIONS: ReadonlySet<number> = new Set([
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.UNIMPLEMENTED,
  status.INVALID_ARGUMENT,
  status.FAILED_PRECONDITION,
  status.RESOURCE_EXHAUSTED,
  status.OUT_OF_RANGE,
]);

/** Streams between nodes over gRPC (design.md, sections 8 and 9). Imported only when there is another node. */
export class GrpcRpc implements Rpc {
  readonly #clock: Clock;
  readonly #tls: RpcTls | null;
  readonly #channelOptions: ChannelOptions;

  constructor(dependencies: { readonly clock: Clock }, options: GrpcRpcOptions) {
    this.#clock = dependencies.clock;
    this.#tls = options.tls;
    this.#channelOptions = channelOptions(options.maxMessageBytes ?? MAX_MESSAGE_BYTES);
  }

  listen(address: RpcAddress, services: ReadonlyMap<string, RpcService>): Promise<Listener> {
    return GrpcListener.open(
      { clock: this.#clock },
      {
        ...{ address, services },
        credentials: serverCredentials(this.#tls),
        serverOptions: this.#channelOptions,
      },
    );
  }

  open(
    address: RpcAddress,
    service: string,
    opening: Buffer,
    listener: RpcStreamListener,
  ): RpcStream {
    const client = new Client(
      // Not by way of a resolver's scheme: a host may look like one.
      addressText(address),
      clientCredentials(this.#tls),
      this.#channelOptions,
    );
    const metadata = new Metadata();
    metadata.set(HELLO_KEY, opening);
    const call = client.makeBidiStreamRequest(`/${service}`, asItIs, asItIs, metadata);
    return new OpenedStream(
      { clock: this.#clock, client, call },
      { remote: addressText(address), listener },
    );
  }
}

function channelOptions(maxMessageBytes: number): ChannelOptions {
  return {
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": -1,
    "grpc-node.flow_control_window": FLOW_CONTROL_WINDOW_BYTES,
    // A channel is used for one connection: whoever wants another one waits as its own clock says.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.dns_min_time_between_resolutions_ms": 1000,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.enable_retries": 0,
    "grpc.enable_channelz": 0,
    "grpc.keepalive_time_ms": 2000,
    "grpc.keepalive_timeout_ms": 2000,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.use_local_subchannel_pool": 1,
  };
}

function clientCredentials(tls: RpcTls | null) {
  if (tls === null) return channelCredentials.createInsecure();
  const { authorities, certificateChain, privateKey } = tls;
  return channelCredentials.createSsl(
    Buffer.from(authorities),
    Buffer.from(privateKey),
    Buffer.from(certificateChain),
  );
}

function serverCredentials(tls: RpcTls | null): ServerCredentials {
  if (tls === null) return ServerCredentials.createInsecure();
  const { authorities, certificateChain, privateKey } = tls;
  const pair = { private_key: Buffer.from(privateKey), cert_chain: Buffer.from(certificateChain) };
  return ServerCredentials.createSsl(Buffer.from(authorities), [pair], true);
}

interface OpenedStreamDependencies {
  readonly clock: Clock;
  readonly client: Client;
  readonly call: ClientDuplexStream<Buffer, Buffer>;
}

/** The opener's end, with the connection that is its own. */
class OpenedStream implements RpcStream {
  readonly remote: string;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #listener: RpcStreamListener;
  readonly #openTimer: Timer;
  #queuedBytes = 0;
  /** `closed`: this side has ended it, and hears no more. */
  #state: "opening" | "open" | "closed" | "over" = "opening";

  constructor(
    { clock, client, call }: OpenedStreamDependencies,
    options: { readonly remote: string; readonly listener: RpcStreamListener },
  ) {
    this.remote = options.remote;
    this.#client = client;
    this.#call = call;
    this.#listener = options.listener;
    this.#openTimer = clock.after(OPEN_TIMEOUT_MS, () => {
      this.#finish({ kind: "timedOut", message: `no answer in ${OPEN_TIMEOUT_MS} ms` });
    });
    call.on("metadata", (metadata: Metadata) => this.#onMetadata(metadata));
    call.on("data", (message: Buffer) => {
      if (this.#state === "open") this.#listener.onMessage(message);
    });
    call.on("error", (error: ServiceError) => this.#finish(endOf(error)));
    call.on("status", (result: StatusObject) => {
      if (result.code === status.OK) this.#finish({ kind: "ended", message: "ended" });
    });
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  send(message: Buffer): void {
    if (this.#state === "closed" || this.#state === "over") return;
    this.#queuedBytes += message.length;
    this.#call.write(message, () => {
      this.#queuedBytes -= message.length;
      if (this.#queuedBytes === 0 && this.#state === "open") this.#listener.onDrain?.();
    });
  }

  end(): void {
    if (this.#state === "closed" || this.#state === "over") return;
    // The connection is closed when the other side has taken it all, or is gone.
    this.#state = "closed";
    this.#openTimer.cancel();
    this.#call.end();
  }

  destroy(): void {
    if (this.#state === "over") return;
    this.#state = "closed";
    this.#finish({ kind: "lost", message: "destroyed" });
  }

  #onMetadata(metadata: Metadata): void {
    const [answer] = metadata.get(HELLO_KEY);
    if (this.#state !== "opening") return;
    this.#openTimer.cancel();
    if (!(answer instanceof Buffer)) {
      this.#finish({ kind: "rejected", message: "whoever listens there is no node of ours" });
      return;
    }
    this.#state = "open";
    this.#listener.onOpen?.(answer);
  }

  #finish(end: RpcEnd): void {
    if (this.#state === "over") return;
    const isHeard = this.#state !== "closed";
    this.#state = "over";
    this.#openTimer.cancel();
    this.#call.cancel();
    this.#client.close();
    if (isHeard) this.#listener.onEnd(end);
  }
}

function endOf({ code, details }: ServiceError): RpcEnd {
  if (REJECTIONS.has(code)) return { kind: "rejected", message: details };
  // grpc-js has no code of its own for it; the tests would notice another wording.
  const isRefused = code === status.UNAVAILABLE && details.includes("ECONNREFUSED");
  return { kind: isRefused ? "refused" : "lost", message: details };
}

function asItIs(bytes: Buffer): Buffer {
  return bytes;
}
