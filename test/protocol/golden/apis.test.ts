import { afterAll, describe, expect, test } from "vitest";
import { type Api, apiByKey, APIS, CONTROLLER_APIS } from "../../../src/protocol/apis.ts";
import { parseVersions } from "../../../src/protocol/schema.ts";
import { checkVectors, grouped, report } from "./check.ts";
import { isInScope, priorities } from "./priorities.ts";
import { type ApiVector, IS_OWN_SET, readVectors } from "./vectors.ts";

const priorityOf = priorities();

test("every API in scope is known", () => {
  const missing = [...priorityOf].filter(
    ([key, priority]) => isInScope(priority) && apiByKey(key) === undefined,
  );
  expect(missing).toEqual([]);
});

describe.each(["requests", "responses"] as const)("protocol-%s", (file) => {
  const byKey = grouped(readVectors<ApiVector>(`protocol-${file}`), ({ key }) => key);
  const counts = { checked: 0, refused: 0 };
  const leftOut = new Map<string, number>();

  test.each(Object.values(APIS))("$name ($key): all versions, byte for byte", (api) => {
    const message = file === "requests" ? api.request : api.response;
    const vectors = byKey.get(api.key) ?? [];
    const { first, last } = parseVersions(message.versions);
    const versions = new Set(vectors.map(({ version }) => version));
    const all = Array.from({ length: last - first + 1 }, (_, index) => first + index);
    if (IS_OWN_SET) expect([...versions].toSorted((a, b) => a - b)).toEqual(all);
    counts.refused += checkVectors(message, vectors);
    counts.checked += vectors.length;
  });

  test("what is not known is out of scope, and is counted", () => {
    for (const [key, vectors] of byKey) {
      if (apiByKey(key) !== undefined) continue;
      const priority = priorityOf.get(key);
      expect(priority, `${vectors[0]!.api} is in the table`).toBeDefined();
      expect(isInScope(priority), `${vectors[0]!.api} is out of scope`).toBe(false);
      const reason = `${vectors[0]!.api} (${key}), ${priority!} in docs/protocol.md`;
      leftOut.set(reason, vectors.length);
    }
  });

  afterAll(() => report(`protocol-${file}`, counts, leftOut));
});

test("APIs that only a controller serves: all versions, byte for byte; Raft's own are left out", () => {
  const vectors = readVectors<ApiVector>("protocol-controller");
  const controllerApis = new Map<number, Api>(
    Object.values(CONTROLLER_APIS).map((api) => [api.key, api]),
  );
  const keys = new Set(vectors.map(({ key }) => key));
  expect([...controllerApis.keys()].filter((key) => !keys.has(key))).toEqual([]);
  const leftOut = new Map<string, number>();
  const counts = { checked: 0, refused: 0 };
  for (const [api, own] of grouped(vectors, (vector) => `${vector.api} (${vector.key})`)) {
    const known = controllerApis.get(own[0]!.key);
    if (known === undefined) {
      leftOut.set(`${api}, between nodes only, where Holdfast speaks gRPC`, own.length);
      continue;
    }
    for (const [type, group] of grouped(own, (vector) => vector.type)) {
      counts.refused += checkVectors(type === "request" ? known.request : known.response, group);
      counts.checked += group.length;
    }
  }
  report("protocol-controller", counts, leftOut);
});
