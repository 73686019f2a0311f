import type { RpcAddress, RpcEnd } from "../../base/rpc.ts";
import { addressText } from "../../base/rpc.ts";
import type { Timer } from "../../base/clock.ts";
import type { TimerQueue } from "../../base/timer-queue.ts";
import { KafkaError } from "../../protocol/errors.ts";
import type { Hello } from "../../protocol/peers/hello.ts";
import { PeerLink, type PeerLinkDependencies } from "../../protocol/peers/peer-link.ts";
import { ProtobufError } from "../../protocol/peers/protobuf.ts";
import type { LeaderAndEpoch } from "../../raft/raft-client.ts";
import type { ControllerAnswer, ControllerRequest } from "../metadata/controller-apis.ts";
import type { ControllerChannel } from "../metadata/controller-client.ts";
import {
  CONTROL_SERVICE,
  type ControlAnswer,
  decodeControlAnswer,
  encodeControlRequest,
} from "./control-codec.ts";

export interface ControlClientDependencies extends PeerLinkDependencies {
  readonly timers: TimerQueue;
}

export interface ControlClientOptions {
  /** What this node says of itself, at each opening and with each request. */
  readonly hello: () => Hello;
  /** Who leads, as far as the quorum here knows. */
  readonly leader: () => LeaderAndEpoch;
  /** Where a controller listens; null: nobody has said. */
  readonly addressOf: (nodeId: number) => RpcAddress | null;
}

/** Sent, and not answered. */
interface Pending {
  readonly resolve: (answer: ControllerAnswer) => void;
  readonly reject: (error: KafkaError) => void;
  readonly timer: Timer;
}

/** More than a broker ever asks at a time. */
const MAX_PENDING = 1_000;

/**
 * The stream of this node to the active controller. It is kept open also when there is nothing to say, since
 * its end is how the controller learns at once that this process is gone (R16).
 */
export class ControlClient implements ControllerChannel {
  readonly #dependencies: ControlClientDependencies;
  readonly #options: ControlClientOptions;
  readonly #pending = new Map<number, Pending>();
  #nextCorrelationId = 1;
  /** Of a controller that did not lead any more; counts while it knows more than the quorum here. */
  #hint: LeaderAndEpoch = { leaderId: null, leaderEpoch: -1 };
  #link: { readonly leaderId: number; readonly link: PeerLink } | null = null;
  #isClosed = false;

  constructor(dependencies: ControlClientDependencies, options: ControlClientOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
  }

  /** Opens a stream to whoever leads now, unless there is one. Called when that may have changed. */
  follow(): void {
    if (this.#isClosed) return;
    const leaderId = this.#leaderId();
    if (leaderId === this.#options.hello().nodeId) this.#leave("this node leads now");
    else this.#goTo(leaderId);
  }

  #goTo(leaderId: number | null): void {
    const address = leaderId === null ? null : this.#options.addressOf(leaderId);
    if (leaderId === null || address === null) return;
    const current = this.#link;
    const isThere = current !== null && addressText(current.link.address) === addressText(address);
    if (isThere && current.leaderId === leaderId) return;
    this.#leave("another controller has taken over");
    this.#link = { leaderId, link: this.#open(leaderId, address) };
    this.#link.link.start();
  }

  request(request: ControllerRequest, timeoutMs: number): Promise<ControllerAnswer> {
    this.follow();
    const { hello } = this.#options;
    const link = this.#link?.link;
    const problem = this.#problem();
    if (problem !== null || link === undefined) {
      return Promise.reject(new KafkaError("NOT_CONTROLLER", problem ?? "no controller is known"));
    }
    const correlationId = this.#nextCorrelationId;
    this.#nextCorrelationId += 1;
    return new Promise((resolve, reject) => {
      const timer = this.#dependencies.timers.after(timeoutMs, () => {
        this.#pending.delete(correlationId);
        reject(new KafkaError("REQUEST_TIMED_OUT", `no answer in ${timeoutMs} ms`));
      });
      this.#pending.set(correlationId, { resolve, reject, timer });
      const { brokerEpoch } = hello();
      link.send(encodeControlRequest({ ...request, correlationId, brokerEpoch }));
    });
  }

  /** What waits is rejected with NETWORK_EXCEPTION. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#leave("this node is stopping");
  }

  #leave(reason: string): void {
    this.#link?.link.close();
    this.#link = null;
    this.#failAll("NETWORK_EXCEPTION", reason);
  }

  #problem(): string | null {
    if (this.#isClosed) return "this node is stopping";
    if (this.#leaderId() === null || this.#link === null) return "no controller is known";
    if (!this.#link.link.isConnecting) return "the controller is not reached";
    return this.#pending.size < MAX_PENDING ? null : `${MAX_PENDING} requests wait for an answer`;
  }

  #leaderId(): number | null {
    const leader = this.#options.leader();
    return this.#hint.leaderEpoch > leader.leaderEpoch ? this.#hint.leaderId : leader.leaderId;
  }

  #open(nodeId: number, address: RpcAddress): PeerLink {
    const link = new PeerLink(
      this.#dependencies,
      { service: CONTROL_SERVICE, address, nodeId, hello: this.#options.hello },
      {
        onMessage: (_peer, bytes) => this.#onMessage(link, bytes),
        onEnd: (end) => this.#onEnd(end),
      },
    );
    return link;
  }

  #onMessage(link: PeerLink, bytes: Buffer): void {
    let answer: ControlAnswer;
    try {
      answer = decodeControlAnswer(bytes);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      link.reject(`a damaged answer of the controller: ${error.message}`);
      return;
    }
    const { correlationId, outcome } = answer;
    const pending = this.#take(correlationId);
    if (outcome.kind === "answered") {
      pending?.resolve(outcome.answer);
      return;
    }
    if (outcome.error === "NOT_CONTROLLER") {
      this.#hint = outcome.leader;
      this.follow();
    }
    pending?.reject(new KafkaError(outcome.error, outcome.message));
  }

  #onEnd({ kind, message }: RpcEnd): void {
    // Nobody who is not there, or turns everybody away, has done anything.
    const isUndone = kind === "refused" || kind === "rejected";
    this.#failAll(isUndone ? "NOT_CONTROLLER" : "NETWORK_EXCEPTION", message);
    // Whoever leads now may be known by now, too.
    this.follow();
  }

  #failAll(name: "NOT_CONTROLLER" | "NETWORK_EXCEPTION", message: string): void {
    for (const correlationId of [...this.#pending.keys()]) {
      this.#take(correlationId)?.reject(new KafkaError(name, message));
    }
  }

  /** Undefined: it has timed out. */
  #take(correlationId: number): Pending | undefined {
    const pending = this.#pending.get(correlationId);
    pending?.timer.cancel();
    this.#pending.delete(correlationId);
    return pending;
  }
}
