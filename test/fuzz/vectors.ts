import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  type Api,
  apiByKey,
  requestHeaderVersion,
  responseHeaderVersion,
} from "../../src/protocol/apis.ts";
import { requestHeader, responseHeader } from "../../src/protocol/messages/internal/headers.ts";
import { planMessage } from "../../src/protocol/plan.ts";
import { includesVersion } from "../../src/protocol/schema.ts";
import { findSites, type Site } from "./sites.ts";

/** One valid frame without its size prefix, and where everything lies in it. */
export interface Vector {
  readonly bytes: Buffer;
  readonly bodyOffset: number;
  readonly headerSites: readonly Site[];
  readonly bodySites: readonly Site[];
}

/** The vectors of one message in one version: what frames are counted by. */
export interface Group {
  readonly api: Api;
  readonly isRequest: boolean;
  readonly version: number;
  readonly vectors: readonly Vector[];
}

interface BodyLine {
  readonly key: number;
  readonly type: "request" | "response";
  readonly version: number;
  readonly hex: string;
}

interface FrameLine extends BodyLine {
  readonly bodyOffset: number;
}

/** The lines of a vector file, from HOLDFAST_GOLDEN_DIR or test/golden. */
export function readLines(name: string): readonly unknown[] {
  const folder = process.env["HOLDFAST_GOLDEN_DIR"] ?? "test/golden";
  const text = gunzipSync(readFileSync(join(folder, `${name}.jsonl.gz`))).toString("utf8");
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as unknown);
}

/** Every golden request and response of the APIs and versions that we know, behind a golden header. */
export function loadGroups(): readonly Group[] {
  const headers = new Map<string, Buffer>();
  for (const line of readLines("frames") as FrameLine[]) {
    headers.set(groupKey(line), Buffer.from(line.hex, "hex").subarray(4, line.bodyOffset));
  }
  const groups = new Map<string, Group & { readonly vectors: Vector[] }>();
  const lines = [...readLines("protocol-requests"), ...readLines("protocol-responses")];
  for (const line of lines as BodyLine[]) {
    const api = apiByKey(line.key);
    const header = headers.get(groupKey(line));
    if (api === undefined || !includesVersion(api.request.versions, line.version)) continue;
    if (header === undefined) throw new Error(`no golden frame for ${groupKey(line)}`);
    const isRequest = line.type === "request";
    let group = groups.get(groupKey(line));
    if (group === undefined) {
      group = { api, isRequest, version: line.version, vectors: [] };
      groups.set(groupKey(line), group);
    }
    group.vectors.push(makeVector(group, header, Buffer.from(line.hex, "hex")));
  }
  return [...groups.values()];
}

function groupKey(line: { readonly type: string; readonly key: number; readonly version: number }) {
  return `${line.type}/${line.key}/${line.version}`;
}

function makeVector(group: Omit<Group, "vectors">, header: Buffer, body: Buffer): Vector {
  const { api, isRequest, version } = group;
  const bytes = Buffer.concat([header, body]);
  const headerPlan = isRequest
    ? planMessage(requestHeader, requestHeaderVersion(api, version), "shipped")
    : planMessage(responseHeader, responseHeaderVersion(api, version), "shipped");
  const headerSites: Site[] = [];
  const bodySites: Site[] = [];
  const bodyOffset = findSites(bytes, headerPlan, 0, headerSites);
  const bodyPlan = planMessage(isRequest ? api.request : api.response, version, "shipped");
  const end = findSites(bytes, bodyPlan, bodyOffset, bodySites);
  if (bodyOffset !== header.length || end !== bytes.length) {
    throw new Error(`the walk of ${api.name} v${version} does not end where the vector does`);
  }
  return { bytes, bodyOffset, headerSites, bodySites };
}
