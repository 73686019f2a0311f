import type { Log } from "../storage/log.ts";

/** What a partition needs of its log. */
export type PartitionLog = Pick<
  Log,
  | "abortedTransactions"
  | "advanceLogStartOffset"
  | "append"
  | "appendReplicated"
  | "endOffsetForEpoch"
  | "failure"
  | "findByTimestamp"
  | "findMaxTimestamp"
  | "firstUnstableOffset"
  | "flush"
  | "latestLeaderEpoch"
  | "leaderEpochAt"
  | "logEndOffset"
  | "logStartOffset"
  | "producerEntries"
  | "read"
  | "safeEndOffset"
  | "setListener"
  | "truncateFullyAndStartAt"
  | "truncateTo"
  | "unsyncedBytes"
  | "updateConfig"
  | "writtenEndOffset"
>;
