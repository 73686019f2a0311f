import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

/** What a module loads with it: not what it imports when it is wanted, and not types. */
function loadedWith(path: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  if (!path.endsWith(".ts")) return seen;
  const text = readFileSync(path, "utf8");
  for (const [, clause = "", specifier = ""] of text.matchAll(
    /^(?:import|export)\s+([^;"]*?)\s*(?:from\s+)?"([^"]+)";/gms,
  )) {
    const names = /^\{(.*?)\}/s.exec(clause)?.[1];
    const isTypesOnly =
      clause.startsWith("type ") ||
      names?.split(",").every((name) => name.trim() === "" || name.trim().startsWith("type "));
    if (isTypesOnly === true) continue;
    loadedWith(
      specifier.startsWith(".") ? normalize(join(dirname(path), specifier)) : specifier,
      seen,
    );
  }
  return seen;
}

test("a lone node loads nothing of gRPC", () => {
  for (const entry of ["src/server/main.ts", "src/server/config-command-line.ts"]) {
    const loaded = [...loadedWith(entry)];
    expect(loaded.length).toBeGreaterThan(10);
    expect(loaded.filter((path) => /grpc/.test(path))).toEqual([]);
  }
  // The way of looking would find it.
  expect([...loadedWith("src/server/net/grpc-rpc.ts")]).toContain("@grpc/grpc-js");
  expect([...loadedWith("src/server/main.ts")]).toContain("src/server/broker.ts");
});
