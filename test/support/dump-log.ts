import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { runKafkaTool } from "./java.ts";
import type { ProgramResult } from "./programs.ts";

export interface DumpReport {
  readonly files: number;
  readonly batches: number;
  readonly indexEntries: number;
  readonly abortedTransactions: number;
  readonly producers: number;
  /** The lines that show one record each. */
  readonly records: readonly string[];
  /** All that was printed about the files, one after the other. */
  readonly lines: readonly string[];
  /** Each line that is not about sound data; the tool may exit 0 all the same. */
  readonly complaints: readonly string[];
}

export interface DumpOptions {
  /** The log is compacted: offsets may be missing between its batches, and in them. */
  readonly isCompacted?: boolean;
  readonly decodesMetadata?: boolean;
}

const BATCH = /^baseOffset: \d+ lastOffset: \d+ count: \d+ .* isvalid: true$/;
const OFFSET_ENTRY = /^offset: \d+ position: \d+$/;
const RECORD = /^\| offset: \d+ /;
const TIME_ENTRY = /^timestamp: -?\d+ offset: \d+$/;
const ABORTED =
  /^version: 0 producerId: \d+ firstOffset: \d+ lastOffset: \d+ lastStableOffset: \d+$/;
const PRODUCER =
  /^producerId: \d+ producerEpoch: \d+ coordinatorEpoch: -?\d+ currentTxnFirstOffset: Optional\S+ lastTimestamp: -?\d+ .*$/;

/** All that the tool prints about files without a fault; whatever else it prints is a complaint. */
const GOOD = [
  BATCH,
  OFFSET_ENTRY,
  TIME_ENTRY,
  /^Dumping /,
  /^Log starting offset: \d+$/,
  /^Snapshot end offset: \d+, epoch: \d+$/,
  RECORD,
  ABORTED,
  PRODUCER,
];

/** Of a batch that compaction has emptied (it is kept for its producer's sake), also in Kafka's own logs. */
const EMPTIED =
  /^Found timestamp mismatch in :.*\n( {2}Index timestamp: \d+, log timestamp: -1\n)+/gm;

const SUFFIXES = /\.(log|index|timeindex|txnindex|snapshot|checkpoint)$/;

/**
 * Has the real Kafka's kafka-dump-log read every file of partitions' directories: segments down to
 * each record, indexes entry by entry against their segments and once more by their sanity check,
 * aborted transactions, producer snapshots, and snapshots of the metadata.
 */
export async function dumpLog(
  directories: string | readonly string[],
  options: DumpOptions = {},
): Promise<DumpReport> {
  const files = [directories].flat().flatMap((directory) =>
    readdirSync(directory)
      .filter((name) => SUFFIXES.test(name))
      .map((name) => join(directory, name))
      .filter((path) => statSync(path).size > 0),
  );
  const decoder = options.decodesMetadata === true ? ["--cluster-metadata-decoder"] : [];
  const dump = await run(["--deep-iteration", ...decoder], files);
  const isCompacted = options.isCompacted === true;
  const lines = dump.stdout.split("\n");
  const indexes = files.filter((path) => /\.(index|timeindex)$/.test(path));
  const count = (kind: RegExp) => lines.filter((line) => kind.test(line)).length;
  return {
    files: files.length,
    batches: count(BATCH),
    indexEntries: count(OFFSET_ENTRY) + count(TIME_ENTRY),
    abortedTransactions: count(ABORTED),
    producers: count(PRODUCER),
    records: lines.filter((line) => RECORD.test(line)),
    lines,
    complaints: [
      ...lines.filter((line) => line !== "" && !GOOD.some((good) => good.test(line))),
      ...failures(dump, isCompacted),
      ...(indexes.length === 0 ? [] : await insane(indexes)),
    ],
  };
}

/** The indexes that do not pass the check that Kafka makes when it opens them. */
async function insane(indexes: readonly string[]): Promise<string[]> {
  const result = await run(["--index-sanity-check"], indexes);
  const passed = new Set(result.stdout.split("\n"));
  return [
    ...indexes.filter((path) => !passed.has(`${path} passed sanity check.`)),
    ...failures(result, false),
  ];
}

function run(options: readonly string[], files: readonly string[]): Promise<ProgramResult> {
  return runKafkaTool("org.apache.kafka.tools.DumpLogSegments", [
    ...options,
    "--files",
    files.join(","),
  ]);
}

/** What the tool says on its other output: mismatches of indexes, offsets that do not follow. */
function failures({ exitCode, stderr }: ProgramResult, isCompacted: boolean): string[] {
  const complaints = (isCompacted ? stderr.replace(EMPTIED, "") : stderr)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("Non-consecutive offsets in "))
    // It takes the offset before a segment for -1 and finds that the first one does not follow.
    .filter((line) => !/^ {2}-1 is followed by \d+$/.test(line))
    .filter((line) => !(isCompacted && /^ {2}\d+ is followed by \d+$/.test(line)));
  return exitCode === 0 ? complaints : [...complaints, `exit code ${exitCode}`];
}
