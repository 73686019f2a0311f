import type { RpcAddress } from "../base/rpc.ts";
import { DEFAULT_TIMING, type RaftTiming } from "../raft/core/state.ts";
import type { BrokerConfig } from "./config-keys.ts";
import type { ListenerConfig } from "./config-listeners.ts";
import {
  bootstrapOf,
  isBroker,
  isController,
  isLoneNode,
  peerListenerOf,
  type VoterAddress,
  votersOf,
} from "./config-quorum.ts";

/** What a node of several needs to know of the others, and how long it waits for them. */
export interface PeerOptions {
  readonly nodeId: number;
  readonly isBroker: boolean;
  readonly isController: boolean;
  /** holdfast.cluster.id; null: the directories must know it. */
  readonly clusterId: string | null;
  /** The port for all traffic between nodes. */
  readonly listener: ListenerConfig;
  /** Of the static quorum, this node among them if it is one; empty: bootstrap servers know them. */
  readonly voters: readonly VoterAddress[];
  readonly bootstrap: readonly RpcAddress[];
  readonly timing: RaftTiming;
  readonly fetchMaxBytes: number;
  readonly fetchSnapshotMaxBytes: number;
  readonly autoJoin: boolean;
}

/** null: a lone node, which opens no port for others. */
export function peerOptionsOf(config: BrokerConfig): PeerOptions | null {
  const hostName = config.hostName;
  if (isLoneNode(config, hostName)) return null;
  return {
    nodeId: config["node.id"],
    isBroker: isBroker(config),
    isController: isController(config),
    clusterId: config["holdfast.cluster.id"],
    listener: peerListenerOf(config, hostName),
    voters: votersOf(config),
    bootstrap: bootstrapOf(config),
    timing: {
      ...DEFAULT_TIMING,
      electionTimeoutMs: config["controller.quorum.election.timeout.ms"],
      electionBackoffMaxMs: config["controller.quorum.election.backoff.max.ms"],
      fetchTimeoutMs: config["controller.quorum.fetch.timeout.ms"],
      requestTimeoutMs: config["controller.quorum.request.timeout.ms"],
    },
    fetchMaxBytes: config["controller.quorum.fetch.max.bytes"],
    fetchSnapshotMaxBytes: config["controller.quorum.fetch.snapshot.max.bytes"],
    autoJoin: config["controller.quorum.auto.join.enable"],
  };
}
