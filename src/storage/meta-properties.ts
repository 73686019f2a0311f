import { crc32c } from "../base/crc32c.ts";
import { isUuid, type Uuid } from "../base/ids.ts";
import { DamagedFileError } from "./checkpoint.ts";

export const META_PROPERTIES = "meta.properties";

/** Whose directory this is (KIP-631, KIP-858). */
export interface MetaProperties {
  readonly nodeId: number;
  readonly directoryId: Uuid;
  readonly clusterId: string;
}

/** A comment to Kafka: without it a flipped cluster or directory id would be one like any other. */
const CHECKSUM = "#crc32c=";

export function encodeMetaProperties(meta: MetaProperties): Buffer {
  const lines = [
    `node.id=${meta.nodeId}`,
    `directory.id=${meta.directoryId}`,
    "version=1",
    `cluster.id=${meta.clusterId}`,
  ];
  const text = `${lines.join("\n")}\n`;
  return Buffer.from(`${text}${CHECKSUM}${checksumOf(text)}\n`, "utf8");
}

function checksumOf(text: string): string {
  return crc32c(Buffer.from(text, "utf8")).toString(16).padStart(8, "0");
}

/** Throws DamagedFileError that says what is wrong. */
export function decodeMetaProperties(bytes: Buffer): MetaProperties {
  const text = bytes.toString("utf8");
  checkChecksum(text);
  const values = parseProperties(text);
  const version = required(values, "version");
  if (version !== "1") throw new DamagedFileError(`the version is ${version}, not 1`);
  const nodeId = required(values, "node.id");
  if (!/^\d{1,10}$/.test(nodeId)) throw new DamagedFileError(`node.id is ${nodeId}`);
  const directoryId = required(values, "directory.id");
  if (!isUuid(directoryId)) throw new DamagedFileError(`directory.id is ${directoryId}`);
  return { nodeId: Number(nodeId), directoryId, clusterId: required(values, "cluster.id") };
}

/** Files of Kafka's, and of the first release, have none. */
function checkChecksum(text: string): void {
  const at = text.indexOf(CHECKSUM);
  if (at < 0) return;
  if (text.slice(at) !== `${CHECKSUM}${checksumOf(text.slice(0, at))}\n`) {
    throw new DamagedFileError("its checksum is wrong; after a change by hand remove that line");
  }
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
