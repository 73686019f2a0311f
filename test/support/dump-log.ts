import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { runKafkaTool } from "./java.ts";

export interface DumpReport {
  readonly batches: number;
  readonly indexEntries: number;
  /** The lines that show one record each. */
  readonly records: readonly string[];
  /** Each line that is not about sound data; the tool may exit 0 all the same. */
  readonly complaints: readonly string[];
}

const BATCH = /^baseOffset: \d+ lastOffset: \d+ .* isvalid: true$/;
const OFFSET_ENTRY = /^offset: \d+ position: \d+$/;
const RECORD = /^\| offset: \d+ /;
const TIME_ENTRY = /^timestamp: -?\d+ offset: \d+$/;

/** All that the tool prints about files without a fault; whatever else it prints is a complaint. */
const GOOD = [
  BATCH,
  OFFSET_ENTRY,
  TIME_ENTRY,
  /^Dumping /,
  /^Log starting offset: \d+$/,
  RECORD,
  /^producerId: \d+ producerEpoch: \d+ /,
];

/** Has the real Kafka's kafka-dump-log read every segment and index in a partition's directory. */
export async function dumpLog(
  directory: string,
  ...options: readonly string[]
): Promise<DumpReport> {
  const files = readdirSync(directory)
    .filter((name) => /\.(log|index|timeindex|txnindex|snapshot)$/.test(name))
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).size > 0);
  const { exitCode, stdout, stderr } = await runKafkaTool(
    "org.apache.kafka.tools.DumpLogSegments",
    ["--deep-iteration", "--files", files.join(","), ...options],
  );
  const lines = stdout.split("\n");
  const complaints = lines.filter((line) => line !== "" && !GOOD.some((good) => good.test(line)));
  if (exitCode !== 0) complaints.push(`exit code ${exitCode}: ${stderr}`);
  return {
    batches: lines.filter((line) => BATCH.test(line)).length,
    indexEntries: lines.filter((line) => OFFSET_ENTRY.test(line) || TIME_ENTRY.test(line)).length,
    records: lines.filter((line) => RECORD.test(line)),
    complaints,
  };
}
