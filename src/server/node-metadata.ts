import { must } from "../base/assert.ts";
import type { Ports } from "../base/ports.ts";
import type { RpcAddress } from "../base/rpc.ts";
import type { TimerQueue } from "../base/timer-queue.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { RaftTiming } from "../raft/core/state.ts";
import { RaftDriver } from "../raft/driver.ts";
import type { RaftPeers } from "../raft/driver-options.ts";
import type { RaftClient } from "../raft/raft-client.ts";
import type { SnapshotSettings } from "../raft/snapshot-keeper.ts";
import type { LogManager } from "../storage/log-manager.ts";
import { BrokerLifecycle, type BrokerLifecycleOptions } from "./metadata/broker-lifecycle.ts";
import { activeBrokers } from "./metadata/image-queries.ts";
import { MetadataManager, type MetadataManagerOptions } from "./metadata/metadata-manager.ts";
import type { NodePeers, NodePeersOptions } from "./peers/node-peers.ts";

/** A node that is not the whole cluster. */
export interface QuorumOptions extends NodePeersOptions {
  /** As voters tell of themselves (KIP-853). */
  readonly controllerListenerName: string;
  readonly timing: RaftTiming;
  readonly fetchMaxBytes: number;
}

export interface NodeMetadataOptions {
  readonly nodeId: number;
  /** null: this node is the whole cluster. */
  readonly quorum: QuorumOptions | null;
  readonly snapshots: SnapshotSettings;
  readonly metadata: MetadataManagerOptions;
  readonly lifecycle: BrokerLifecycleOptions;
}

export interface NodeMetadataDependencies {
  readonly ports: Ports;
  readonly logs: LogManager;
  readonly timers: TimerQueue;
  /** Told what to undo, as each part comes to be. */
  readonly onClose: (close: () => Promise<void> | void) => void;
  /** Ends the wait for other nodes. */
  readonly signal: AbortSignal;
  /** See BrokerLimits. */
  readonly watchRaft: (raft: RaftClient) => RaftClient;
}

/** What a node knows of its cluster, and says to it. */
export interface NodeMetadata {
  readonly metadata: MetadataManager;
  readonly lifecycle: BrokerLifecycle;
  /** null: this node is the whole cluster. */
  readonly peers: NodePeers | null;
}

/**
 * Opens the metadata log in the first directory, finds the other nodes where there are any, and replays what
 * is committed. Waits for a cluster that is not formed yet (R14). Throws QuorumStateError, DiskError, the
 * listener's error, and the signal's reason.
 */
export async function openNodeMetadata(
  dependencies: NodeMetadataDependencies,
  options: NodeMetadataOptions,
): Promise<NodeMetadata> {
  const { ports, logs, timers, onClose } = dependencies;
  const { clock, random, logger } = ports;
  const node: Parts = { raft: null, metadata: null, lifecycle: null };
  const peers =
    options.quorum === null ? null : await openPeers(dependencies, options.quorum, node);
  const raft = await openRaft(dependencies, options, peers);
  node.raft = raft;
  logs.adopt(raft.log);
  onClose(() => raft.close());
  const metadata = await MetadataManager.open(
    {
      ...{ raft: dependencies.watchRaft(raft), clock, timers, logger },
      random: random.fork("metadata"),
      channel: peers?.channel ?? null,
      onLeaderChange: () => peers?.follow(raft.quorum.voters),
      onActive: (image) => peers?.expect(activeBrokers(image)),
      askLogEnds: peers === null ? null : (broker, asked) => peers.askLogEnds(broker, asked),
    },
    options.metadata,
  );
  node.metadata = metadata;
  onClose(() => metadata.close());
  const lifecycle = new BrokerLifecycle(
    { ...{ metadata, clock, timers, logger }, random: random.fork("broker") },
    options.lifecycle,
  );
  node.lifecycle = lifecycle;
  onClose(() => lifecycle.close());
  return { metadata, lifecycle, peers };
}

let quorumModules: ReturnType<typeof importQuorumModules> | null = null;

/**
 * What only a node of several needs: a lone one does without, and starts the sooner. Once loaded it takes no
 * real time any more, which the simulator relies on.
 */
