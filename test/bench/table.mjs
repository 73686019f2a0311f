// Prints the measurements of run.sh as the table of docs/benchmarks.md: medians, and Holdfast ÷ Kafka.
//   node test/bench/table.mjs FILE.jsonl
import { median, readRows } from "./measurements.mjs";

const PARAMETERS = [
  ...[
    "bench",
    "lib",
    "attack",
    "before",
    "state",
    "connections",
    "partitions",
    "how",
    "count",
    "producers",
    "gb",
    "gib",
    "size",
  ],
  ...["rate", "acks", "tuning", "flush", "preallocate"],
];
const UNITS = {
  attack: (value) => (value === "none" ? "alone" : `beside ${value}`),
  before: (value) => `(before ${value})`,
  connections: (value) => `${value} connections`,
  count: (value) => `${value} partitions`,
  partitions: (value) => `beside ${value} partitions`,
  rate: (value) => `${value}/s`,
  producers: (value) => `${value} producers`,
  gb: (value) => `${value} GB`,
  gib: (value) => `${value} GiB`,
  size: (value) => `${value} B`,
  acks: (value) => `acks=${value}`,
  flush: (value) => `flush=${value}`,
  preallocate: (value) => `preallocate=${value}`,
};
const FIGURES = [
  ["metadata_ms", "ms to Metadata"],
  ["idle_rss_mib", "idle MiB"],
  ["mb_s", "MB/s"],
  ["broker_cpu_s_per_gb", "broker CPU s/GB"],
  ["broker_cpu_s", "broker CPU s", (row) => row.rate !== undefined],
  ["acks_s", "acks/s"],
  ["p50_ms", "p50 ms"],
  ["p99_ms", "p99 ms"],
  ["ack_p50_ms", "ack p50 ms"],
  ["ack_p99_ms", "ack p99 ms"],
  ["e2e_p50_ms", "end to end p50 ms"],
  ["e2e_p99_ms", "end to end p99 ms"],
  ["leaders_ms", "ms to all leaders"],
  ["delete_ms", "ms to delete"],
  ["rss_after_mib", "MiB"],
  ["rss_mib", "MiB"],
  ["max_rss_mib", "greatest MiB"],
  ["recovery_ms", "ms to recover"],
  ["start_ms", "ms to start"],
];

const rows = readRows(process.argv[2]);
const round = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

const groups = Map.groupBy
  ? Map.groupBy(rows, nameOf)
  : rows.reduce(
      (map, row) => map.set(nameOf(row), [...(map.get(nameOf(row)) ?? []), row]),
      new Map(),
    );

function nameOf(row) {
  return PARAMETERS.filter((key) => key in row)
    .map((key) => UNITS[key]?.(row[key]) ?? row[key])
    .join(" ");
}

console.log(
  "| what | figure | Holdfast (range) | Kafka (range) | ratio | runs |\n|---|---|---|---|---|---|",
);
for (const [name, group] of groups) {
  for (const [key, title, isWanted = () => true] of FIGURES) {
    const of = (label) =>
      group
        .filter((row) => row.label === label && key in row && isWanted(row))
        .map((row) => row[key]);
    const ours = of("holdfast");
    const theirs = of("kafka");
    if (ours.length === 0) continue;
    const cell = (values) =>
      values.length === 0
        ? "–"
        : `${round(median(values))} (${round(Math.min(...values))}–${round(Math.max(...values))})`;
    const ratio = theirs.length === 0 ? "–" : (median(ours) / median(theirs)).toFixed(2);
    console.log(
      `| ${name} | ${title} | ${cell(ours)} | ${cell(theirs)} | ${ratio} | ${ours.length} |`,
    );
  }
}
