import type { Logger } from "../base/logger.ts";
import type { RpcAdmission, RpcOpening, RpcService, RpcStream } from "../base/rpc.ts";
import { encodeHello, type Hello, judgeHello } from "../protocol/peers/hello.ts";
import { FollowerStream, type FollowerStreamDependencies } from "./follower-stream.ts";
import type { Follower, LedPartitions } from "./replication-ports.ts";

export interface FollowerStreamsDependencies extends Pick<FollowerStreamDependencies, "clock"> {
  readonly logger: Logger;
}

export interface FollowerStreamsOptions {
  /** What this node says of itself, at each opening. */
  readonly hello: () => Hello;
  readonly partitions: LedPartitions;
}

interface Visitor {
  readonly follower: Follower;
  readonly stream: RpcStream;
  readonly sending: FollowerStream;
}

/** The streams on which this node, as a leader, sends to the brokers that follow it: one to each of them. */
export class FollowerStreams {
  /** For the port on which this node listens, under REPLICATION_SERVICE. */
  readonly service: RpcService = (opening) => this.#admit(opening);
  readonly #dependencies: FollowerStreamsDependencies;
  readonly #options: FollowerStreamsOptions;
  /** The newest of each broker. */
  readonly #visitors = new Map<number, Visitor>();
  #complaint = "";
  #isClosed = false;

  constructor(dependencies: FollowerStreamsDependencies, options: FollowerStreamsOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
  }

  /** Ends the streams with their sessions; whoever comes is turned away. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const { stream, sending } of this.#visitors.values()) {
      sending.end();
      stream.end();
    }
    this.#visitors.clear();
  }

  #admit({ bytes, remote }: RpcOpening): RpcAdmission {
    if (this.#isClosed) return { kind: "rejected", message: "this node is stopping" };
    const self = this.#options.hello();
    const verdict = judgeHello(bytes, self);
    if (verdict.kind === "stranger") return this.#reject(remote, verdict.message);
    const { nodeId, brokerEpoch } = verdict.hello;
    if (brokerEpoch === null) {
      return this.#reject(remote, `node ${nodeId} has not registered as a broker`);
    }
    const newest = this.#visitors.get(nodeId)?.follower.brokerEpoch ?? -1;
    if (brokerEpoch < newest) {
      const message = `broker ${nodeId} has registered again: epoch ${brokerEpoch} is over`;
      return this.#reject(remote, message);
    }
    return {
      kind: "admitted",
      answer: encodeHello(self),
      onStream: (stream) => this.#welcome({ brokerId: nodeId, brokerEpoch }, stream),
    };
  }

  /** Whoever is turned away comes again, so that is said once. */
  #reject(remote: string, message: string): RpcAdmission {
    if (message !== this.#complaint) {
      this.#complaint = message;
      this.#dependencies.logger.warn({ remote }, `a stream was refused: ${message}`);
    }
    return { kind: "rejected", message };
  }

  #welcome(follower: Follower, stream: RpcStream) {
    const { clock, logger } = this.#dependencies;
    const { partitions } = this.#options;
    const sending = new FollowerStream({ clock, partitions }, follower, stream);
    const visitor = { follower, stream, sending };
    // It has started anew, or lost the other one without this node having noticed yet.
    this.#visitors.get(follower.brokerId)?.stream.destroy();
    this.#forget(this.#visitors.get(follower.brokerId));
    this.#visitors.set(follower.brokerId, visitor);
    return {
      onMessage: (bytes: Buffer) => {
        const problem = sending.onMessage(bytes);
        if (problem === null) return;
        const { brokerId } = follower;
        logger.warn({ brokerId }, `a replication stream is ended: broker ${brokerId} ${problem}`);
        stream.destroy();
        this.#forget(visitor);
      },
      onDrain: () => sending.onDrain(),
      onEnd: () => this.#forget(visitor),
    };
  }

  /** What the broker had told on that stream counts no more. */
  #forget(visitor: Visitor | undefined): void {
    if (visitor === undefined) return;
    visitor.sending.end();
    const { brokerId } = visitor.follower;
    if (this.#visitors.get(brokerId) === visitor) this.#visitors.delete(brokerId);
  }
}
