import { describe, expect, test } from "vitest";
import { APIS } from "../../src/protocol/apis.ts";
import { ProtocolError } from "../../src/protocol/errors.ts";
import {
  decodeRequestHeader,
  decodeResponseHeader,
  encodeRequestHeader,
  encodeResponseFrame,
  encodeResponseHeader,
} from "../../src/protocol/header.ts";
import { Writer } from "../../src/protocol/writer.ts";

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  write(writer);
  return Buffer.concat(writer.finish());
}

describe("a request header", () => {
  test.each([1, 3, 7])("is read as it was written: Metadata at version %i + 5", (version) => {
    const bytes = written((writer) =>
      encodeRequestHeader(writer, APIS.metadata, version + 5, {
        correlationId: -7,
        clientId: "Ж",
      }),
    );
    expect(decodeRequestHeader(bytes)).toEqual({
      apiKey: 3,
      apiVersion: version + 5,
      correlationId: -7,
      clientId: "Ж",
      bodyOffset: bytes.length,
    });
  });

  test("of an unknown key or version still says what an answer needs", () => {
    for (const [key, version] of [
      [9999, 0],
      [APIS.apiVersions.key, 100],
      [APIS.produce.key, 2],
      [APIS.produce.key, -1],
    ] as const) {
      const bytes = Buffer.from("0000000000000005ffffffffff", "hex");
      bytes.writeInt16BE(key, 0);
      bytes.writeInt16BE(version, 2);
      expect(decodeRequestHeader(bytes)).toEqual({
        apiKey: key,
        apiVersion: version,
        correlationId: 5,
        clientId: null,
        bodyOffset: 8,
      });
    }
  });

  test("that is cut anywhere is a ProtocolError", () => {
    const bytes = written((writer) =>
      encodeRequestHeader(writer, APIS.fetch, 12, { correlationId: 1, clientId: "client" }),
    );
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeRequestHeader(bytes.subarray(0, length))).toThrow(ProtocolError);
    }
  });

  test("may carry tags, which are skipped", () => {
    const bytes = Buffer.from(
      "00120003" + "00000001" + "ffff" + "02" + "0001aa" + "0500" + "99",
      "hex",
    );
    expect(decodeRequestHeader(bytes)).toMatchObject({ apiKey: 18, bodyOffset: bytes.length - 1 });
    const lying = Buffer.from("00120003" + "00000001" + "ffff" + "01" + "0005aa", "hex");
    expect(() => decodeRequestHeader(lying)).toThrow(ProtocolError);
  });
});

test("ApiVersions is answered with header 0 in all versions, others by flexibility", () => {
  for (const [api, version, length] of [
    [APIS.apiVersions, 0, 4],
    [APIS.apiVersions, 4, 4],
    [APIS.metadata, 8, 4],
    [APIS.metadata, 9, 5],
  ] as const) {
    const bytes = written((writer) => encodeResponseHeader(writer, api, version, 77));
    expect(bytes).toHaveLength(length);
    expect(decodeResponseHeader(bytes, api, version)).toEqual({
      correlationId: 77,
      bodyOffset: length,
    });
  }
});

test("a response frame begins with its size, and its records go by reference", () => {
  const records = Buffer.alloc(8192, 1);
  const partition = { errorCode: 0, highWatermark: 5, abortedTransactions: null };
  const chunks = encodeResponseFrame(APIS.fetch, 12, 3, {
    responses: [
      {
        topic: "t",
        partitions: [
          { ...partition, partitionIndex: 0, records },
          { ...partition, partitionIndex: 1, records },
        ],
      },
    ],
  });
  expect(chunks.filter((chunk) => chunk === records)).toHaveLength(2);
  const frame = Buffer.concat(chunks);
  expect(frame.readInt32BE(0)).toBe(frame.length - 4);
  expect(frame.readInt32BE(4)).toBe(3);
});
