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

function encodeCheckpoint(lines: readonly string[]): Buffer {
  return Buffer.from([VERSION, String(lines.length), ...lines, ""].join("\n"), "utf8");
}

function decodeCheckpoint(bytes: Buffer, fieldCount: number): string[][] {
  const [version, count, ...lines] = bytes.toString("utf8").split("\n");
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
