import { uuidFromBytes } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import type { Listener } from "../../src/base/net.ts";
import type { Rpc, RpcAddress, RpcService, RpcStream } from "../../src/base/rpc.ts";
import type { Hello } from "../../src/protocol/peers/hello.ts";
import { FollowerStreams } from "../../src/replica/follower-streams.ts";
import { LeaderStreams } from "../../src/replica/leader-streams.ts";
import {
  decodeFollowerMessage,
  decodeLeaderMessage,
  REPLICATION_SERVICE,
} from "../../src/replica/replication-codec.ts";
import type { Frame, LeaderMessage } from "../../src/replica/replication-messages.ts";
import type { ProcessClock } from "../../src/sim/sim-clock.ts";
import type { SimRpcHost } from "../../src/sim/sim-rpc.ts";
import { SimNodes } from "../sim/sim-nodes.ts";
import { TestLeds } from "./stream-support.ts";

export const PORT = 9093;
export const CLUSTER = "4L6g3nShT-eMCtK--X86sw";

export function helloOf(nodeId: number, brokerEpoch: number | null): Hello {
  const directoryId = uuidFromBytes(Buffer.alloc(16, nodeId));
  const address = { host: `node-${nodeId}`, port: PORT };
  return { clusterId: CLUSTER, nodeId, directoryId, brokerEpoch, address };
}

/** What goes over the streams of a leader, read by somebody in between. */
export class Wire {
  openedCount = 0;
  readonly messages: LeaderMessage[] = [];
  readonly messageBytes: number[] = [];
  maxUnderWayBytes = 0;
  maxQueuedBytes = 0;
  readonly problems: string[] = [];

  get frames(): Frame[] {
    return this.messages.flatMap(({ frames }) => frames);
  }

  get recordBytes(): number {
    return this.frames.reduce((sum, { records }) => sum + records.length, 0);
  }

  tap(service: RpcService): RpcService {
    return (opening) => {
      const admission = service(opening);
      if (admission.kind === "rejected") return admission;
      return { ...admission, onStream: (stream) => this.#onStream(stream, admission.onStream) };
    };
  }

  #onStream(
    stream: RpcStream,
    onStream: (
      stream: RpcStream,
    ) => ReturnType<Extract<ReturnType<RpcService>, { kind: "admitted" }>["onStream"]>,
  ) {
    this.openedCount += 1;
    let [sentBytes, consumedBytes] = [0, 0];
    const over = new Set<number>();
    const listener = onStream({
      remote: stream.remote,
      get queuedBytes() {
        return stream.queuedBytes;
      },
      send: (bytes) => {
        const message = decodeLeaderMessage(bytes);
        this.messages.push(message);
        this.messageBytes.push(bytes.length);
        for (const { session, records } of message.frames) {
          if (over.has(session)) this.problems.push(`a frame of session ${session}, which is over`);
          sentBytes += records.length;
        }
        for (const { session } of message.answers) {
          if (over.has(session)) this.problems.push(`session ${session} is answered twice`);
          over.add(session);
        }
        this.maxUnderWayBytes = Math.max(this.maxUnderWayBytes, sentBytes - consumedBytes);
        stream.send(bytes);
        this.maxQueuedBytes = Math.max(this.maxQueuedBytes, stream.queuedBytes);
      },
      end: () => stream.end(),
      destroy: () => stream.destroy(),
    });
    return {
      onMessage: (bytes: Buffer) => {
        // Before what it gives back is sent again; what is none of them is the listener's affair.
        consumedBytes = consumedOf(bytes) ?? consumedBytes;
        listener.onMessage(bytes);
      },
      onDrain: () => listener.onDrain?.(),
      onEnd: (end: Parameters<typeof listener.onEnd>[0]) => listener.onEnd(end),
    };
  }
}

function consumedOf(bytes: Buffer): number | null {
  try {
    return decodeFollowerMessage(bytes).consumedBytes;
  } catch {
    return null;
  }
}

export interface TestLeader {
  readonly rpc: SimRpcHost;
  readonly leds: TestLeds;
  readonly streams: FollowerStreams;
  readonly wire: Wire;
  readonly warnings: string[];
  /** The process dies. */
  kill(): void;
}

export interface TestFollower {
  readonly rpc: SimRpcHost;
  readonly clock: ProcessClock;
  readonly streams: LeaderStreams;
  readonly warnings: string[];
  kill(): void;
}

/** Brokers that lead and brokers that follow, in virtual time; a machine is called `node-` and its id. */
export class StreamWorld {
  readonly nodes: SimNodes;
  /** Where leaders are; a test may say otherwise. */
  readonly addresses = new Map<number, RpcAddress>();

  constructor(seed = 1) {
    this.nodes = new SimNodes(seed);
  }

  async leader(id: number, leds = new TestLeds()): Promise<TestLeader> {
    const { rpc, clock } = this.nodes.process(`node-${id}`);
    const { logger, warnings } = listeningLogger();
    const streams = new FollowerStreams(
      { clock, logger },
      { hello: () => helloOf(id, id), partitions: leds },
    );
    const wire = new Wire();
    await listen(rpc, id, wire.tap(streams.service));
    const address = { host: `node-${id}`, port: PORT };
    if (!this.addresses.has(id)) this.addresses.set(id, address);
    const kill = (): void => {
      clock.kill();
      rpc.kill();
    };
    return { rpc, leds, streams, wire, warnings, kill };
  }

  follower(id: number, brokerEpoch: () => number | null = () => 100 + id): TestFollower {
    const { rpc, clock } = this.nodes.process(`node-${id}`);
    const { logger, warnings } = listeningLogger();
    const random = this.nodes.random.fork(`node ${id}`);
    const streams = new LeaderStreams(
      { rpc, clock, random, logger },
      {
        hello: () => helloOf(id, brokerEpoch()),
        addressOf: (leaderId) => this.addresses.get(leaderId) ?? null,
      },
    );
    const kill = (): void => {
      clock.kill();
      rpc.kill();
    };
    return { rpc, clock, streams, warnings, kill };
  }
}

function listen(rpc: Rpc, id: number, service: RpcService): Promise<Listener> {
  return rpc.listen({ host: `node-${id}`, port: PORT }, new Map([[REPLICATION_SERVICE, service]]));
}

function listeningLogger() {
  const warnings: string[] = [];
  const warn = (_facts: object, text: string): void => void warnings.push(text);
  return { logger: { ...SILENT_LOGGER, warn }, warnings };
}
