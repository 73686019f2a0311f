import type { DiskError } from "../base/disk.ts";
import type { Uuid } from "../base/ids.ts";
import type { Random } from "../base/random.ts";
import type { RaftTiming } from "./core/state.ts";
import type { Voter } from "./core/voters.ts";
import type { MetadataLogPorts } from "./metadata-log.ts";
import type { SnapshotSettings } from "./snapshot-keeper.ts";
import type { RaftTransport } from "./transport.ts";

export interface RaftDriverPorts extends MetadataLogPorts {
  readonly random: Random;
}

export interface RaftDriverOptions {
  /** The first of the log directories; it holds `__cluster_metadata-0`. */
  readonly logDirectory: string;
  readonly nodeId: number;
  readonly directoryId: Uuid;
  /** A call on the metadata log's disk has failed: told before anybody else (R9). */
  readonly onDiskFailure?: (error: DiskError) => void;
  /** The rest of the quorum; without it this node is all of it. */
  readonly peers?: RaftPeers;
  /** When snapshots are due; default: Kafka's. */
  readonly snapshots?: SnapshotSettings;
}

export interface RaftPeers {
  /** The driver's from now on: it closes it. */
  readonly transport: RaftTransport;
  readonly clusterId: string;
  /** Who votes as far as the log does not say (formation.ts). This node may be none of them. */
  readonly voters: readonly Voter[];
  readonly timing: RaftTiming;
  /** controller.quorum.fetch.max.bytes: one batch at least, whatever its size. */
  readonly fetchMaxBytes: number;
}
