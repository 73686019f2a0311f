import { runFaults } from "./quorum-faults.ts";

/**
 * `npm run test:quorum -- 1-500`: real drivers of three voters and an observer on simulated disks, with
 * faults. The totals on stdout; the seed and a message where a rule does not hold.
 */
const [first = 1, last = first] = (process.argv[2] ?? "1-100").split("-").map(Number);
const totals = new Map<string, number>();
for (let seed = first; seed <= last; seed += 1) {
  for (const [name, count] of Object.entries<number>({ ...(await runFaults(seed)) })) {
    totals.set(name, (totals.get(name) ?? 0) + count);
  }
}
console.log(JSON.stringify({ seeds: `${first}-${last}`, ...Object.fromEntries(totals) }));