export function loadQuorumModules(): ReturnType<typeof importQuorumModules> {
  quorumModules ??= importQuorumModules();
  return quorumModules;
}

async function importQuorumModules() {
  const { NodePeers } = await import("./peers/node-peers.ts");
  const { formQuorum } = await import("../raft/form-quorum.ts");
  const { NodeReplication } = await import("./peers/replication.ts");
  return { NodePeers, NodeReplication, formQuorum };
}

/** What comes to be after the streams that ask for it. */
interface Parts {
  raft: RaftDriver | null;
  metadata: MetadataManager | null;
  lifecycle: BrokerLifecycle | null;
}

const NO_LEADER_KNOWN = { leaderId: null, leaderEpoch: 0 };

async function openPeers(
  { ports, logs, timers, onClose }: NodeMetadataDependencies,
  options: QuorumOptions,
  node: Parts,
): Promise<NodePeers> {
  const { clock, random, logger, openRpc } = ports;
  const { clusterId } = logs;
  const { directoryId } = metadataDirectory(logs);
  const { NodePeers } = await loadQuorumModules();
  const peers = await NodePeers.open(
    { ...{ clock, logger, openRpc, timers }, random: random.fork("peers") },
    options,
    {
      state: () => ({
        ...{ clusterId, directoryId },
        brokerEpoch: node.lifecycle?.brokerEpoch ?? null,
        leader: node.raft?.leader ?? NO_LEADER_KNOWN,
        voterAddress: (nodeId) => voterAddress(node.raft, nodeId),
      }),
      service: {
        // Whoever has known this node as the leader may be back before its own start has come so far.
        serve: (request) =>
          node.metadata?.serve(request) ??
          Promise.reject(new KafkaError("NOT_CONTROLLER", "this node is starting")),
        brokerGone: (session) => node.metadata?.brokerGone(session),
      },
    },
  );
  onClose(() => peers.close());
  await peers.listen();
  return peers;
}

async function openRaft(
  { ports, logs, timers, signal }: NodeMetadataDependencies,
  { nodeId, quorum, snapshots }: NodeMetadataOptions,
  peers: NodePeers | null,
): Promise<RaftDriver> {
  const { disk, clock, logger, random } = ports;
  const { path: logDirectory, directoryId } = metadataDirectory(logs);
  const raftOptions = {
    ...{ logDirectory, nodeId, directoryId, snapshots },
    onDiskFailure: (error: Parameters<LogManager["onDiskFailure"]>[1]) =>
      logs.onDiskFailure(logDirectory, error),
  };
  const raftPorts = { disk, clock, logger, timers, random: random.fork("raft") };
  if (quorum === null || peers === null) return RaftDriver.open(raftPorts, raftOptions);
  const { transport } = peers;
  const { clusterId } = logs;
  const { formQuorum } = await loadQuorumModules();
  const keys = await formQuorum(
    { disk, clock, logger, transport },
    {
      ...{ logDirectory, clusterId },
      self: { nodeId, directoryId },
      voterIds: quorum.voters.map((voter) => voter.nodeId),
    },
    signal,
  );
  const { timing, fetchMaxBytes } = quorum;
  const voters: RaftPeers["voters"] = keys.map((key) => ({
    ...key,
    endpoints: quorum.voters
      .filter((voter) => voter.nodeId === key.nodeId)
      .map(({ host, port }) => ({ name: quorum.controllerListenerName, host, port })),
  }));
  const raftPeers = { transport, clusterId, voters, timing, fetchMaxBytes };
  return RaftDriver.open(raftPorts, { ...raftOptions, peers: raftPeers });
}

function metadataDirectory(logs: LogManager) {
  const { path, directoryId } = must(logs.directories[0], "there is a log directory");
  return { path, directoryId: must(directoryId, "the first directory is usable") };
}

/** As the voters' record says. */
function voterAddress(raft: RaftDriver | null, nodeId: number): RpcAddress | null {
  const voter = raft?.quorum.voters.find((each) => each.nodeId === nodeId);
  const [endpoint] = voter?.endpoints ?? [];
  return endpoint === undefined ? null : { host: endpoint.host, port: endpoint.port };
}
