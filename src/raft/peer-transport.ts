import type { RpcAddress, RpcOpening, RpcAdmission, RpcService, RpcStream } from "../base/rpc.ts";
import { addressText } from "../base/rpc.ts";
import { encodeHello, type Hello, judgeHello, REACHED_ITSELF } from "../protocol/peers/hello.ts";
import { PeerLink, type PeerLinkDependencies } from "../protocol/peers/peer-link.ts";
import { ProtobufError } from "../protocol/peers/protobuf.ts";
import { decodeRaftMessage, encodeRaftMessage } from "./raft-codec.ts";
import type { RaftMessage, RaftTransport, RaftTransportListener } from "./transport.ts";

/** As raft.proto names it. */
export const RAFT_SERVICE = "holdfast.Raft/Exchange";

/** What waits for one node; more is dropped, and sent again by whoever needs it. */
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;

export interface PeerTransportOptions {
  /** What this node says of itself, at each opening. */
  readonly hello: () => Hello;
  /** Where the voters are, by id; without this node. */
  readonly addresses: ReadonlyMap<number, RpcAddress>;
  /** Where there are nodes of which the id is not known (controller.quorum.bootstrap.servers). */
  readonly bootstrap: readonly RpcAddress[];
}

interface Visitor {
  readonly hello: Hello;
  readonly stream: RpcStream;
}

/**
 * The messages of the quorum on streams between nodes: one to each node whose address is known, opened by
 * this one and kept; others, such as observers, are answered on the stream that they have opened.
 */
export class PeerTransport implements RaftTransport {
  /** For the port on which this node listens, under RAFT_SERVICE. */
  readonly service: RpcService = (opening) => this.#admit(opening);
  readonly #dependencies: PeerLinkDependencies;
  readonly #options: PeerTransportOptions;
  /** By id. */
  readonly #links = new Map<number, PeerLink>();
  /** To addresses whose node is not known before it answers; with the id that it had last. */
  readonly #bootstrapLinks = new Map<PeerLink, number | null>();
  /** Who has opened a stream to this node, by id: the newest of each. */
  readonly #visitors = new Map<number, Visitor>();
  #listener: RaftTransportListener | null = null;
  #complaint = "";
  #isClosed = false;

  /** It connects at once. */
  constructor(dependencies: PeerLinkDependencies, options: PeerTransportOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
    for (const [nodeId, address] of options.addresses) this.setAddress(nodeId, address);
    for (const address of options.bootstrap) this.#openBootstrap(address);
  }

  /** The node is to be reached there from now on, as the voters' record says. */
  setAddress(nodeId: number, address: RpcAddress): void {
    const before = this.#links.get(nodeId);
    if (this.#isClosed || nodeId === this.#options.hello().nodeId) return;
    if (before !== undefined && addressText(before.address) === addressText(address)) return;
    before?.close();
    this.#dropBootstrap((id) => id === nodeId);
    const link = this.#link(address, nodeId, () => nodeId);
    this.#links.set(nodeId, link);
    link.start();
  }

  send(to: number, message: RaftMessage): void {
    const way = this.#wayTo(to);
    if (way === null || way.queuedBytes > MAX_QUEUED_BYTES) return;
    way.send(encodeRaftMessage(message));
  }

  setListener(listener: RaftTransportListener | null): void {
    this.#listener = listener;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#listener = null;
    for (const link of [...this.#links.values(), ...this.#bootstrapLinks.keys()]) link.close();
    for (const { stream } of this.#visitors.values()) stream.end();
    this.#links.clear();
    this.#bootstrapLinks.clear();
    this.#visitors.clear();
    return Promise.resolve();
  }

  #wayTo(nodeId: number): Pick<RpcStream, "send" | "queuedBytes"> | null {
    const link = this.#links.get(nodeId);
    const links = [link, ...this.#bootstrapLinks.keys()];
    const open = links.find((candidate) => candidate?.peer?.nodeId === nodeId);
    if (open !== undefined) return open;
    const visitor = this.#visitors.get(nodeId);
    if (visitor !== undefined) return visitor.stream;
    // Nothing is known against it yet.
    return link?.isConnecting === true ? link : null;
  }

  #openBootstrap(address: RpcAddress): void {
    const link = this.#link(address, null, () => this.#bootstrapLinks.get(link) ?? null);
    this.#bootstrapLinks.set(link, null);
    link.start();
  }

  /** One stream a node is enough: a second one would take the first one's place at the other side. */
  #onBootstrapFound(link: PeerLink, nodeId: number): void {
    const isKnown = this.#links.has(nodeId);
    this.#dropBootstrap((id, other) => (other === link ? isKnown : id === nodeId));
    if (!isKnown) this.#bootstrapLinks.set(link, nodeId);
  }

  #dropBootstrap(isSuperfluous: (id: number | null, link: PeerLink) => boolean): void {
    for (const [link, id] of [...this.#bootstrapLinks]) {
      if (!isSuperfluous(id, link)) continue;
      link.close();
      this.#bootstrapLinks.delete(link);
    }
  }

  #link(address: RpcAddress, nodeId: number | null, idOf: () => number | null): PeerLink {
    const { hello } = this.#options;
    const link = new PeerLink(
      this.#dependencies,
      { service: RAFT_SERVICE, address, nodeId, hello },
      {
        onOpen: (peer) => {
          if (nodeId === null) this.#onBootstrapFound(link, peer.nodeId);
        },
        onMessage: (peer, bytes) => this.#onMessage(peer, bytes, (message) => link.reject(message)),
        onEnd: ({ kind }) => {
          const id = idOf();
          if (kind === "refused" && id !== null) this.#listener?.onUnreachable(id);
        },
      },
    );
    return link;
  }

  #admit({ bytes, remote }: RpcOpening): RpcAdmission {
    if (this.#isClosed) return { kind: "rejected", message: "this node is stopping" };
    const self = this.#options.hello();
    const verdict = judgeHello(bytes, self);
    if (verdict.kind === "stranger") {
      this.#complain(remote, verdict.message);
      return { kind: "rejected", message: verdict.message };
    }
    const { hello } = verdict;
    return {
      kind: "admitted",
      answer: encodeHello(self),
      onStream: (stream) => this.#welcome({ hello, stream }),
    };
  }

  /** Whoever is turned away comes again, so that is said once. */
  #complain(remote: string, message: string): void {
    if (message === this.#complaint || message === REACHED_ITSELF) return;
    this.#complaint = message;
    this.#dependencies.logger.warn({ remote }, `a stream was refused: ${message}`);
  }

  #welcome(visitor: Visitor) {
    const { hello, stream } = visitor;
    // It has started anew, or lost the other one without this node having noticed yet.
    this.#visitors.get(hello.nodeId)?.stream.destroy();
    this.#visitors.set(hello.nodeId, visitor);
    const forget = (): void => {
      if (this.#visitors.get(hello.nodeId) === visitor) this.#visitors.delete(hello.nodeId);
    };
    return {
      onMessage: (bytes: Buffer) =>
        this.#onMessage(hello, bytes, () => {
          stream.destroy();
          forget();
        }),
      onEnd: forget,
    };
  }

  #onMessage(peer: Hello, bytes: Buffer, reject: (message: string) => void): void {
    const { nodeId, directoryId } = peer;
    let message: RaftMessage;
    try {
      message = decodeRaftMessage(bytes);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      const { logger } = this.#dependencies;
      logger.warn({ nodeId }, `a damaged message from node ${nodeId}: ${error.message}`);
      reject(error.message);
      return;
    }
    this.#listener?.onMessage({ nodeId, directoryId }, message);
  }
}
