import type { Offload } from "../../base/offload.ts";
import type { Random } from "../../base/random.ts";
import type { Rpc } from "../../base/rpc.ts";
import type { RaftClient } from "../../raft/raft-client.ts";
import { resolveConfig } from "../../server/config.ts";
import type { MetadataImage } from "../../server/metadata/image.ts";
import { SimClock } from "../sim-clock.ts";
import { SimNet } from "../sim-net.ts";
import { SimRpcNet } from "../sim-rpc.ts";
import { Trace } from "../trace.ts";
import { AdminHistory } from "./admin-history.ts";
import { ImageChecks } from "./image-checks.ts";
import { type NodeWatcher, QuorumNode, type QuorumNodeOptions } from "./quorum-node.ts";
import { RaftChecks } from "./raft-checks.ts";
import { type CommittedRecord, ReferenceLog } from "./reference-log.ts";
import type { QuorumPlan } from "./plan.ts";
import { Verdict } from "./verdict.ts";
import { WireChecks } from "./wire-checks.ts";

export const CLUSTER_ID = "SG9sZGZhc3Qtc2ltLTAwMQ";
const CONTROLLER_PORT = 9093;
const FIRST_CLIENT_PORT = 19_000;

/** Several nodes, what lies between them, and all who watch them. */
export class QuorumSimWorld implements NodeWatcher {
  readonly clock = new SimClock();
  readonly trace: Trace;
  readonly verdict = new Verdict(() => this.clock.nowMs);
  readonly rpc: SimRpcNet;
  readonly net: SimNet;
  readonly nodes: readonly QuorumNode[];
  readonly wire = new WireChecks(this.verdict, CLUSTER_ID, () => this.clock.nowMs);
  readonly images: ImageChecks;
  readonly reference: ReferenceLog;
  readonly raft: RaftChecks;
  readonly history: AdminHistory;
  /** Nodes whose damage explains that they will not start. */
  readonly damaged = new Set<number>();
  snapshotCount = 0;

  constructor(
    dependencies: { readonly random: Random; readonly offload: Offload; readonly trace: Trace },
    plan: QuorumPlan,
  ) {
    const { random, offload, trace } = dependencies;
    this.trace = trace;
    const { clock } = this;
    this.net = new SimNet({ clock, random: random.fork("net") });
    this.rpc = new SimRpcNet({ clock, random: random.fork("rpc") });
    const ports = { clock, net: this.net, rpc: this.rpc, offload, trace, watcher: this };
    this.nodes = optionsOf(plan).map(
      (options) =>
        new QuorumNode({ ...ports, random: random.fork(`node-${options.nodeId}`) }, options),
    );
    this.images = new ImageChecks(this.verdict, this.nodes);
    this.reference = new ReferenceLog({
      onBatch: (_node, batch) => this.#checkMajority(batch.baseOffset, batch.leaderEpoch),
      onRecord: (record: CommittedRecord) => this.images.onRecord(record),
      onApplied: (before: MetadataImage, after: MetadataImage) =>
        this.images.onApplied(before, after),
    });
    const { verdict, wire, reference } = this;
    const nowMs = (): number => clock.nowMs;
    this.raft = new RaftChecks({
      verdict,
      wire,
      reference,
      nowMs,
      voterCount: this.controllers.length,
    });
    this.history = new AdminHistory(verdict, reference);
  }

  get brokers(): readonly QuorumNode[] {
    return this.nodes.filter(({ options }) => options.isBroker);
  }

  get controllers(): readonly QuorumNode[] {
    return this.nodes.filter(({ options }) => options.isController);
  }

  /** Who leads, as far as it knows itself; the newest of several. */
  get leader(): QuorumNode | null {
    const leaders = this.nodes.filter(
      ({ id, process }) => process?.raft?.leader.leaderId === id && !process.gate.isShut,
    );
    const epochOf = ({ process }: QuorumNode): number => process?.raft?.leader.leaderEpoch ?? 0;
    leaders.sort((a, b) => epochOf(b) - epochOf(a));
    return leaders[0] ?? null;
  }

  start(node: QuorumNode): void {
    void node.start();
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.schedule("io", ms, resolve);
    });
  }

  watchRaft(node: QuorumNode, raft: RaftClient): RaftClient {
    return this.raft.watch(node, raft);
  }

  watchRpc(node: QuorumNode, rpc: Rpc): Rpc {
    return this.wire.watch(node, rpc);
  }

  onRefusal(node: QuorumNode, error: unknown): void {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.verdict.tell(`node ${node.id} gives up: ${text}`);
    if (this.damaged.has(node.id)) return;
    const stack = error instanceof Error ? error.stack : "";
    // With a disk that fails it has every right to.
    if (error instanceof Error && /DiskError|KafkaError/.test(error.name)) return;
    this.verdict.report("crash", `node ${node.id} does not start: ${text}\n${stack ?? ""}`);
  }

  onLog(node: QuorumNode, level: string, facts: object, message: string): void {
    if (level === "warn") return;
    const error: unknown = Reflect.get(facts, "error");
    const cause = error instanceof Error ? ` (${error.message})` : "";
    this.verdict.tell(`node ${node.id} ${level}: ${message}${cause}`);
  }

  /** K9: a voter that was wiped since had kept its promise. */
  #checkMajority(baseOffset: number, leaderEpoch: number): void {
    const voters = this.wire.voters ?? [];
    const kept = this.controllers.filter(({ wipeCount, platter }) => {
      if (wipeCount > 0 || platter.snapshotEnd() > baseOffset) return true;
      return platter
        .batches()
        .some((batch) => batch.baseOffset === baseOffset && batch.leaderEpoch === leaderEpoch);
    }).length;
    this.verdict.that(
      "K9",
      kept > voters.length / 2,
      () => `${baseOffset}/${leaderEpoch} is committed, and on ${kept} platters`,
    );
  }
}

function optionsOf(plan: QuorumPlan): QuorumNodeOptions[] {
  const voters = plan.nodes
    .flatMap(({ nodeId, isController }) =>
      isController ? [`${nodeId}@n${nodeId}:${CONTROLLER_PORT}`] : [],
    )
    .join(",");
  return plan.nodes.map(({ nodeId, isBroker, isController }) => {
    const clientPort = FIRST_CLIENT_PORT + nodeId;
    const logDirectory = "/var/lib/holdfast";
    const roles = [...(isBroker ? ["broker"] : []), ...(isController ? ["controller"] : [])];
    const settings: Record<string, string> = {
      "process.roles": roles.join(","),
      "node.id": String(nodeId),
      listeners: [
        ...(isBroker ? [`PLAINTEXT://127.0.0.1:${clientPort}`] : []),
        ...(isController ? [`CONTROLLER://n${nodeId}:${CONTROLLER_PORT}`] : []),
      ].join(","),
      "controller.listener.names": "CONTROLLER",
      "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
      "controller.quorum.voters": voters,
      "holdfast.cluster.id": CLUSTER_ID,
      "log.dirs": logDirectory,
      "log.segment.bytes": "1048576",
      "offsets.topic.num.partitions": "1",
      ...plan.settings,
    };
    const given = Object.entries(settings).map(([key, value]) => ({ key, value, where: "sim" }));
    const { config } = resolveConfig(given);
    return { nodeId, isBroker, isController, clientPort, logDirectory, config };
  });
}
