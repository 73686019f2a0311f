import { expect, test } from "vitest";
import { apiByKey } from "../../../src/protocol/apis.ts";
import { codecFor } from "../../../src/protocol/codec.ts";
import { FRAME_SIZE_BYTES, FrameDecoder } from "../../../src/protocol/frame.ts";
import {
  decodeRequestHeader,
  decodeResponseHeader,
  encodeRequestFrame,
  encodeResponseFrame,
} from "../../../src/protocol/header.ts";
import { errorOf, grouped, report } from "./check.ts";
import { type ApiVector, expectedValue, readVectors } from "./vectors.ts";

interface FrameVector {
  readonly api: string;
  readonly key: number;
  readonly type: "request" | "response";
  readonly version: number;
  readonly header: {
    readonly requestApiKey: number;
    readonly requestApiVersion: number;
    readonly correlationId: number;
    readonly clientId: string | null;
  };
  readonly bodyVariant: string;
  readonly bodyOffset: number;
  readonly hex: string;
}

const frames = readVectors<FrameVector>("frames");
const bodies = grouped(
  [...readVectors<ApiVector>("protocol-requests"), ...readVectors<ApiVector>("protocol-responses")],
  ({ key, type, version, variant }) => `${key} ${type} ${version} ${variant}`,
);

test("frames: header, body and size prefix, both ways", () => {
  const leftOut = new Map<string, number>();
  const counts = { checked: 0, refused: 0 };
  for (const frame of frames) {
    if (apiByKey(frame.key) === undefined) {
      const reason = `${frame.api} (${frame.key}), not in src/protocol/apis.ts (see protocol-*)`;
      leftOut.set(reason, (leftOut.get(reason) ?? 0) + 1);
      continue;
    }
    const isTaken = frame.type === "request" ? checkRequest(frame) : checkResponse(frame);
    counts.checked += 1;
    if (!isTaken) counts.refused += 1;
  }
  expect(counts.checked).toBeGreaterThan(0);
  report("frames", counts, leftOut);
});

test("frames in one stream are cut the same wherever the chunks end", () => {
  const stream = Buffer.concat(frames.map(({ hex }) => Buffer.from(hex, "hex")));
  const expected = frames.map(({ hex }) => hex.slice(2 * FRAME_SIZE_BYTES));
  for (const chunkBytes of [1, 3, 7, 64, 4096, stream.length]) {
    const decoder = new FrameDecoder(stream.length);
    const cut: string[] = [];
    for (let start = 0; start < stream.length; start += chunkBytes) {
      for (const frame of decoder.push(stream.subarray(start, start + chunkBytes))) {
        cut.push(frame.toString("hex"));
      }
    }
    expect(cut).toEqual(expected);
    expect(decoder.pendingBytes).toBe(0);
  }
});

const UNSAFE = { name: "ProtocolError", kind: "unsafe-int64" };

/** Returns false when the frame was rightly refused. */
function checkRequest(vector: FrameVector): boolean {
  const api = apiByKey(vector.key)!;
  const frame = withoutSize(vector);
  const header = decodeRequestHeader(frame);
  expect(header).toEqual({
    apiKey: vector.key,
    apiVersion: vector.version,
    correlationId: vector.header.correlationId,
    clientId: vector.header.clientId,
    bodyOffset: vector.bodyOffset - FRAME_SIZE_BYTES,
  });
  const codec = codecFor(api.request, vector.version);
  const body = bodyOf(vector);
  if (body === null) {
    expect(errorOf(() => codec.decode(frame, header.bodyOffset))).toMatchObject(UNSAFE);
    return false;
  }
  expect(codec.decode(frame, header.bodyOffset)).toEqual(body);
  const encoded = encodeRequestFrame(api, vector.version, vector.header, body);
  expect(Buffer.concat(encoded).toString("hex")).toBe(vector.hex);
  return true;
}

function checkResponse(vector: FrameVector): boolean {
  const api = apiByKey(vector.key)!;
  const frame = withoutSize(vector);
  const header = decodeResponseHeader(frame, api, vector.version);
  expect(header).toEqual({
    correlationId: vector.header.correlationId,
    bodyOffset: vector.bodyOffset - FRAME_SIZE_BYTES,
  });
  const codec = codecFor(api.response, vector.version);
  const body = bodyOf(vector);
  if (body === null) {
    expect(errorOf(() => codec.decode(frame, header.bodyOffset))).toMatchObject(UNSAFE);
    return false;
  }
  expect(codec.decode(frame, header.bodyOffset)).toEqual(body);
  const encoded = encodeResponseFrame(api, vector.version, header.correlationId, body);
  expect(Buffer.concat(encoded).toString("hex")).toBe(vector.hex);
  return true;
}

function withoutSize(vector: FrameVector): Buffer {
  const bytes = Buffer.from(vector.hex, "hex");
  expect(bytes.readInt32BE(0)).toBe(bytes.length - FRAME_SIZE_BYTES);
  return bytes.subarray(FRAME_SIZE_BYTES);
}

/** The body that the protocol files tell of; null when it holds an unsafe int64. */
function bodyOf({ key, type, version, bodyVariant }: FrameVector): Record<string, unknown> | null {
  const [vector] = bodies.get(`${key} ${type} ${version} ${bodyVariant}`) ?? [];
  const api = apiByKey(key)!;
  const message = type === "request" ? api.request : api.response;
  return expectedValue(message, vector!, "shipped") as Record<string, unknown> | null;
}
