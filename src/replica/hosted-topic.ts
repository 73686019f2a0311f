import type { Uuid } from "../base/ids.ts";
import type { Partition } from "./partition.ts";

/** A topic as far as this node has partitions of it. Looked up once per topic of a request. */
export interface HostedTopic {
  readonly name: string;
  readonly topicId: Uuid;
  readonly partitions: ReadonlyMap<number, HostedPartition>;
}

/** "offline": its log could not be opened; the disk is to be looked at, the broker lives on. */
export type HostedPartition = Partition | "offline";
