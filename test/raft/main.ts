import { runFaults } from "./quorum-faults.ts";

/**
 * `tsx test/raft/main.ts 1-500`: real drivers of three voters and an observer on simulated disks, with
 * faults; each seed's line on stdout, and exit code 1 with the seed when a rule does not hold.
 */
const [first = 1, last = first] = (process.argv[2] ?? "1-100").split("-").map(Number);
let ackedCount = 0;
let faultCount = 0;
for (let seed = first; seed <= last; seed += 1) {
  const report = await runFaults(seed);
  ackedCount += report.ackedCount;
  faultCount += report.faultCount;
}
console.log(`seeds ${first}-${last}: ${ackedCount} answered, ${faultCount} faults, no rule broken`);
