import { crc32c } from "../base/crc32c.ts";
import { codecFor } from "../protocol/codec.ts";
import { ProtocolError } from "../protocol/errors.ts";
import {
  type ProducerSnapshot,
  producerSnapshot,
} from "../protocol/messages/internal/producer-state.ts";
import { DamagedFileError } from "./checkpoint.ts";

/** One batch of a producer; see `ProducerState.snapshot`. */
export type ProducerSnapshotEntry = ProducerSnapshot["producerEntries"][number];

const VERSION = 1;
const BODY_OFFSET = 2;
/** The checksum covers all that follows it. */
const CRC_END = BODY_OFFSET + 4;

/** `.snapshot`: int16 version, uint32 CRC-32C of the rest, the producers. Named after the next offset. */
export function encodeProducerSnapshot(producerEntries: readonly ProducerSnapshotEntry[]): Buffer {
  const body = codecFor(producerSnapshot, VERSION).encode({ crc: 0, producerEntries });
  const bytes = Buffer.allocUnsafe(BODY_OFFSET + body.length);
  bytes.writeInt16BE(VERSION, 0);
  body.copy(bytes, BODY_OFFSET);
  bytes.writeUInt32BE(crc32c(bytes, CRC_END), BODY_OFFSET);
  return bytes;
}

/** Throws DamagedFileError. */
export function decodeProducerSnapshot(bytes: Buffer): readonly ProducerSnapshotEntry[] {
  if (bytes.length < CRC_END || bytes.readInt16BE(0) !== VERSION) {
    throw new DamagedFileError("this is no producer snapshot of version 1");
  }
  if (bytes.readUInt32BE(BODY_OFFSET) !== crc32c(bytes, CRC_END)) {
    throw new DamagedFileError("the checksum of the producer snapshot is wrong");
  }
  try {
    return codecFor(producerSnapshot, VERSION).decode(bytes, BODY_OFFSET).producerEntries;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new DamagedFileError("the producer snapshot cannot be read", { cause: error });
  }
}
