import type { Uuid } from "../base/ids.ts";
import type { LogConfig } from "../storage/log.ts";
import type { IsrSizes } from "./high-watermark.ts";
import type { CommittedReplicas } from "./isr-state.ts";

/** What the controller decided about a partition, as of one leader epoch and partition epoch. */
export interface Leadership extends CommittedReplicas {
  /** Whether another replica could be elected while this one leads: of ISR or ELR, or an unclean one (R15). */
  readonly isElectableElsewhere: boolean;
}

/** A topic's settings as far as a partition obeys them. */
export interface PartitionConfig {
  readonly log: LogConfig;
  readonly minInsyncReplicas: number;
}

/** A replica that this node is to have, as the controller decided it. */
export interface ReplicaAssignment {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly topicId: Uuid;
  /** Where the cluster knows it to lie; left out: anywhere. */
  readonly directoryId?: Uuid;
  readonly leaderEpoch: number;
  readonly config: LogConfig;
  readonly minInsyncReplicas: number;
}

/** One that leads. */
export interface LeaderAssignment extends ReplicaAssignment, Leadership {}

/** One that follows; leader -1: nobody, for now. */
export interface FollowerAssignment extends ReplicaAssignment {
  readonly leaderId: number;
}

/** Of the topic, as a partition obeys it. */
export function configOf({ config, minInsyncReplicas }: ReplicaAssignment): PartitionConfig {
  return { log: config, minInsyncReplicas };
}

/** What the ISR's size is held against. */
export function isrSizesOf(leadership: Leadership, config: PartitionConfig): IsrSizes {
  return {
    committedIsrSize: leadership.isr.length,
    minInsyncReplicas: config.minInsyncReplicas,
    replicationFactor: leadership.replicas.length,
  };
}
