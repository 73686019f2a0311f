import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type {
  Rpc,
  RpcAddress,
  RpcAdmission,
  RpcOpening,
  RpcService,
  RpcStream,
} from "../../base/rpc.ts";
import { type ErrorName, KafkaError, ProtocolError } from "../../protocol/errors.ts";
import { encodeHello, type Hello, judgeHello } from "../../protocol/peers/hello.ts";
import { ProtobufError } from "../../protocol/peers/protobuf.ts";
import type { LeaderAndEpoch } from "../../raft/raft-client.ts";
import type { ControllerAnswer, ControllerRequest } from "../metadata/controller-apis.ts";
import {
  type ControlAnswer,
  type ControlRequest,
  decodeControlRequest,
  encodeControlAnswer,
} from "./control-codec.ts";

/** A process that is gone: it has no stream, and nobody listens where it could be reached (R16). */
export interface LostSession {
  readonly brokerId: number;
  /** Of its last request, or of its registration. */
  readonly brokerEpoch: number;
  /** What became of the stream: it broke, was closed, or never came since this node leads. */
  readonly how: "lost" | "ended" | "absent";
}

/** A broker that is registered, and not fenced, when this node begins to lead. */
export interface ExpectedBroker {
  readonly brokerId: number;
  readonly brokerEpoch: number;
  readonly address: RpcAddress;
}

export interface ControlServerDependencies {
  readonly rpc: Pick<Rpc, "open">;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ControlServerOptions {
  /** What this node says of itself, at each opening. */
  readonly hello: () => Hello;
  /** Told to whoever asks a node that does not lead. */
  readonly leader: () => LeaderAndEpoch;
  /** Rejects with KafkaError or ProtocolError. */
  readonly serve: (request: ControllerRequest, from: Hello) => Promise<ControllerAnswer>;
  readonly onSessionLost: (session: LostSession) => void;
}

interface Session {
  readonly hello: Hello;
  readonly stream: RpcStream;
  /** Of the last request that named one. */
  brokerEpoch: number | null;
  /** In work. */
  requestCount: number;
}

/** More than any broker asks at a time. */
const MAX_REQUESTS = 2_000;
/** Brokers that live come to a new leader sooner. */
const EXPECTED_WITHIN_MS = 200;
/** Two refusals, so far apart, are no accident of one attempt (R16: within 300 ms). */
const SECOND_PROBE_MS = 100;
/** No node serves it: whoever says so is alive. */
const PROBE_SERVICE = "holdfast.Nothing/Probe";

/** The active controller's end of the control streams. */
export class ControlServer {
  /** For the port on which this node listens, under CONTROL_SERVICE. */
  readonly service: RpcService = (opening) => this.#admit(opening);
  readonly #dependencies: ControlServerDependencies;
  readonly #options: ControlServerOptions;
  /** The newest of each node. */
  readonly #sessions = new Map<number, Session>();
  readonly #probes = new Map<number, Probe>();
  #expecting: Timer | null = null;
  #complaint = "";
  #isClosed = false;

  constructor(dependencies: ControlServerDependencies, options: ControlServerOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
  }

  /**
   * This node leads from now on: of these brokers, those that have not come in a moment are looked for. One
   * may have died with the controller before.
   */
  expect(brokers: readonly ExpectedBroker[]): void {
    this.#expecting?.cancel();
    this.#expecting = this.#dependencies.clock.after(EXPECTED_WITHIN_MS, () => {
      for (const { brokerId, brokerEpoch, address } of brokers) {
        if (this.#sessions.has(brokerId) || this.#probes.has(brokerId)) continue;
        this.#probe(address, { brokerId, brokerEpoch, how: "absent" });
      }
    });
  }

