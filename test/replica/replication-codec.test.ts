import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { uuidFromBytes, uuidToBytes } from "../../src/base/ids.ts";
import { errorNames } from "../../src/protocol/errors.ts";
import { ProtobufError } from "../../src/protocol/peers/protobuf.ts";
import {
  decodeFollowerMessage,
  decodeLeaderMessage,
  encodeFollowerMessage,
  encodeLeaderMessage,
  REPLICATION_SERVICE,
} from "../../src/replica/replication-codec.ts";
import {
  decodeAskedLogs,
  decodeLogEnds,
  encodeAskedLogs,
  encodeLogEnds,
  LOG_ENDS_SERVICE,
} from "../../src/replica/log-ends.ts";
import type {
  FollowerMessage,
  Frame,
  LeaderAnswer,
  LeaderMessage,
} from "../../src/replica/replication-messages.ts";
import { protoFile } from "../support/proto-file.ts";

const proto = protoFile("src/replica/replication.proto");

// Slots and epochs are uint32, and what is 0 or none is left out.
const small = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const large = fc.oneof(fc.constant(0), fc.maxSafeNat());
const orNone = (value: fc.Arbitrary<number>) => fc.oneof(fc.constant(-1), value);
const bytes = fc
  .uint8Array({ maxLength: 300 })
  .map((array): Buffer => Buffer.from(array.buffer, array.byteOffset, array.length));
const topicId = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((array) => uuidFromBytes(Buffer.from(array)));

const followerMessage: fc.Arbitrary<FollowerMessage> = fc.record({
  droppedSlots: fc.array(small),
  statements: fc.array(
    fc.record({
      ...{ slot: small, session: large, topicId, partitionIndex: small, leaderEpoch: small },
      ...{ fetchOffset: large, lastFetchedEpoch: orNone(small), logStartOffset: large },
    }),
  ),
  progress: fc.array(
    fc.record({ slot: small, session: large, receivedOffset: large, safeOffset: large }),
  ),
  consumedBytes: large,
});

const frame: fc.Arbitrary<Frame> = fc.record({
  ...{ slot: small, session: large, leaderEpoch: small },
  ...{ highWatermark: large, logStartOffset: large, records: bytes },
});
const place = { slot: small, session: large };
const answer: fc.Arbitrary<LeaderAnswer> = fc.oneof(
  fc.record({
    ...place,
    kind: fc.constant("diverging" as const),
    epoch: orNone(small),
    endOffset: orNone(large),
  }),
  fc.record({
    ...place,
    kind: fc.constant("outOfRange" as const),
    logStartOffset: large,
    logEndOffset: large,
  }),
  fc.record({
    ...place,
    kind: fc.constant("refused" as const),
    error: fc.constantFrom(...errorNames()),
  }),
);
const leaderMessage: fc.Arbitrary<LeaderMessage> = fc.record({
  frames: fc.array(frame),
  answers: fc.array(answer),
});

