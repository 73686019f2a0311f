import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What is known of a partition outside of its directory: one line in each, if any. */
const CHECKPOINTS = [
  "log-start-offset-checkpoint",
  "recovery-point-offset-checkpoint",
  "cleaner-offset-checkpoint",
];

export interface TopicMove {
  /** Log directories of two stopped brokers, Kafka's or Holdfast's. */
  readonly from: string;
  readonly to: string;
  readonly topic: string;
  readonly partition: number;
  /** Of the topic at `to`. */
  readonly topicId: string;
  /** Whether the broker at `from` was stopped in order. */
  readonly isClean: boolean;
}

/**
 * Puts a partition's directory under another cluster's topic of the same name, step by step as
 * docs/moving-topics.md tells the operator to.
 */
export async function moveTopic(move: TopicMove): Promise<void> {
  const name = `${move.topic}-${move.partition}`;
  const target = join(move.to, name);
  await rm(target, { recursive: true, force: true });
  await cp(join(move.from, name), target, { recursive: true });
  const metadata = `version: 0\ntopic_id: ${move.topicId}`;
  await writeFile(join(target, "partition.metadata"), metadata);
  for (const name of CHECKPOINTS) await carryLine(move, name);
  if (!move.isClean) await rm(join(move.to, ".kafka_cleanshutdown"), { force: true });
}

async function carryLine(
  { from, to, topic, partition }: TopicMove,
  checkpoint: string,
): Promise<void> {
  const isOwn = (line: string): boolean => line.startsWith(`${topic} ${partition} `);
  const carried = (await entriesOf(join(from, checkpoint))).filter(isOwn);
  const kept = (await entriesOf(join(to, checkpoint))).filter((line) => !isOwn(line));
  const entries = [...kept, ...carried];
  await writeFile(
    join(to, checkpoint),
    ["0", String(entries.length), ...entries].map((line) => `${line}\n`).join(""),
  );
}

async function entriesOf(path: string): Promise<string[]> {
  try {
    const [, count, ...lines] = (await readFile(path, "utf8")).split("\n");
    // Blanks at the end of the last line are a checksum of Holdfast's, of the file as it was.
    return lines.slice(0, Number(count)).map((line) => line.trimEnd());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
