import { isUuid, type Uuid } from "../base/ids.ts";
import { DamagedFileError } from "./checkpoint.ts";

export const META_PROPERTIES = "meta.properties";

/** Whose directory this is (KIP-631, KIP-858). */
export interface MetaProperties {
  readonly nodeId: number;
  readonly directoryId: Uuid;
  readonly clusterId: string;
}

export function encodeMetaProperties(meta: MetaProperties): Buffer {
  const lines = [
    `node.id=${meta.nodeId}`,
    `directory.id=${meta.directoryId}`,
    "version=1",
    `cluster.id=${meta.clusterId}`,
  ];
  return Buffer.from(`${lines.join("\n")}\n`, "utf8");
}

/** Throws DamagedFileError that says what is wrong. */
export function decodeMetaProperties(bytes: Buffer): MetaProperties {
  const values = parseProperties(bytes.toString("utf8"));
  const version = required(values, "version");
  if (version !== "1") throw new DamagedFileError(`the version is ${version}, not 1`);
  const nodeId = required(values, "node.id");
  if (!/^\d{1,10}$/.test(nodeId)) throw new DamagedFileError(`node.id is ${nodeId}`);
  const directoryId = required(values, "directory.id");
  if (!isUuid(directoryId)) throw new DamagedFileError(`directory.id is ${directoryId}`);
  return { nodeId: Number(nodeId), directoryId, clusterId: required(values, "cluster.id") };
}

function required(values: ReadonlyMap<string, string>, key: string): string {
  const value = values.get(key);
  if (value === undefined || value === "") throw new DamagedFileError(`there is no ${key}`);
  return value;
}

function parseProperties(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const equals = trimmed.indexOf("=");
    if (equals < 0) throw new DamagedFileError(`"${trimmed}" is no property`);
    values.set(trimmed.slice(0, equals).trim(), trimmed.slice(equals + 1).trim());
  }
  return values;
}
