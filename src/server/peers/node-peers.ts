import type { Listener } from "../../base/net.ts";
import type { Ports } from "../../base/ports.ts";
import {
  callOnce,
  type Rpc,
  type RpcAddress,
  type RpcService,
  type RpcTls,
} from "../../base/rpc.ts";
import type { TimerQueue } from "../../base/timer-queue.ts";
import { encodeHello, type Hello, judgeHello } from "../../protocol/peers/hello.ts";
import { ProtobufError } from "../../protocol/peers/protobuf.ts";
import { PeerTransport, RAFT_SERVICE } from "../../raft/peer-transport.ts";
import type { Voter } from "../../raft/core/voters.ts";
import type { LeaderAndEpoch } from "../../raft/raft-client.ts";
import type { ControllerAnswer, ControllerRequest } from "../metadata/controller-apis.ts";
import {
  type AskedLog,
  decodeAskedLogs,
  decodeLogEnds,
  encodeAskedLogs,
  encodeLogEnds,
  LOG_ENDS_SERVICE,
  type LogEnd,
  type LogEnds,
} from "../../replica/log-ends.ts";
import type { ActiveBroker } from "../metadata/image-queries.ts";
import { REPLICATION_SERVICE } from "../../replica/replication-codec.ts";
import { ControlClient } from "./control-client.ts";
import { CONTROL_SERVICE } from "./control-codec.ts";
import { ControlServer, type ExpectedBroker, type LostSession } from "./control-server.ts";

export interface NodePeersDependencies extends Pick<
  Ports,
  "clock" | "random" | "logger" | "openRpc"
> {
  readonly timers: TimerQueue;
}

export interface NodePeersOptions {
  readonly nodeId: number;
  /** Where this node listens for others, and where they are told that it does; port 0: any. */
  readonly listen: RpcAddress;
  readonly advertised: RpcAddress;
  /** Of the voters, this node included, as the settings name them. */
  readonly voters: readonly (RpcAddress & { readonly nodeId: number })[];
  readonly bootstrap: readonly RpcAddress[];
  readonly tls: RpcTls | null;
}

/** What the streams need to know of this node, as it is at each look. */
export interface NodeState {
  readonly clusterId: string;
  readonly directoryId: Hello["directoryId"];
  readonly brokerEpoch: number | null;
  readonly leader: LeaderAndEpoch;
  /** Of a voter that the settings do not name. */
  readonly voterAddress: (nodeId: number) => RpcAddress | null;
}

/** Of the logs that are open here. */
export type LogEndsSource = (asked: readonly AskedLog[]) => readonly LogEnd[];

/** The active controller's side, on each controller. */
export interface ControllerService {
  serve(request: ControllerRequest): Promise<ControllerAnswer>;
  brokerGone(session: LostSession): void;
}

/**
 * The streams between this node and the others of its cluster, on one port: the quorum's messages, and those
 * of brokers to the active controller (decision 0010).
 */
export class NodePeers {
  readonly transport: PeerTransport;
  readonly channel: ControlClient;
  readonly rpc: Rpc;
  /** What this node says of itself, at each opening. */
  readonly hello: () => Hello;
  readonly #options: NodePeersOptions;
  readonly #server: ControlServer;
  #port: number;
  #listener: Listener | null = null;
  #replication: RpcService | null = null;
  #logEnds: LogEndsSource | null = null;

  private constructor(
    dependencies: NodePeersDependencies,
    options: NodePeersOptions,
    rpc: Rpc,
    parts: { readonly state: () => NodeState; readonly service: ControllerService },
  ) {
    const { state, service } = parts;
    this.rpc = rpc;
    this.#options = options;
    this.#port = options.advertised.port;
    const link = { ...dependencies, rpc };
    this.hello = (): Hello => {
      const { clusterId, directoryId, brokerEpoch } = state();
      const { host } = options.advertised;
      const address = { host, port: this.#port };
      return { clusterId, directoryId, brokerEpoch, address, nodeId: options.nodeId };
    };
    const { hello } = this;
    const others = options.voters.filter(({ nodeId }) => nodeId !== options.nodeId);
    const addresses = new Map(others.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
    this.transport = new PeerTransport(link, { hello, addresses, bootstrap: options.bootstrap });
    const leader = (): LeaderAndEpoch => state().leader;
    this.channel = new ControlClient(link, {
      ...{ hello, leader },
      // This node leads, and does not know it yet: nobody asks itself.
      addressOf: (nodeId) =>
        nodeId === options.nodeId ? null : (addresses.get(nodeId) ?? state().voterAddress(nodeId)),
    });
    this.#server = new ControlServer(link, {
      ...{ hello, leader },
      serve: (request) => service.serve(request),
      onSessionLost: (session) => service.brokerGone(session),
    });
  }

