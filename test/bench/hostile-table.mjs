// Prints the part "hostile" of run.sh: latency beside attackers, and ÷ that of the runs just before each.
//   node test/bench/hostile-table.mjs FILE.jsonl
import { median, readRows } from "./measurements.mjs";

const FIGURES = [
  ["e2e_p50_ms", "end to end p50 ms"],
  ["e2e_p99_ms", "end to end p99 ms"],
  ["ack_p99_ms", "ack p99 ms"],
];

const rows = readRows(process.argv[2]);
const cell = (values) => {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
};

console.log("| 1,000 msg/s beside | figure | with (range) | without (range) | ratio | runs |");
console.log("|---|---|---|---|---|---|");
for (const kind of ["silent", "garbage", "trickle"]) {
  const beside = rows.filter(({ bench, attack }) => attack === kind && bench.startsWith("e2e"));
  const alone = rows.filter(({ attack, before }) => attack === "none" && before === kind);
  for (const [key, title] of FIGURES) {
    const [hit, base] = [beside, alone].map((some) => some.map((row) => row[key]).filter(Number));
    if (hit.length === 0 || base.length === 0) continue;
    const ratio = (median(hit) / median(base)).toFixed(2);
    const what = `${beside[0].connections} ${kind} connections`;
    console.log(`| ${what} | ${title} | ${cell(hit)} | ${cell(base)} | ${ratio} | ${hit.length} |`);
  }
}
