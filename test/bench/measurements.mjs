// What the tables have in common: the measurements that run.sh has noted, and their medians.
import { readFileSync } from "node:fs";

/** One object a measurement, of a file of JSON lines. */
export function readRows(path) {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

/** The lower one of the two in the middle of an even number. */
export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
}
