import { crc32c } from "../base/crc32c.ts";

/** A checkpoint or snapshot file that is not what it should be. What it held is found out anew. */
export class DamagedFileError extends Error {
  override readonly name = "DamagedFileError";
}

export interface PartitionOffset {
  readonly topic: string;
  readonly partitionIndex: number;
  readonly offset: number;
}

export interface EpochStart {
  readonly epoch: number;
  readonly startOffset: number;
}

const VERSION = "0";

/** recovery-point-, log-start- and replication-offset-checkpoint: text, one line a partition. */
export function encodeOffsetCheckpoint(entries: readonly PartitionOffset[]): Buffer {
  return encodeCheckpoint(
    entries.map((entry) => `${entry.topic} ${entry.partitionIndex} ${entry.offset}`),
  );
}

/** Throws DamagedFileError. */
export function decodeOffsetCheckpoint(bytes: Buffer): PartitionOffset[] {
  return decodeCheckpoint(bytes, 3).map(([topic = "", partition = "", offset = ""]) => ({
    topic,
    partitionIndex: wholeNumber(partition),
    offset: wholeNumber(offset),
  }));
}

/** leader-epoch-checkpoint: where each leader epoch begins. */
export function encodeEpochCheckpoint(entries: readonly EpochStart[]): Buffer {
  return encodeCheckpoint(entries.map((entry) => `${entry.epoch} ${entry.startOffset}`));
}

/** Throws DamagedFileError, also where epochs or offsets do not rise (S10). */
export function decodeEpochCheckpoint(bytes: Buffer): EpochStart[] {
  const entries = decodeCheckpoint(bytes, 2).map(([epoch = "", startOffset = ""]) => ({
    epoch: wholeNumber(epoch),
    startOffset: wholeNumber(startOffset),
  }));
  let last: EpochStart = { epoch: -1, startOffset: -1 };
  for (const entry of entries) {
    if (entry.epoch <= last.epoch || entry.startOffset <= last.startOffset) {
      throw new DamagedFileError("leader epochs or their start offsets do not rise");
    }
    last = entry;
  }
  return entries;
}

/** A bit of the checksum each: Kafka splits lines at white space, so it sees neither. */
const ZERO_BIT = " ";
const ONE_BIT = "\t";
const CHECKSUM_BITS = 32;

function encodeCheckpoint(lines: readonly string[]): Buffer {
  const text = [VERSION, String(lines.length), ...lines].join("\n");
  // Without an entry every byte has one possible value.
  return Buffer.from(`${text}${lines.length === 0 ? "" : checksumOf(text)}\n`, "utf8");
}

/**
 * The CRC-32C of the file before it, as blanks and tabs at the end of the last line. A flipped digit
 * in a checkpoint is a number like any other, and there is nothing else that could contradict it
 * (E14; docs/decisions/0004-checksums-in-blanks.md).
 */
function checksumOf(text: string): string {
  const bits = crc32c(Buffer.from(text, "utf8")).toString(2).padStart(CHECKSUM_BITS, "0");
  return bits.replaceAll("0", ZERO_BIT).replaceAll("1", ONE_BIT);
}

/** Whether a checkpoint that was decoded had a checksum. */
export function hasChecksum(bytes: Buffer): boolean {
  return /[ \t]\n$/.test(bytes.toString("utf8"));
}

/** The text without its checksum. A file that Kafka has written, without one, is taken as it is. */
function checked(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  const content = text.replace(/[ \t]+\n$/, "");
  if (content.length === text.length) return text;
  if (text !== `${content}${checksumOf(content)}\n`) {
    throw new DamagedFileError("the checksum is wrong");
  }
  return `${content}\n`;
}

function decodeCheckpoint(bytes: Buffer, fieldCount: number): string[][] {
  const [version, count, ...lines] = checked(bytes).split("\n");
  if (version !== VERSION) throw new DamagedFileError("the version is not 0");
  // The last line ends as well, so that a file that was cut off is seen.
  if (lines.pop() !== "" || wholeNumber(count ?? "") !== lines.length) {
    throw new DamagedFileError("the number of entries is not as stated");
  }
  return lines.map((line) => {
    const fields = line.split(" ");
    if (fields.length !== fieldCount) throw new DamagedFileError("an entry has other fields");
    return fields;
  });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new DamagedFileError("there is something else where a number should be");
  }
  return value;
}
