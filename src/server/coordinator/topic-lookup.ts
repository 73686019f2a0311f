import type { Uuid } from "../../base/ids.ts";

/** What the coordinator's handlers ask the metadata image. */
export interface TopicLookup {
  topicId(name: string): Uuid | undefined;
  topicName(topicId: Uuid): string | undefined;
  /** Undefined: there is no such topic. */
  partitionCount(name: string): number | undefined;
}
