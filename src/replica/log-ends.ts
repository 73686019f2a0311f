import { type Uuid, uuidFromBytes, uuidToBytes } from "../base/ids.ts";
import { ProtobufError, ProtobufReader, ProtobufWriter } from "../protocol/peers/protobuf.ts";

// What the active controller asks brokers when nobody is left who is known to have all that is committed (R11).

/** As replication.proto names it. */
export const LOG_ENDS_SERVICE = "holdfast.Replication/LogEnds";

export interface AskedLog {
  readonly topicId: Uuid;
  readonly partitionIndex: number;
}

/** How far a replica's log goes. */
export interface LogEnd extends AskedLog {
  /** Leader epoch of the last record; -1: there is none. */
  readonly lastEpoch: number;
  readonly endOffset: number;
  /** It cannot be read, or not all of it (R10). */
  readonly isDamaged: boolean;
}

/** Of the logs that the broker has open; the others are left out. */
export interface LogEnds {
  /** Of the incarnation that says so. */
  readonly brokerEpoch: number;
  readonly ends: readonly LogEnd[];
}

export function encodeAskedLogs(asked: readonly AskedLog[]): Buffer {
  const writer = new ProtobufWriter();
  for (const log of asked) writer.message(1, (to) => writeLog(to, log));
  return writer.finish();
}

/** Throws ProtobufError. */
export function decodeAskedLogs(bytes: Buffer): readonly AskedLog[] {
  return new ProtobufReader(bytes).messages(1).map(readLog);
}

export function encodeLogEnds({ brokerEpoch, ends }: LogEnds): Buffer {
  const writer = new ProtobufWriter();
  writer.uint(1, brokerEpoch);
  for (const end of ends) {
    writer.message(2, (to) => {
      writeLog(to, end);
      to.optionalUint(3, end.lastEpoch === -1 ? null : end.lastEpoch);
      to.uint(4, end.endOffset);
      to.bool(5, end.isDamaged);
    });
  }
  return writer.finish();
}

/** Throws ProtobufError. */
export function decodeLogEnds(bytes: Buffer): LogEnds {
  const reader = new ProtobufReader(bytes);
  const ends = reader.messages(2).map((from) => ({
    ...readLog(from),
    lastEpoch: from.optionalUint(3) ?? -1,
    endOffset: from.uint(4),
    isDamaged: from.bool(5),
  }));
  return { brokerEpoch: reader.uint(1), ends };
}

function writeLog(writer: ProtobufWriter, { topicId, partitionIndex }: AskedLog): void {
  writer.bytes(1, uuidToBytes(topicId));
  writer.uint(2, partitionIndex);
}

function readLog(reader: ProtobufReader): AskedLog {
  const topicId = reader.bytes(1);
  if (topicId.length !== 16) throw new ProtobufError("a topic id has sixteen bytes");
  return { topicId: uuidFromBytes(topicId), partitionIndex: reader.uint(2) };
}
