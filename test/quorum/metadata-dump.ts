import { basename, dirname } from "node:path";
import { must } from "../../src/base/assert.ts";

/** A record as kafka-dump-log shows it. */
export interface DumpedRecord {
  readonly offset: number;
  readonly leaderEpoch: number;
  /** Kafka's name of it; null: the tool could not decode it. */
  readonly type: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  /** All that is shown of it. */
  readonly text: string;
}

export interface DumpedSnapshot {
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly records: readonly DumpedRecord[];
}

/** What lies in one directory of the metadata log. */
export interface MetadataDump {
  /** All its segments, one after the other. */
  readonly log: readonly DumpedRecord[];
  /** The oldest first. */
  readonly snapshots: readonly DumpedSnapshot[];
}

const FILE = /^Dumping (.*)$/;
const BATCH = /^baseOffset: .* partitionLeaderEpoch: (\d+) /;
const RECORD = /^\| offset: (\d+) .* headerKeys: \[\] (.*)$/;
const METADATA = /^payload: (\{.*\})$/;
const CONTROL =
  /^(LeaderChange|KRaftVersion|KRaftVoters|SnapshotHeader|SnapshotFooter):? (\{.*\})$/;
const SNAPSHOT_NAME = /^(\d{20})-(\d{10})\.checkpoint$/;

/** What kafka-dump-log has printed about all files of some directories, by directory. */
export function metadataDumps(lines: readonly string[]): ReadonlyMap<string, MetadataDump> {
  const dumps = new Map<string, { log: DumpedRecord[]; snapshots: DumpedSnapshot[] }>();
  let records: DumpedRecord[] | null = null;
  let leaderEpoch = -1;
  for (const line of lines) {
    const path = FILE.exec(line)?.[1];
    if (path !== undefined) {
      const dump = dumps.get(dirname(path)) ?? { log: [], snapshots: [] };
      dumps.set(dirname(path), dump);
      records = path.endsWith(".log") ? dump.log : snapshotRecords(dump.snapshots, path);
    }
    leaderEpoch = Number(BATCH.exec(line)?.[1] ?? leaderEpoch);
    const [, offset, text] = RECORD.exec(line) ?? [];
    if (offset === undefined || text === undefined) continue;
    const record = { offset: Number(offset), leaderEpoch, ...contentOf(text), text };
    must(records, "records are in a file").push(record);
  }
  return dumps;
}

function snapshotRecords(snapshots: DumpedSnapshot[], path: string): DumpedRecord[] {
  const records: DumpedRecord[] = [];
  const [, endOffset, leaderEpoch] = SNAPSHOT_NAME.exec(basename(path)) ?? [];
  if (endOffset !== undefined) {
    const id = { endOffset: Number(endOffset), leaderEpoch: Number(leaderEpoch) };
    snapshots.push({ ...id, records });
  }
  return records;
}

function contentOf(text: string): Pick<DumpedRecord, "type" | "data"> {
  const payload = METADATA.exec(text)?.[1];
  if (payload !== undefined) return JSON.parse(payload) as Pick<DumpedRecord, "type" | "data">;
  const [, type = null, data = "{}"] = CONTROL.exec(text) ?? [];
  return { type, data: JSON.parse(data) as DumpedRecord["data"] };
}

export interface ReplayedTopic {
  partitionCount: number;
  retentionMs: string | null;
}

const TOPIC_RESOURCE = 2;

/** The topics that are left when a snapshot, and the log from there on, have been replayed. */
export function replayTopics(
  { log }: MetadataDump,
  snapshot: DumpedSnapshot,
): ReadonlyMap<string, ReplayedTopic> {
  const names = new Map<unknown, string>();
  const topics = new Map<string, ReplayedTopic>();
  const after = log.filter(({ offset }) => offset >= snapshot.endOffset);
  for (const { type, data } of [...snapshot.records, ...after]) {
    const { name, topicId, resourceType, resourceName, value } = data;
    const known = topics.get(String(type === "CONFIG_RECORD" ? resourceName : names.get(topicId)));
    switch (type) {
      case "TOPIC_RECORD":
        names.set(topicId, String(name));
        topics.set(String(name), { partitionCount: 0, retentionMs: null });
        break;
      case "REMOVE_TOPIC_RECORD":
        topics.delete(must(names.get(topicId), "what is removed was there"));
        break;
      case "PARTITION_RECORD":
        must(known, "a partition is of a topic that is there").partitionCount += 1;
        break;
      case "CONFIG_RECORD":
        if (resourceType !== TOPIC_RESOURCE || name !== "retention.ms") break;
        must(known, "a topic that is configured is there").retentionMs = value as string | null;
        break;
      default:
      // The others say nothing about which topics there are.
    }
  }
  return topics;
}
