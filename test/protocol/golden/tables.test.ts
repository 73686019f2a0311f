import { expect, test } from "vitest";
import {
  type Api,
  apiByKey,
  APIS,
  CONTROLLER_APIS,
  requestHeaderVersion,
  responseHeaderVersion,
} from "../../../src/protocol/apis.ts";
import {
  type ErrorName,
  errorCode,
  errorMessage,
  errorName,
  errorNames,
  KafkaError,
} from "../../../src/protocol/errors.ts";
import { isInScope, priorities } from "./priorities.ts";
import { readJson } from "./vectors.ts";

interface ApiRow {
  readonly key: number;
  readonly api: string;
  readonly min: number;
  readonly max: number;
  readonly maxStable: number;
  readonly requestHeader: readonly number[];
  readonly responseHeader: readonly number[];
  readonly removed?: true;
}

interface ErrorRow {
  readonly code: number;
  readonly name: ErrorName;
  readonly retriable: boolean;
  readonly message: string;
}

const apiRows = (readJson("apis.json") as ApiRow[]).filter((row) => row.removed === undefined);
const byKey = new Map<number, Api>(
  Object.values({ ...APIS, ...CONTROLLER_APIS }).map((api) => [api.key, api]),
);
const known = apiRows.filter((row) => byKey.has(row.key));

test("every API of ours is in Kafka's table", () => {
  const ours = [...byKey.keys()];
  expect(known.map((row) => row.key)).toEqual(ours.toSorted((a, b) => a - b));
});

test.each(known)("$api ($key) has Kafka's versions and header versions", (row) => {
  const api: Api = byKey.get(row.key)!;
  expect(api.name).toBe(row.api);
  expect(api.minVersion).toBe(row.min);
  expect(api.maxVersion).toBe(row.maxStable);
  for (let version = row.min; version <= row.max; version += 1) {
    expect(requestHeaderVersion(api, version)).toBe(row.requestHeader[version - row.min]);
    expect(responseHeaderVersion(api, version)).toBe(row.responseHeader[version - row.min]);
  }
});

test("what only nodes ask is no API that a client can reach", () => {
  const reachable = Object.values(CONTROLLER_APIS).filter(({ key }) => apiByKey(key) !== undefined);
  expect(reachable).toEqual([]);
});

test("every API in scope is in Kafka's table", () => {
  const keys = new Set(apiRows.map((row) => row.key));
  const strangers = [...priorities()].filter(
    ([key, priority]) => isInScope(priority) && !keys.has(key),
  );
  expect(strangers).toEqual([]);
});

test("the error table is Kafka's", () => {
  const rows = readJson("errors.json") as ErrorRow[];
  for (const row of rows) {
    expect(errorCode(row.name)).toBe(row.code);
    expect(errorName(row.code)).toBe(row.name);
    expect(errorMessage(row.name)).toBe(row.message);
    const error = new KafkaError(row.name);
    expect([error.code, error.retriable, error.message]).toEqual([
      row.code,
      row.retriable,
      row.message,
    ]);
  }
  expect(errorNames().toSorted()).toEqual(rows.map(({ name }) => name).toSorted());
});
