// How long the last start in a broker's log took to recover its logs: one JSON object.
import { readFileSync } from "node:fs";

const lines = readFileSync(process.argv[2], "utf8").split("\n");
const text = lines.find((line) => line.includes("recovered the logs"));
if (text === undefined) throw new Error("the broker's log does not tell of a recovery");
const { elapsedMs, scannedBytes } = JSON.parse(text);
console.log(
  JSON.stringify({ recovery_ms: elapsedMs, scanned_mib: Math.round(scannedBytes / 2 ** 20) }),
);
