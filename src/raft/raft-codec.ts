import { uuidFromBytes, uuidToBytes } from "../base/ids.ts";
import { ProtobufError, ProtobufReader, ProtobufWriter } from "../protocol/peers/protobuf.ts";
import type { Batch, FetchOutcome, SnapshotId } from "./core/messages.ts";
import type { ReplicaKey } from "./core/voters.ts";
import type { RaftMessage } from "./transport.ts";

type Kind = RaftMessage["kind"];
type Of<K extends Kind> = Extract<RaftMessage, { readonly kind: K }>;

/** One kind of message: its number in raft.proto's oneof, and its fields. */
interface Codec<K extends Kind> {
  readonly number: number;
  write(writer: ProtobufWriter, message: Of<K>): void;
  read(reader: ProtobufReader): Of<K>;
}

const CODECS: { readonly [K in Kind]: Codec<K> } = {
  vote: {
    number: 1,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writer.bool(2, message.isPreVote);
      writeReplica(writer, 3, message.voter);
      writer.uint(4, message.lastEpoch);
      writer.uint(5, message.endOffset);
    },
    read: (reader) => ({
      kind: "vote",
      epoch: reader.uint(1),
      isPreVote: reader.bool(2),
      voter: readReplica(reader, 3),
      lastEpoch: reader.uint(4),
      endOffset: reader.uint(5),
    }),
  },
  voteAnswer: {
    number: 2,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writer.optionalUint(2, message.leaderId);
      writer.bool(3, message.isPreVote);
      writer.bool(4, message.isGranted);
    },
    read: (reader) => ({
      kind: "voteAnswer",
      epoch: reader.uint(1),
      leaderId: reader.optionalUint(2),
      isPreVote: reader.bool(3),
      isGranted: reader.bool(4),
    }),
  },
  beginQuorumEpoch: {
    number: 3,
    write: (writer, { epoch }) => writer.uint(1, epoch),
    read: (reader) => ({ kind: "beginQuorumEpoch", epoch: reader.uint(1) }),
  },
  endQuorumEpoch: {
    number: 4,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      for (const replica of message.preferredSuccessors) writeReplica(writer, 2, replica);
    },
    read: (reader) => ({
      kind: "endQuorumEpoch",
      epoch: reader.uint(1),
      preferredSuccessors: reader.messages(2).map(replicaOf),
    }),
  },
  fetch: {
    number: 5,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writer.uint(2, message.fetchOffset);
      writer.uint(3, message.lastFetchedEpoch);
      writer.uint(4, message.highWatermark);
    },
    read: (reader) => ({
      kind: "fetch",
      epoch: reader.uint(1),
      fetchOffset: reader.uint(2),
      lastFetchedEpoch: reader.uint(3),
      highWatermark: reader.uint(4),
    }),
  },
  fetchAnswer: {
    number: 6,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writer.uint(2, message.fetchOffset);
      writer.uint(3, message.lastFetchedEpoch);
      writer.uint(4, message.highWatermark);
      writeOutcome(writer, message.outcome);
    },
    read: (reader) => ({
      kind: "fetchAnswer",
      epoch: reader.uint(1),
      fetchOffset: reader.uint(2),
      lastFetchedEpoch: reader.uint(3),
      highWatermark: reader.uint(4),
      outcome: readOutcome(reader),
    }),
  },
  refusal: {
    number: 7,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writer.optionalUint(2, message.leaderId);
    },
    read: (reader) => ({
      kind: "refusal",
      epoch: reader.uint(1),
      leaderId: reader.optionalUint(2),
    }),
  },
  askPromise: {
    number: 8,
    write: (writer, message) => {
      writer.string(1, message.clusterId);
      writer.repeatedUint(2, message.voterIds);
    },
    read: (reader) => ({
      kind: "askPromise",
      clusterId: reader.string(1),
      voterIds: reader.repeatedUint(2),
    }),
  },
  promised: {
    number: 9,
    write: (writer, message) => {
      writer.string(1, message.clusterId);
      writeReplica(writer, 2, message.founder);
    },
    read: (reader) => ({
      kind: "promised",
      clusterId: reader.string(1),
      founder: readReplica(reader, 2),
    }),
  },
  askFormed: {
    number: 10,
    write: (writer, { clusterId }) => writer.string(1, clusterId),
    read: (reader) => ({ kind: "askFormed", clusterId: reader.string(1) }),
  },
  formed: {
    number: 11,
    write: (writer, message) => {
      writer.string(1, message.clusterId);
      for (const replica of message.voters) writeReplica(writer, 2, replica);
    },
    read: (reader) => ({
      kind: "formed",
      clusterId: reader.string(1),
      voters: reader.messages(2).map(replicaOf),
    }),
  },
  fetchSnapshot: {
    number: 12,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writeSnapshotId(writer, 2, message.id);
      writer.uint(3, message.position);
    },
    read: (reader) => ({
      kind: "fetchSnapshot",
      epoch: reader.uint(1),
      id: readSnapshotId(reader, 2),
      position: reader.uint(3),
    }),
  },
  snapshotChunk: {
    number: 13,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writeSnapshotId(writer, 2, message.id);
      writer.uint(3, message.position);
      writer.uint(4, message.sizeBytes);
      writer.bytes(5, message.bytes);
    },
    read: (reader) => ({
      kind: "snapshotChunk",
      epoch: reader.uint(1),
      id: readSnapshotId(reader, 2),
      position: reader.uint(3),
      sizeBytes: reader.uint(4),
      bytes: reader.bytes(5),
    }),
  },
  snapshotGone: {
    number: 14,
    write: (writer, message) => {
      writer.uint(1, message.epoch);
      writeSnapshotId(writer, 2, message.id);
    },
    read: (reader) => ({
      kind: "snapshotGone",
      epoch: reader.uint(1),
      id: readSnapshotId(reader, 2),
    }),
  },
};

