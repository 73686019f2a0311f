import type { Uuid } from "../base/ids.ts";
import type { FollowedPartition } from "./followed-partition.ts";
import type { Partition } from "./partition.ts";

/** A topic of the cluster, with the partitions of it that are here. Looked up once per topic of a request. */
export interface HostedTopic {
  readonly name: string;
  readonly topicId: Uuid;
  readonly partitions: ReadonlyMap<number, HostedPartition>;
}

/** Led here, or followed; "offline": its log could not be opened; the disk is to be looked at, the broker lives on. */
export type HostedPartition = Partition | FollowedPartition | "offline";

/** What a cluster has, here and elsewhere. */
export interface ClusterTopics {
  readonly topicsByName: ReadonlyMap<string, ClusterTopic>;
  readonly topicsById: ReadonlyMap<Uuid, ClusterTopic>;
}

export interface ClusterTopic {
  readonly name: string;
  readonly topicId: Uuid;
  /** By partition index. */
  readonly partitions: readonly unknown[];
}
