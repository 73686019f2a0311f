import { uuidFromBytes, uuidToBytes } from "../base/ids.ts";
import { errorNamed } from "../protocol/errors.ts";
import { ProtobufError, ProtobufReader, ProtobufWriter } from "../protocol/peers/protobuf.ts";
import type {
  FollowerAnswer,
  FollowerMessage,
  Frame,
  LeaderAnswer,
  LeaderMessage,
  Progress,
  Statement,
} from "./replication-messages.ts";

/** As replication.proto names it. */
export const REPLICATION_SERVICE = "holdfast.Replication/Replicate";

export function encodeFollowerMessage(message: FollowerMessage): Buffer {
  const writer = new ProtobufWriter();
  writer.repeatedUint(1, message.droppedSlots);
  for (const statement of message.statements) {
    writer.message(2, (to) => writeStatement(to, statement));
  }
  for (const progress of message.progress) writer.message(3, (to) => writeProgress(to, progress));
  writer.uint(4, message.consumedBytes);
  return writer.finish();
}

/** Throws ProtobufError. */
export function decodeFollowerMessage(bytes: Buffer): FollowerMessage {
  const reader = new ProtobufReader(bytes);
  return {
    droppedSlots: reader.repeatedUint(1),
    statements: reader.messages(2).map(readStatement),
    progress: reader.messages(3).map(readProgress),
    consumedBytes: reader.uint(4),
  };
}

/** The records are copied once. */
export function encodeLeaderMessage({ frames, answers }: LeaderMessage): Buffer {
  const writer = new ProtobufWriter();
  for (const frame of frames) writer.message(1, (to) => writeFrame(to, frame));
  for (const answer of answers) writer.message(2, (to) => writeAnswer(to, answer));
  return writer.finish();
}

/** The records are slices of the bytes. Throws ProtobufError. */
export function decodeLeaderMessage(bytes: Buffer): LeaderMessage {
  const reader = new ProtobufReader(bytes);
  return { frames: reader.messages(1).map(readFrame), answers: reader.messages(2).map(readAnswer) };
}

function writeStatement(writer: ProtobufWriter, statement: Statement): void {
  writer.uint(1, statement.slot);
  writer.uint(2, statement.session);
  writer.bytes(3, uuidToBytes(statement.topicId));
  writer.uint(4, statement.partitionIndex);
  writer.uint(5, statement.leaderEpoch);
  writer.uint(6, statement.fetchOffset);
  writer.optionalUint(7, unlessNone(statement.lastFetchedEpoch));
  writer.uint(8, statement.logStartOffset);
}

function readStatement(reader: ProtobufReader): Statement {
  const topicId = reader.bytes(3);
  if (topicId.length !== 16) throw new ProtobufError("a topic id has sixteen bytes");
  return {
    slot: reader.uint(1),
    session: reader.uint(2),
    topicId: uuidFromBytes(topicId),
    partitionIndex: reader.uint(4),
    leaderEpoch: reader.uint(5),
    fetchOffset: reader.uint(6),
    lastFetchedEpoch: reader.optionalUint(7) ?? -1,
    logStartOffset: reader.uint(8),
  };
}

function writeProgress(writer: ProtobufWriter, progress: Progress): void {
  writer.uint(1, progress.slot);
  writer.uint(2, progress.session);
  writer.uint(3, progress.receivedOffset);
  writer.uint(4, progress.safeOffset);
}

function readProgress(reader: ProtobufReader): Progress {
  return {
    slot: reader.uint(1),
    session: reader.uint(2),
    receivedOffset: reader.uint(3),
    safeOffset: reader.uint(4),
  };
}

function writeFrame(writer: ProtobufWriter, frame: Frame): void {
  writer.uint(1, frame.slot);
  writer.uint(2, frame.session);
  writer.uint(3, frame.leaderEpoch);
  writer.uint(4, frame.highWatermark);
  writer.uint(5, frame.logStartOffset);
  writer.bytes(6, frame.records);
}

function readFrame(reader: ProtobufReader): Frame {
  return {
    slot: reader.uint(1),
    session: reader.uint(2),
    leaderEpoch: reader.uint(3),
    highWatermark: reader.uint(4),
    logStartOffset: reader.uint(5),
    records: reader.bytes(6),
  };
}

function writeAnswer(writer: ProtobufWriter, answer: LeaderAnswer): void {
  writer.uint(1, answer.slot);
  writer.uint(2, answer.session);
  switch (answer.kind) {
    case "diverging":
      writer.message(3, (diverging) => {
        diverging.optionalUint(1, unlessNone(answer.epoch));
        diverging.optionalUint(2, unlessNone(answer.endOffset));
      });
      return;
    case "outOfRange":
      writer.message(4, (range) => {
        range.uint(1, answer.logStartOffset);
        range.uint(2, answer.logEndOffset);
      });
      return;
    case "refused":
      writer.string(5, answer.error);
      return;
  }
}

function readAnswer(reader: ProtobufReader): LeaderAnswer {
  return { slot: reader.uint(1), session: reader.uint(2), ...readOutcome(reader) };
}

function readOutcome(reader: ProtobufReader): FollowerAnswer {
  const diverging = reader.message(3);
  if (diverging !== null) {
    const [epoch, endOffset] = [diverging.optionalUint(1), diverging.optionalUint(2)];
    return { kind: "diverging", epoch: epoch ?? -1, endOffset: endOffset ?? -1 };
  }
  const range = reader.message(4);
  if (range !== null) {
    return { kind: "outOfRange", logStartOffset: range.uint(1), logEndOffset: range.uint(2) };
  }
  const error = reader.string(5);
  if (error === "") throw new ProtobufError("an answer says nothing");
  return { kind: "refused", error: errorNamed(error) };
}

/** -1 goes as a field that is not there. */
function unlessNone(value: number): number | null {
  return value === -1 ? null : value;
}
