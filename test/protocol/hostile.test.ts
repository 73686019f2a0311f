import { describe, expect, test } from "vitest";
import { APIS } from "../../src/protocol/apis.ts";
import { type CodecOptions, makeCodec } from "../../src/protocol/codec.ts";
import { ProtocolError, type ProtocolErrorKind } from "../../src/protocol/errors.ts";
import {
  decodeBudgetBytes,
  MAX_UNKNOWN_TAGS,
  Reader,
  UNKNOWN_TAGS,
} from "../../src/protocol/reader.ts";
import { planMessage, type StructPlan, type TypePlan } from "../../src/protocol/plan.ts";
import { Writer } from "../../src/protocol/writer.ts";
import { everyMessage } from "./arbitrary.ts";

const KINDS: readonly CodecOptions[] = [{ interpreted: false }, { interpreted: true }];

function kindOf(action: () => unknown): ProtocolErrorKind | "none" {
  try {
    action();
    return "none";
  } catch (error) {
    if (error instanceof ProtocolError) return error.kind;
    throw error;
  }
}

describe.each(KINDS)("hostile bytes, $interpreted interpreted", (options) => {
  const offsetFetch = makeCodec(APIS.offsetFetch.request, 7, options);
  const metadata = makeCodec(APIS.metadata.request, 12, options);

  test("an array that claims more elements than bytes are left is refused unread", () => {
    const fetch = makeCodec(APIS.fetch.request, 4, options);
    const bytes = fetch.encode({
      maxWaitMs: 0,
      minBytes: 0,
      topics: [],
      forgottenTopicsData: [],
    });
    for (const count of [1, 1000, 0x7fffffff, -2, -0x80000000]) {
      const bomb = Buffer.from(bytes);
      bomb.writeInt32BE(count, bytes.length - 4);
      expect(kindOf(() => fetch.decode(bomb))).toBe(count < 0 ? "malformed" : "truncated");
    }
    const compact = Buffer.from("ffffffff0f00000000", "hex");
    expect(kindOf(() => metadata.decode(compact))).toBe("truncated");
  });

  test("as many tiny elements as the bytes hold are refused before they are made", () => {
    const topics = Array.from({ length: 100_000 }, () => ({ name: "", partitionIndexes: [] }));
    const bytes = offsetFetch.encode({ groupId: "g", topics, groups: [], requireStable: false });
    expect(bytes.length).toBeLessThan(350_000);
    expect(kindOf(() => offsetFetch.decode(bytes))).toBe("too-large");
  });

  test("large honest requests are taken", () => {
    const topics = Array.from({ length: 100_000 }, (_, index) => ({
      name: `a-topic-name-${index}`,
    }));
    const request = {
      topics,
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
    };
    expect(metadata.decode(metadata.encode(request)).topics).toHaveLength(topics.length);
    const fetch = makeCodec(APIS.fetch.request, 17, options);
    const partitions = Array.from({ length: 50_000 }, (_, partition) => ({
      partition,
      fetchOffset: partition,
      partitionMaxBytes: 1,
    }));
    const one = { maxWaitMs: 0, minBytes: 0, topics: [{ partitions }], forgottenTopicsData: [] };
    expect(fetch.decode(fetch.encode(one)).topics[0]!.partitions).toHaveLength(50_000);
  });

  test("of half a million unknown tags few are kept", () => {
    const bytes = metadata.encode({
      topics: null,
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
    });
    const count = 500_000;
    const decoded = metadata.decode(withTags(bytes.subarray(0, -1), count));
    expect((decoded as { [UNKNOWN_TAGS]?: unknown[] })[UNKNOWN_TAGS]).toHaveLength(
      MAX_UNKNOWN_TAGS,
    );
  });

  test("unknown tags in every one of many structs are charged to the budget", () => {
    const bytes = metadata.encode({
      topics: [{ name: "" }],
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
    });
    // One topic is its id, an empty name and its tag section.
    const topic = withTags(bytes.subarray(1, 18), MAX_UNKNOWN_TAGS);
    const writer = new Writer();
    writer.uvarint(10_001);
    const bomb = Buffer.concat([
      ...writer.finish(),
      ...Array.from({ length: 10_000 }, () => topic),
      bytes.subarray(-3),
    ]);
    expect(kindOf(() => metadata.decode(bomb))).toBe("too-large");
  });

  test("more tags than fit in the rest are refused at once", () => {
    const bytes = metadata.encode({
      topics: null,
      allowAutoTopicCreation: false,
      includeTopicAuthorizedOperations: false,
    });
    const bomb = Buffer.concat([bytes.subarray(0, -1), Buffer.from("ffffffff0f0000", "hex")]);
    expect(kindOf(() => metadata.decode(bomb))).toBe("truncated");
  });

  const codecs = everyMessage().map((one) => makeCodec(one.message, one.version, options));

  test.each([0x00, 0x01, 0x02, 0x7f, 0x80, 0xff])(
    "many bytes of %i are a value or refused, for every message",
    (byte) => {
      const bytes = Buffer.alloc(256 * 1024, byte);
      for (const codec of codecs) {
        expect(kindOf(() => codec.decode(bytes))).not.toBe("not-encodable");
      }
    },
  );
});

test("the budget grows with the bytes, but not beyond its cap", () => {
  expect(decodeBudgetBytes(0)).toBe(1024 * 1024);
  expect(decodeBudgetBytes(1024 * 1024)).toBe(17 * 1024 * 1024);
  expect(decodeBudgetBytes(1024 ** 3)).toBe(64 * 1024 * 1024);
});

test("every element of every array costs budget, and all but empty structs cost bytes", () => {
  for (const { message, version } of everyMessage()) {
    for (const array of arraysOf(planMessage(message, version, "shipped"))) {
      expect(array.elementHeapBytes).toBeGreaterThanOrEqual(8);
      expect(array.elementWireBytes).toBeGreaterThanOrEqual(1);
    }
  }
});

test("no schema nests deeper than a call stack bears", () => {
  const depths = everyMessage().map(({ message, version }) =>
    depthOf(planMessage(message, version, "shipped")),
  );
  expect(Math.max(...depths)).toBeLessThan(10);
});

test("a length below -1 is refused", () => {
  const reader = () => new Reader(Buffer.from("fffe", "hex"), "test");
  expect(kindOf(() => reader().nullableString())).toBe("malformed");
  expect(kindOf(() => reader().string())).toBe("malformed");
});

/** The struct's bytes without its (empty) tag section, and a section of empty unknown tags. */
function withTags(bytes: Buffer, count: number): Buffer {
  const writer = new Writer();
  writer.raw(bytes);
  writer.uvarint(count);
  for (let index = 0; index < count; index += 1) {
    writer.uvarint(1000 + index);
    writer.uvarint(0);
  }
  return Buffer.concat(writer.finish());
}

type ArrayType = Extract<TypePlan, { kind: "array" }>;

function arraysOf(type: TypePlan): ArrayType[] {
  if (type.kind === "array") return [type, ...arraysOf(type.element)];
  if (type.kind !== "struct") return [];
  return type.fields.flatMap((field) => arraysOf(field.type));
}

function depthOf(type: TypePlan | StructPlan): number {
  if (type.kind === "array") return 1 + depthOf(type.element);
  if (type.kind !== "struct") return 0;
  return 1 + Math.max(0, ...type.fields.map((field) => depthOf(field.type)));
}