  /** Ends the streams; answers that come later go nowhere. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#expecting?.cancel();
    for (const { stream } of this.#sessions.values()) stream.end();
    for (const probe of this.#probes.values()) probe.cancel();
    this.#sessions.clear();
    this.#probes.clear();
  }

  #admit({ bytes, remote }: RpcOpening): RpcAdmission {
    if (this.#isClosed) return { kind: "rejected", message: "this node is stopping" };
    const self = this.#options.hello();
    const verdict = judgeHello(bytes, self);
    if (verdict.kind === "stranger") {
      const { message } = verdict;
      if (message !== this.#complaint) {
        this.#complaint = message;
        this.#dependencies.logger.warn({ remote }, `a stream was refused: ${message}`);
      }
      return { kind: "rejected", message };
    }
    const { hello } = verdict;
    return {
      kind: "admitted",
      answer: encodeHello(self),
      onStream: (stream) => this.#welcome(hello, stream),
    };
  }

  #welcome(hello: Hello, stream: RpcStream) {
    const { nodeId, brokerEpoch } = hello;
    const session: Session = { hello, stream, brokerEpoch, requestCount: 0 };
    // It is there, whatever became of its last stream.
    this.#probes.get(nodeId)?.cancel();
    this.#probes.delete(nodeId);
    this.#sessions.get(nodeId)?.stream.destroy();
    this.#sessions.set(nodeId, session);
    return {
      onMessage: (bytes: Buffer) => this.#onMessage(session, bytes),
      onEnd: ({ kind }: { readonly kind: string }) =>
        this.#onEnd(session, kind === "ended" ? "ended" : "lost"),
    };
  }

  #onMessage(session: Session, bytes: Buffer): void {
    let request: ControlRequest;
    try {
      request = decodeControlRequest(bytes);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      this.#turnOut(session, `a damaged request: ${error.message}`);
      return;
    }
    if (session.requestCount === MAX_REQUESTS) {
      this.#turnOut(session, `more than ${MAX_REQUESTS} requests at a time`);
      return;
    }
    if (request.brokerEpoch !== null) session.brokerEpoch = request.brokerEpoch;
    session.requestCount += 1;
    void this.#outcomeOf(request, session.hello).then((outcome) => {
      session.requestCount -= 1;
      const { correlationId } = request;
      session.stream.send(encodeControlAnswer({ correlationId, outcome }));
    });
  }

  async #outcomeOf(
    { apiKey, apiVersion, body }: ControlRequest,
    from: Hello,
  ): Promise<ControlAnswer["outcome"]> {
    const { serve, leader } = this.#options;
    try {
      const answer = await serve({ apiKey, apiVersion, body }, from);
      return { kind: "answered", answer };
    } catch (error) {
      return { kind: "refused", ...this.#refusalOf(error), leader: leader() };
    }
  }

  #refusalOf(error: unknown): { readonly error: ErrorName; readonly message: string } {
    if (error instanceof KafkaError) return { error: error.errorName, message: error.message };
    if (error instanceof ProtocolError) return { error: "INVALID_REQUEST", message: error.message };
    this.#dependencies.logger.error({ error }, "a request of another node failed");
    return { error: "UNKNOWN_SERVER_ERROR", message: "the controller failed" };
  }

  /** It does not keep to the protocol. */
  #turnOut(session: Session, message: string): void {
    const { nodeId } = session.hello;
    this.#dependencies.logger.warn({ nodeId }, `the stream of node ${nodeId} has ${message}`);
    session.stream.destroy();
    if (this.#sessions.get(nodeId) === session) this.#sessions.delete(nodeId);
  }

  #onEnd(session: Session, how: LostSession["how"]): void {
    const { hello, brokerEpoch } = session;
    const { nodeId, address } = hello;
    if (this.#sessions.get(nodeId) !== session) return;
    this.#sessions.delete(nodeId);
    if (this.#isClosed || brokerEpoch === null || address === null) return;
    this.#probe(address, { brokerId: nodeId, brokerEpoch, how });
  }

  #probe(address: RpcAddress, session: LostSession): void {
    const opening = encodeHello(this.#options.hello());
    const probe = new Probe(this.#dependencies, { address, opening }, (isGone) => {
      this.#probes.delete(session.brokerId);
      if (isGone) this.#options.onSessionLost(session);
    });
    this.#probes.set(session.brokerId, probe);
  }
}

/** Looks twice whether somebody listens at an address. */
class Probe {
  readonly #dependencies: ControlServerDependencies;
  readonly #target: { readonly address: NonNullable<Hello["address"]>; readonly opening: Buffer };
  readonly #onVerdict: (isGone: boolean) => void;
  #stream: RpcStream | null = null;
  #timer: Timer | null = null;

  constructor(
    dependencies: ControlServerDependencies,
    target: { readonly address: NonNullable<Hello["address"]>; readonly opening: Buffer },
    onVerdict: (isGone: boolean) => void,
  ) {
    this.#dependencies = dependencies;
    this.#target = target;
    this.#onVerdict = onVerdict;
    this.#look(() => {
      this.#timer = dependencies.clock.after(SECOND_PROBE_MS, () => {
        this.#look(() => this.#onVerdict(true));
      });
    });
  }

  cancel(): void {
    this.#stream?.destroy();
    this.#timer?.cancel();
  }

  #look(onRefused: () => void): void {
    const { address, opening } = this.#target;
    this.#stream = this.#dependencies.rpc.open(address, PROBE_SERVICE, opening, {
      onMessage: () => undefined,
      onEnd: ({ kind }) => {
        if (kind === "refused") onRefused();
        else this.#onVerdict(false);
      },
    });
  }
}