  /** Connects, and listens when `listen` is called. */
  static async open(
    dependencies: NodePeersDependencies,
    options: NodePeersOptions,
    parts: { readonly state: () => NodeState; readonly service: ControllerService },
  ): Promise<NodePeers> {
    const rpc = await dependencies.openRpc({ tls: options.tls });
    return new NodePeers(dependencies, options, rpc, parts);
  }

  /** Rejects with an Error whose `code` is EADDRINUSE, EACCES, …. */
  async listen(): Promise<void> {
    const services = new Map([
      [RAFT_SERVICE, this.transport.service],
      [CONTROL_SERVICE, this.#server.service],
      [REPLICATION_SERVICE, this.#replicate],
      [LOG_ENDS_SERVICE, this.#sayLogEnds],
    ]);
    this.#listener = await this.rpc.listen(this.#options.listen, services);
    if (this.#port === 0) this.#port = this.#listener.port;
  }

  /** Sends records to followers from now on; until then they are told to come again. */
  serveReplication(service: RpcService): void {
    this.#replication = service;
  }

  readonly #replicate: RpcService = (opening) =>
    this.#replication?.(opening) ?? { kind: "rejected", message: "this node is starting" };

  /** Says from now on how far the logs go that are here. */
  serveLogEnds(source: LogEndsSource): void {
    this.#logEnds = source;
  }

  /** How far the broker's logs go (R11). Rejects with RpcError, ProtobufError. */
  async askLogEnds(
    { brokerId, address }: ActiveBroker,
    asked: readonly AskedLog[],
  ): Promise<LogEnds> {
    if (brokerId === this.#options.nodeId) return this.#logEndsOf(asked);
    const opening = encodeHello(this.hello());
    const call = { service: LOG_ENDS_SERVICE, opening, message: encodeAskedLogs(asked) };
    return decodeLogEnds(await callOnce(this.rpc, address, call));
  }

  #logEndsOf(asked: readonly AskedLog[]): LogEnds {
    return { brokerEpoch: this.hello().brokerEpoch ?? 0, ends: this.#logEnds?.(asked) ?? [] };
  }

  /** Answers one question a stream. */
  readonly #sayLogEnds: RpcService = ({ bytes }) => {
    const verdict = judgeHello(bytes, this.hello());
    if (verdict.kind === "stranger") return { kind: "rejected", message: verdict.message };
    return {
      kind: "admitted",
      answer: encodeHello(this.hello()),
      onStream: (stream) => ({
        onMessage: (message) => {
          try {
            stream.send(encodeLogEnds(this.#logEndsOf(decodeAskedLogs(message))));
          } catch (error) {
            if (!(error instanceof ProtobufError)) throw error;
            stream.destroy();
          }
        },
        onEnd: () => undefined,
      }),
    };
  };

  /** Another node may lead, and there may be voters that the settings do not name (KIP-853). */
  follow(voters: readonly Voter[]): void {
    const isNamed = (id: number): boolean =>
      this.#options.voters.some(({ nodeId }) => nodeId === id);
    for (const { nodeId, endpoints } of voters) {
      const [endpoint] = endpoints;
      if (endpoint !== undefined && !isNamed(nodeId)) this.transport.setAddress(nodeId, endpoint);
    }
    this.channel.follow();
  }

  /** This node is the active controller from now on, and these should be there (R16). */
  expect(brokers: readonly ExpectedBroker[]): void {
    const { nodeId } = this.#options;
    this.#server.expect(brokers.filter(({ brokerId }) => brokerId !== nodeId));
  }

  /** Streams end; nobody is served any more. Idempotent. */
  async close(): Promise<void> {
    this.channel.close();
    this.#server.close();
    await this.transport.close();
    await this.#listener?.close();
    this.#listener = null;
  }
}
