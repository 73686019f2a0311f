import { readFileSync } from "node:fs";

/** API key -> priority, from the table of docs/protocol.md, which says what is in scope. */
export function priorities(): ReadonlyMap<number, string> {
  const text = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| (\d+) \| \w+ \|.*\|$/gm)].map(([row]) =>
    row.split("|").map((cell) => cell.trim()),
  );
  const column = text
    .split("\n")
    .find((line) => line.startsWith("| key | API |"))!
    .split("|")
    .findIndex((cell) => cell.trim() === "prio");
  return new Map(rows.map((cells) => [Number(cells[1]), cells[column]!]));
}

/** Whether an API of that priority must be known to Holdfast. */
export function isInScope(priority: string | undefined): boolean {
  return priority !== undefined && /^P[01]\b/.test(priority);
}