describe("the codec between brokers", () => {
  test("has the name of replication.proto", () => {
    expect(proto.paths).toEqual([`/${REPLICATION_SERVICE}`, `/${LOG_ENDS_SERVICE}`]);
  });

  test("how far logs go comes back as it went, and means the same to the package (R11)", () => {
    const log = { topicId: uuidFromBytes(Buffer.alloc(16, 3)), partitionIndex: 2 };
    expect(decodeAskedLogs(encodeAskedLogs([log]))).toEqual([log]);
    const none = { ...log, lastEpoch: -1, endOffset: 0, isDamaged: false };
    const some = { ...log, lastEpoch: 4, endOffset: 2 ** 40, isDamaged: true };
    const bytes = encodeLogEnds({ brokerEpoch: 77, ends: [none, some] });
    expect(decodeLogEnds(bytes)).toEqual({ brokerEpoch: 77, ends: [none, some] });
    const topicId = uuidToBytes(log.topicId);
    const theirs = { topicId, partitionIndex: 2 };
    expect(proto.message("AskedLogs").decode(encodeAskedLogs([log]))).toEqual({ logs: [theirs] });
    expect(proto.message("LogEndsOfBroker").decode(bytes)).toMatchObject({
      ends: [theirs, theirs],
    });
  });

  test("what a follower says comes back as it went", () => {
    fc.assert(
      fc.property(followerMessage, (message) => {
        expect(decodeFollowerMessage(encodeFollowerMessage(message))).toEqual(message);
      }),
    );
  });

  test("what a leader says comes back as it went", () => {
    fc.assert(
      fc.property(leaderMessage, (message) => {
        expect(decodeLeaderMessage(encodeLeaderMessage(message))).toEqual(message);
      }),
    );
  });

  test("what a follower says means the same to a package that reads replication.proto", () => {
    const type = proto.message("FollowerMessage");
    fc.assert(
      fc.property(followerMessage, (message) => {
        const theirs = type.decode(encodeFollowerMessage(message));
        expect(theirs).toEqual(
          asProto({
            droppedSlots: message.droppedSlots,
            statements: message.statements.map((statement) => ({
              ...withoutNone(statement),
              topicId: uuidToBytes(statement.topicId),
            })),
            progress: message.progress,
            consumedBytes: message.consumedBytes,
          }),
        );
        expect(decodeFollowerMessage(type.encode(theirs))).toEqual(message);
      }),
    );
  });

  test("what a leader says means the same to a package that reads replication.proto", () => {
    const type = proto.message("LeaderMessage");
    fc.assert(
      fc.property(leaderMessage, (message) => {
        const theirs = type.decode(encodeLeaderMessage(message));
        const answers = message.answers.map(({ slot, session, ...outcome }) => ({
          ...{ slot, session, outcome: outcome.kind },
          [outcome.kind]: protoOutcome(outcome),
        }));
        expect(theirs).toEqual(asProto({ frames: message.frames, answers }));
        expect(decodeLeaderMessage(type.encode(theirs))).toEqual(message);
      }),
    );
  });

  test("records are not copied where they are read", () => {
    const records = Buffer.alloc(1_000, 7);
    const message = encodeLeaderMessage({ frames: [{ ...FRAME, records }], answers: [] });
    const [read] = decodeLeaderMessage(message).frames;
    expect(read!.records.equals(records)).toBe(true);
    expect(read!.records.buffer).toBe(message.buffer);
    records.fill(8);
    expect(read!.records[0]).toBe(7);
  });

  test.each([
    ["a length beyond the end", "1205", decodeFollowerMessage],
    ["a statement that is a number", "1001", decodeFollowerMessage],
    ["a statement without a topic", "1200", decodeFollowerMessage],
    ["a topic id of two bytes", "12041a020102", decodeFollowerMessage],
    ["a number beyond 2^53", "20ffffffffffffffff7f", decodeFollowerMessage],
    ["a wire type that is not known", "ffff", decodeFollowerMessage],
    ["a frame within which it ends", "0a03320a00", decodeLeaderMessage],
    ["records that are a number", "0a023001", decodeLeaderMessage],
    ["an answer that says nothing", "120408011002", decodeLeaderMessage],
    ["field 0", "00", decodeLeaderMessage],
  ] as const)("bytes that are no message: %s", (_what, hex, decode) => {
    expect(() => decode(Buffer.from(hex, "hex"))).toThrow(ProtobufError);
  });

  test("an error that this version does not know is an unknown one", () => {
    const sent = proto.message("LeaderMessage").encode({
      answers: [{ slot: 1, session: 2, refused: "ERROR_OF_TOMORROW" }],
    });
    expect(decodeLeaderMessage(sent).answers).toEqual([
      { slot: 1, session: 2, kind: "refused", error: "UNKNOWN_SERVER_ERROR" },
    ]);
  });

  test("whatever bytes come: a message, or ProtobufError, and nothing else", () => {
    const anything = fc.oneof(
      bytes,
      // Right ones of which one byte is not.
      fc
        .tuple(leaderMessage, fc.nat(), fc.integer({ min: 0, max: 255 }))
        .map(([message, at, value]) => {
          const encoded = encodeLeaderMessage(message);
          if (encoded.length > 0) encoded[at % encoded.length] = value;
          return encoded;
        }),
    );
    fc.assert(
      fc.property(anything, (input) => {
        for (const decode of [decodeFollowerMessage, decodeLeaderMessage]) {
          try {
            decode(input);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtobufError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test("more fields than any message has are refused before anything is made of them", () => {
    const many = Buffer.alloc(2 * 70_000, Buffer.from("0a00", "hex"));
    expect(() => decodeLeaderMessage(many)).toThrow("more than 65536 fields");
  });
});

const FRAME: Omit<Frame, "records"> = {
  ...{ slot: 1, session: 2, leaderEpoch: 3, highWatermark: 4, logStartOffset: 5 },
};

function protoOutcome(outcome: Partial<LeaderAnswer>): unknown {
  if (outcome.kind === "refused") return outcome.error;
  return withoutNone(Object.fromEntries(Object.entries(outcome).filter(([key]) => key !== "kind")));
}

function withoutNone(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => (value as unknown) !== -1),
  );
}

/** Fields of which -1 means that they are not there: with 0 they are. */
const OPTIONAL = new Set(["lastFetchedEpoch", "epoch", "endOffset"]);

/** Our message in the words of proto-loader: of other fields the default is left out. */
function asProto(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asProto);
  if (typeof value !== "object" || value === null || Buffer.isBuffer(value)) return value;
  const fields = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(
    fields
      .filter(([key, field]) => OPTIONAL.has(key) || !isDefault(field))
      .map(([key, field]) => [key, asProto(field)]),
  );
}

function isDefault(field: unknown): boolean {
  return field === 0 || ((Array.isArray(field) || Buffer.isBuffer(field)) && field.length === 0);
}
