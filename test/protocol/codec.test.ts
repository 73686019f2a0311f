import { afterEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import { ZERO_UUID } from "../../src/base/ids.ts";
import { APIS } from "../../src/protocol/apis.ts";
import { type Codec, codecFor, type CodecOptions, makeCodec } from "../../src/protocol/codec.ts";
import { compileDecoder, compileEncoder } from "../../src/protocol/compile.ts";
import { ProtocolError, type ProtocolErrorKind } from "../../src/protocol/errors.ts";
import type { FetchRequest } from "../../src/protocol/messages/01-fetch.ts";
import { planMessage } from "../../src/protocol/plan.ts";
import { UNKNOWN_TAGS } from "../../src/protocol/reader.ts";
import {
  array,
  bool,
  type Encodable,
  int16,
  int32,
  int64,
  int8,
  type Message,
  message,
  string,
  struct,
} from "../../src/protocol/schema.ts";

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

/** Encodes what the type checker would refuse. */
function encodeAny(codec: Codec<Message>, value: unknown): Buffer {
  return codec.encode(value as Encodable<Message>);
}

const sample = message(
  "Sample",
  { versions: "0-3", flexible: "2+" },
  {
    id: int32(),
    name: string({ nullable: "1+" }),
    late: int16({ versions: "1-3" }),
    hint: string({ versions: "1-2", ignorable: true }),
    list: array({ flag: bool() }, { versions: "2-3" }),
    offset: int64({ default: -1 }),
    place: struct({ x: int8({ default: 5 }) }, { versions: "3+", nullable: true, default: null }),
    extra: string({ versions: "2+", tag: 3 }),
  },
);

describe.each(KINDS)("a codec, $interpreted interpreted", (options) => {
  const codec = (version: number) => makeCodec(sample, version, options);

  test("fields that the version does not carry decode to their defaults: one shape for all", () => {
    const bytes = codec(0).encode({ id: 7, name: "a" });
    expect(codec(0).decode(bytes)).toStrictEqual({
      id: 7,
      name: "a",
      late: 0,
      hint: "",
      list: [],
      offset: -1,
      place: null,
      extra: "",
    });
  });

  test("a value that the version cannot carry is refused, unless its field is ignorable", () => {
    const one = { id: 7, name: "a" };
    expect(kindOf(() => codec(0).encode({ ...one, hint: "dropped" }))).toBe("none");
    expect(kindOf(() => codec(0).encode({ ...one, late: 0, list: [], extra: "" }))).toBe("none");
    expect(kindOf(() => codec(0).encode({ ...one, late: 1 }))).toBe("not-encodable");
    expect(kindOf(() => codec(0).encode({ ...one, list: [{ flag: true }] }))).toBe("not-encodable");
    expect(kindOf(() => codec(0).encode({ ...one, place: { x: 5 } }))).toBe("not-encodable");
    expect(kindOf(() => codec(0).encode({ ...one, extra: "x" }))).toBe("not-encodable");
  });

  test("null is refused in versions that have none, both ways", () => {
    expect(kindOf(() => codec(0).encode({ id: 1, name: null }))).toBe("not-encodable");
    expect(codec(1).decode(codec(1).encode({ id: 1, name: null, late: 2 })).name).toBeNull();
    const bytes = Buffer.from("00000001ffffffffffffffffffff", "hex");
    expect(kindOf(() => codec(0).decode(bytes))).toBe("malformed");
  });

  test("a required field that is missing is refused with its path", () => {
    expect(() => encodeAny(codec(0), { name: "a" })).toThrow("Sample.id: int32 expected");
    expect(() => encodeAny(codec(0), { id: 1 })).toThrow("Sample.name: string expected");
    expect(() => encodeAny(codec(2), { id: 1, name: "", late: 1 })).toThrow(
      "Sample.list: an array",
    );
    expect(() => encodeAny(codec(2), { id: 1, name: "", late: 1, list: [{}] })).toThrow(
      "Sample.list.flag: bool expected",
    );
  });

  test.each([
    { id: 2 ** 31 },
    { id: 1.5 },
    { id: NaN },
    { id: "1" },
    { id: null },
    { name: 5 },
    { name: "x".repeat(40_000) },
    { late: 0x8000 },
    { offset: 2 ** 53 },
    { offset: 5n },
    { list: {} },
  ])("a value of another type or out of range is refused: %o", (bad) => {
    const value = { id: 1, name: "", late: 1, ...bad };
    expect(kindOf(() => encodeAny(codec(1), value))).toBe("not-encodable");
  });

  test.each([{ list: [1] }, { list: [null] }, { list: 7 }, { extra: 7 }, { place: 7 }])(
    "the same in flexible versions: %o",
    (bad) => {
      const value = { id: 1, name: "", late: 1, list: [], ...bad };
      expect(kindOf(() => encodeAny(codec(3), value))).toBe("not-encodable");
    },
  );

  test("an int64 that is computed with is refused beyond 2^53 - 1, and exact below", () => {
    for (const [hex, offset] of [
      ["001fffffffffffff", 2 ** 53 - 1],
      ["ffe0000000000001", -(2 ** 53 - 1)],
      ["0020000000000000", null],
      ["ffe0000000000000", null],
      ["7fffffffffffffff", null],
      ["8000000000000000", null],
    ] as const) {
      const bytes = Buffer.from(`000000010000${hex}`, "hex");
      if (offset === null) expect(kindOf(() => codec(0).decode(bytes))).toBe("unsafe-int64");
      else {
        expect(codec(0).decode(bytes).offset).toBe(offset);
        expect(codec(0).encode({ id: 1, name: "", offset }).equals(bytes)).toBe(true);
      }
    }
  });

  test("a boolean is 0 or 1, a struct's marker -1 or 1", () => {
    const value = { id: 1, name: "", late: 1, list: [{ flag: true }], place: { x: 9 } };
    const bytes = codec(3).encode(value);
    expect(codec(3).decode(bytes)).toMatchObject(value);
    const withFlag = Buffer.from(bytes);
    withFlag[8] = 2;
    expect(bytes[8]).toBe(1);
    expect(kindOf(() => codec(3).decode(withFlag))).toBe("malformed");
    const withMarker = Buffer.from(bytes);
    withMarker[18] = 0;
    expect(bytes[18]).toBe(1);
    expect(kindOf(() => codec(3).decode(withMarker))).toBe("malformed");
  });

  test("a varint of more than 32 bits is refused", () => {
    const bytes = Buffer.from("00000001ffffffff7f", "hex");
    expect(kindOf(() => codec(2).decode(bytes))).toBe("malformed");
    const endless = Buffer.from("00000001ffffffffffffffffff", "hex");
    expect(kindOf(() => codec(2).decode(endless))).toBe("malformed");
  });

  test("a tagged field that is longer or shorter than its size is refused", () => {
    const whole = codec(2).encode({ id: 1, name: "", late: 0, list: [], extra: "ab" });
    expect(whole.toString("hex").endsWith("0103" + "03" + "036162")).toBe(true);
    const resized = (size: number) => {
      const bytes = Buffer.from(whole);
      bytes[bytes.length - 4] = size;
      return bytes;
    };
    expect(kindOf(() => codec(2).decode(resized(2)))).toBe("truncated");
    expect(kindOf(() => codec(2).decode(resized(4)))).toBe("truncated");
    const padded = Buffer.concat([resized(4), Buffer.of(0)]);
    expect(kindOf(() => codec(2).decode(padded))).toBe("malformed");
  });

  test("unknown tagged fields are kept, and written again in ascending order", () => {
    const bytes = codec(2).encode({ id: 1, name: "", late: 0, list: [], extra: "ab" });
    const withUnknown = Buffer.concat([
      bytes.subarray(0, -6),
      Buffer.from("03" + "0101ee" + "0303036162" + "0702beef", "hex"),
    ]);
    const decoded = codec(2).decode(withUnknown);
    expect(decoded.extra).toBe("ab");
    expect((decoded as { [UNKNOWN_TAGS]?: unknown })[UNKNOWN_TAGS]).toEqual([
      { tag: 1, bytes: Buffer.from("ee", "hex") },
      { tag: 7, bytes: Buffer.from("beef", "hex") },
    ]);
    expect(codec(2).encode(decoded).equals(withUnknown)).toBe(true);
    // Copied into another struct they go along, and may be left behind by naming the fields.
    expect(
      codec(2)
        .encode({ ...decoded })
        .equals(withUnknown),
    ).toBe(true);
  });

  test("decoding starts at the offset, and takes all bytes behind it", () => {
    const bytes = codec(0).encode({ id: 7, name: "a" });
    const shifted = Buffer.concat([Buffer.of(1, 2, 3), bytes]);
    expect(codec(0).decode(shifted, 3)).toStrictEqual(codec(0).decode(bytes));
    expect(kindOf(() => codec(0).decode(bytes, bytes.length + 1))).toBe("truncated");
    expect(kindOf(() => codec(0).decode(Buffer.concat([bytes, bytes])))).toBe("malformed");
  });

  test("byte fields are slices of the frame", () => {
    const produce = makeCodec(APIS.produce.request, 9, options);
    const records = Buffer.alloc(100, 7);
    const frame = produce.encode({
      acks: -1,
      timeoutMs: 1,
      topicData: [{ name: "t", partitionData: [{ index: 0, records }] }],
    });
    const decoded = produce.decode(frame).topicData[0]!.partitionData[0]!.records!;
    expect(decoded.equals(records)).toBe(true);
    expect(decoded.buffer).toBe(frame.buffer);
  });
});

describe("which codec", () => {
  afterEach(() => vi.unstubAllGlobals());

  test("a version that the message has not is refused, typed", () => {
    expect(kindOf(() => codecFor(APIS.fetch.request, 3))).toBe("unsupported-version");
    expect(kindOf(() => codecFor(APIS.fetch.request, 19))).toBe("unsupported-version");
  });

  test("there is one per message and version", () => {
    expect(codecFor(APIS.fetch.request, 4)).toBe(codecFor(APIS.fetch.request, 4));
    expect(codecFor(APIS.fetch.request, 5)).not.toBe(codecFor(APIS.fetch.request, 4));
  });

  test("code is generated where it may be: the compiled tests are not the interpreter's", () => {
    const plan = planMessage(APIS.fetch.request, 12, "shipped");
    expect(compileDecoder(plan, "Fetch")?.toString()).toContain("r.compactArrayLength");
    expect(compileEncoder(plan, "Fetch")?.toString()).toContain("w.compactArrayLength");
  });

  test("where code generation is not allowed the interpreter takes over", () => {
    vi.stubGlobal(
      "Function",
      // eslint-disable-next-line @typescript-eslint/no-extraneous-class -- it is called with new.
      class {
        constructor() {
          throw new EvalError("Code generation from strings disallowed for this context");
        }
      },
    );
    const plan = planMessage(sample, 0, "shipped");
    expect(compileDecoder(plan, "Sample")).toBeNull();
    expect(compileEncoder(plan, "Sample")).toBeNull();
    const codec = makeCodec(sample, 0);
    expect(codec.decode(codec.encode({ id: 1, name: "x" }))).toMatchObject({ id: 1, name: "x" });
  });
});

test("types are inferred from the schema", () => {
  expectTypeOf<FetchRequest["topics"][number]["partitions"][number]["fetchOffset"]>().toBeNumber();
  expectTypeOf<FetchRequest["clusterId"]>().toEqualTypeOf<string | null>();
  expectTypeOf<
    FetchRequest["topics"][number]["partitions"][number]["highWatermark"]
  >().toBeBigInt();
  const request: Encodable<typeof APIS.fetch.request> = {
    maxWaitMs: 1,
    minBytes: 1,
    topics: [{ topicId: ZERO_UUID, partitions: [] }],
    forgottenTopicsData: [],
  };
  expect(
    codecFor(APIS.fetch.request, 13).decode(codecFor(APIS.fetch.request, 13).encode(request)),
  ).toMatchObject(request);
  // @ts-expect-error -- minBytes is required.
  const bad: Encodable<typeof APIS.fetch.request> = {
    maxWaitMs: 1,
    topics: [],
    forgottenTopicsData: [],
  };
  expect(kindOf(() => codecFor(APIS.fetch.request, 13).encode(bad))).toBe("not-encodable");
});
