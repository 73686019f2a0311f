import { describe, expect, test } from "vitest";
import { uuidFromBytes, uuidToBytes } from "../../src/base/ids.ts";
import { ProtobufError } from "../../src/protocol/peers/protobuf.ts";
import { decodeRaftMessage, encodeRaftMessage } from "../../src/raft/raft-codec.ts";
import type { RaftMessage } from "../../src/raft/transport.ts";
import { protoFile } from "../support/proto-file.ts";

const first = { nodeId: 1, directoryId: uuidFromBytes(Buffer.alloc(16, 0xa1)) };
const second = { nodeId: 0, directoryId: uuidFromBytes(Buffer.alloc(16, 0xff)) };
const id = { endOffset: 2 ** 40, epoch: 3 };
const answered = { epoch: 7, fetchOffset: 40, lastFetchedEpoch: 6, highWatermark: 39 };
const batch = { baseOffset: 40, endOffset: 43, leaderEpoch: 7, bytes: Buffer.from("a batch") };

/** Each kind, with all fields and with those that are 0, none or empty. */
const MESSAGES: readonly RaftMessage[] = [
  { kind: "vote", epoch: 5, isPreVote: true, voter: first, lastEpoch: 4, endOffset: 2 ** 50 },
  { kind: "vote", epoch: 0, isPreVote: false, voter: second, lastEpoch: 0, endOffset: 0 },
  { kind: "voteAnswer", epoch: 5, leaderId: 0, isPreVote: true, isGranted: true },
  { kind: "voteAnswer", epoch: 0, leaderId: null, isPreVote: false, isGranted: false },
  { kind: "beginQuorumEpoch", epoch: 5 },
  { kind: "beginQuorumEpoch", epoch: 0 },
  { kind: "endQuorumEpoch", epoch: 5, preferredSuccessors: [first, second] },
  { kind: "endQuorumEpoch", epoch: 5, preferredSuccessors: [] },
  { kind: "fetch", ...answered },
  { kind: "fetch", epoch: 0, fetchOffset: 0, lastFetchedEpoch: 0, highWatermark: 0 },
  { kind: "fetchAnswer", ...answered, outcome: { kind: "records", batches: [batch, batch] } },
  { kind: "fetchAnswer", ...answered, outcome: { kind: "records", batches: [] } },
  { kind: "fetchAnswer", ...answered, outcome: { kind: "diverging", epoch: 0, endOffset: 0 } },
  { kind: "fetchAnswer", ...answered, outcome: { kind: "diverging", epoch: 6, endOffset: 12 } },
  { kind: "fetchAnswer", ...answered, outcome: { kind: "snapshot", id } },
  { kind: "refusal", epoch: 9, leaderId: 2 },
  { kind: "refusal", epoch: 9, leaderId: null },
  { kind: "askPromise", clusterId: "the cluster", voterIds: [0, 1, 300] },
  { kind: "promised", clusterId: "the cluster", founder: first },
  { kind: "askFormed", clusterId: "the cluster" },
  { kind: "formed", clusterId: "the cluster", voters: [first, second] },
  { kind: "fetchSnapshot", epoch: 8, id, position: 2 ** 33 },
  { kind: "fetchSnapshot", epoch: 8, id: { endOffset: 0, epoch: 0 }, position: 0 },
  { kind: "snapshotChunk", epoch: 8, id, position: 5, sizeBytes: 12, bytes: Buffer.from("bytes") },
  { kind: "snapshotGone", epoch: 8, id },
];

const proto = protoFile("src/raft/raft.proto").message("RaftMessage");

describe("the codec of raft messages", () => {
  test.each(MESSAGES.map((message) => [message.kind, message] as const))(
    "%s comes back as it went",
    (_kind, message) => {
      expect(decodeRaftMessage(encodeRaftMessage(message))).toEqual(message);
    },
  );

  test.each(MESSAGES.map((message) => [message.kind, message] as const))(
    "%s means the same to a package that reads raft.proto, there and back",
    (kind, message) => {
      const theirs = proto.decode(encodeRaftMessage(message));
      expect(theirs["kind"]).toBe(kind);
      const fields = theirs[kind] as Record<string, unknown>;
      expect(fields).toMatchObject(asProto(message));
      expect(decodeRaftMessage(proto.encode(theirs))).toEqual(message);
    },
  );

  test.each(["", "00", "0a", "0a00", "ffff", "3200", "9a060161"])(
    "bytes that are none: %s",
    (hex) => {
      expect(() => decodeRaftMessage(Buffer.from(hex, "hex"))).toThrow(ProtobufError);
    },
  );

  test("records are not copied", () => {
    const message = MESSAGES.find(({ kind }) => kind === "snapshotChunk")!;
    const bytes = encodeRaftMessage(message);
    const chunk = decodeRaftMessage(bytes);
    expect(chunk.kind === "snapshotChunk" && chunk.bytes.buffer).toBe(bytes.buffer);
  });
});

/** Our message in the words of proto-loader: what is the default is left out there, too. */
function asProto(message: RaftMessage): Record<string, unknown> {
  const fields = Object.entries(message).filter(([key]) => key !== "kind");
  return Object.fromEntries(fields.flatMap(([key, value]) => protoField(key, value)));
}

function protoField(key: string, value: unknown): [string, unknown][] {
  if (value === null || value === 0 || value === false) return [];
  if (Array.isArray(value)) {
    return value.length === 0 ? [] : [[key, value.map((item: unknown) => protoValue(item))]];
  }
  if (key === "outcome") {
    const { kind, ...rest } = value as { kind: string; id?: object };
    return [[kind, protoValue(rest.id ?? rest)]];
  }
  return [[key, protoValue(value)]];
}

function protoValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]: [string, unknown]): [string, unknown][] =>
      key === "directoryId" && typeof inner === "string"
        ? [[key, uuidToBytes(inner as typeof first.directoryId)]]
        : protoField(key, inner),
    ),
  );
}
