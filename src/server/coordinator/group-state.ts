import type { ClassicGroup } from "./classic-group.ts";
import type { CommittedOffset } from "./group-records.ts";
import { TimelineMap } from "./timeline.ts";
import type { Timeline } from "./timeline.ts";

type PartitionOffsets = TimelineMap<number, CommittedOffset>;
type TopicOffsetsMap = TimelineMap<string, PartitionOffsets>;

/** Everything that one shard knows. Groups end with their last offset, offsets with retention. */
export class GroupsState {
  readonly #timeline: Timeline;
  readonly groups: TimelineMap<string, ClassicGroup>;
  /** By group id, topic, partition. No map in it is empty. */
  readonly offsets: TimelineMap<string, TopicOffsetsMap>;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
    this.groups = new TimelineMap(timeline);
    this.offsets = new TimelineMap(timeline);
  }

  offset(groupId: string, topic: string, partitionIndex: number): CommittedOffset | undefined {
    return this.offsets.get(groupId)?.get(topic)?.get(partitionIndex);
  }

  setOffset(groupId: string, topic: string, partitionIndex: number, value: CommittedOffset): void {
    let topics = this.offsets.get(groupId);
    if (topics === undefined) {
      topics = new TimelineMap(this.#timeline);
      this.offsets.set(groupId, topics);
    }
    let partitions = topics.get(topic);
    if (partitions === undefined) {
      partitions = new TimelineMap(this.#timeline);
      topics.set(topic, partitions);
    }
    partitions.set(partitionIndex, value);
  }

  deleteOffset(groupId: string, topic: string, partitionIndex: number): void {
    const topics = this.offsets.get(groupId);
    const partitions = topics?.get(topic);
    if (topics === undefined || partitions === undefined) return;
    partitions.delete(partitionIndex);
    if (partitions.size === 0) topics.delete(topic);
    if (topics.size === 0) this.offsets.delete(groupId);
  }
}