// Each kind is given the codec of its own kind, which the types of a table cannot say.
const ALL = Object.values(CODECS) as readonly Codec<Kind>[];
const BY_NUMBER = new Map(ALL.map((codec) => [codec.number, codec]));

/** The message as raft.proto has it. */
export function encodeRaftMessage(message: RaftMessage): Buffer {
  const codec = CODECS[message.kind] as Codec<Kind>;
  const writer = new ProtobufWriter();
  writer.message(codec.number, (fields) => codec.write(fields, message));
  return writer.finish();
}

/** The message; its batches are slices of the bytes. Throws ProtobufError for what is none. */
export function decodeRaftMessage(bytes: Buffer): RaftMessage {
  const reader = new ProtobufReader(bytes);
  for (const number of reader.fields) {
    const fields = reader.message(number);
    const codec = BY_NUMBER.get(number);
    if (codec !== undefined && fields !== null) return codec.read(fields);
  }
  throw new ProtobufError("it is no message of the quorum that this version knows");
}

function writeOutcome(writer: ProtobufWriter, outcome: FetchOutcome): void {
  switch (outcome.kind) {
    case "records":
      writer.message(5, (records) => {
        for (const batch of outcome.batches) records.message(1, (to) => writeBatch(to, batch));
      });
      return;
    case "diverging":
      writer.message(6, (diverging) => {
        diverging.uint(1, outcome.epoch);
        diverging.uint(2, outcome.endOffset);
      });
      return;
    case "snapshot":
      writeSnapshotId(writer, 7, outcome.id);
      return;
  }
}

function readOutcome(reader: ProtobufReader): FetchOutcome {
  const records = reader.message(5);
  if (records !== null) return { kind: "records", batches: records.messages(1).map(readBatch) };
  const diverging = reader.message(6);
  if (diverging === null) return { kind: "snapshot", id: readSnapshotId(reader, 7) };
  return { kind: "diverging", epoch: diverging.uint(1), endOffset: diverging.uint(2) };
}

function writeSnapshotId(writer: ProtobufWriter, field: number, id: SnapshotId): void {
  writer.message(field, (to) => {
    to.uint(1, id.endOffset);
    to.uint(2, id.epoch);
  });
}

function readSnapshotId(reader: ProtobufReader, field: number): SnapshotId {
  const id = reader.message(field);
  if (id === null) throw new ProtobufError("no snapshot is named");
  return { endOffset: id.uint(1), epoch: id.uint(2) };
}

function writeBatch(writer: ProtobufWriter, batch: Batch): void {
  writer.uint(1, batch.baseOffset);
  writer.uint(2, batch.endOffset);
  writer.uint(3, batch.leaderEpoch);
  writer.bytes(4, batch.bytes);
}

function readBatch(reader: ProtobufReader): Batch {
  return {
    baseOffset: reader.uint(1),
    endOffset: reader.uint(2),
    leaderEpoch: reader.uint(3),
    bytes: reader.bytes(4),
  };
}

function writeReplica(writer: ProtobufWriter, field: number, replica: ReplicaKey): void {
  writer.message(field, (to) => {
    to.uint(1, replica.nodeId);
    to.bytes(2, uuidToBytes(replica.directoryId));
  });
}

function readReplica(reader: ProtobufReader, field: number): ReplicaKey {
  const replica = reader.message(field);
  if (replica === null) throw new ProtobufError("a replica is not named");
  return replicaOf(replica);
}

function replicaOf(reader: ProtobufReader): ReplicaKey {
  const directoryId = reader.bytes(2);
  if (directoryId.length !== 16) throw new ProtobufError("a directory id has sixteen bytes");
  return { nodeId: reader.uint(1), directoryId: uuidFromBytes(directoryId) };
}
