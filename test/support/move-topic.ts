import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

const LOG_STARTS = "log-start-offset-checkpoint";

export interface TopicMove {
  /** Log directories of two stopped brokers, Kafka's or Holdfast's. */
  readonly from: string;
  readonly to: string;
  readonly topic: string;
  readonly partition: number;
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
  const metadata = await readFile(join(target, "partition.metadata"));
  await rm(target, { recursive: true });
  await cp(join(move.from, name), target, { recursive: true });
  await writeFile(join(target, "partition.metadata"), metadata);
  await carryLogStart(move);
  if (!move.isClean) await rm(join(move.to, ".kafka_cleanshutdown"), { force: true });
}

/** Where DeleteRecords has cut inside a segment is known to this checkpoint alone. */
async function carryLogStart({ from, to, topic, partition }: TopicMove): Promise<void> {
  const isOwn = (line: string): boolean => line.startsWith(`${topic} ${partition} `);
  const carried = (await entriesOf(from)).filter(isOwn);
  const kept = (await entriesOf(to)).filter((line) => !isOwn(line));
  const entries = [...kept, ...carried];
  await writeFile(
    join(to, LOG_STARTS),
    ["0", String(entries.length), ...entries].map((line) => `${line}\n`).join(""),
  );
}

async function entriesOf(directory: string): Promise<string[]> {
  try {
    const text = await readFile(join(directory, LOG_STARTS), "utf8");
    return text.trimEnd().split("\n").slice(2);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
