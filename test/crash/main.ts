import { explore } from "./explorer.ts";
import { record, recordingNames } from "./recordings.ts";

const only = process.argv[2];
const seeds = Number(process.argv[3] ?? "1");
const limit = Number(process.argv[4] ?? "60");
for (const name of recordingNames()) {
  if (only !== undefined && only !== "all" && only !== name) continue;
  for (let seed = 0; seed < seeds; seed += 1) {
    const t = performance.now();
    const recording = await record(name, seed);
    const t1 = performance.now();
    const outcomes = new Map();
    const f = await explore(recording, { limit, maxViolations: 3, outcomes });
    const t2 = performance.now();
    console.log(
      name,
      seed,
      "events",
      recording.world.trace.events.length,
      "states",
      f.stateCount,
      "distinct",
      f.hashes.size,
      "rec",
      (t1 - t).toFixed(0),
      "ms, explore",
      (t2 - t1).toFixed(0),
      "per distinct",
      ((t2 - t1) / f.hashes.size).toFixed(2),
    );
    for (const v of f.violations)
      console.log("   VIOLATION", v.state, v.event, v.texts.join("\n      "));
  }
}
