import { isDeepStrictEqual } from "node:util";
import { must } from "../../src/base/assert.ts";
import { type Random, randomBelow, SeededRandom } from "../../src/base/random.ts";
import { apiByKey } from "../../src/protocol/apis.ts";
import { type Codec, codecFor, makeCodec } from "../../src/protocol/codec.ts";
import { KafkaError, ProtocolError } from "../../src/protocol/errors.ts";
import { FrameDecoder } from "../../src/protocol/frame.ts";
import { decodeRequestHeader, decodeResponseHeader } from "../../src/protocol/header.ts";
import { includesVersion, type Message } from "../../src/protocol/schema.ts";
import { heapBytes, valueBytes } from "./memory.ts";
import { int32, type Mutated, mutate, pick } from "./mutate.ts";
import type { Tally } from "./tally.ts";
import type { Group, Vector } from "./vectors.ts";

/** One in so many frames has its header mutated rather than its body. */
const HEADER_SHARE = 16;
/** One in so many goes through the frame cutter, in random pieces. */
const FRAMING_SHARE = 16;
/** One in so many is decoded by the interpreter, too, and encoded again. */
const ORACLE_SHARE = 8;
const MAX_FRAME_BYTES = 1024 * 1024;
/** What one decoding may allocate, whatever it is given: the decoder's own bound, and as much again. */
const MAX_DECODE_BYTES = 128 * 1024 * 1024;

/** Frames `[start, start + count)` against the codecs. Each depends on the seed and its index alone. */
export function fuzzCodecs(
  groups: readonly Group[],
  tally: Tally,
  options: { readonly seed: string; readonly start: number; readonly count: number },
): void {
  for (let index = options.start; index < options.start + options.count; index += 1) {
    const random = new SeededRandom(`${options.seed}/codecs/${index}`);
    const group = must(groups[index % groups.length], "in range");
    const mutated = mutateFrame(random, group);
    tally.frame(groupName(group), mutated.kinds);
    const before = mutated.isBomb ? heapBytes() : 0;
    try {
      tally.outcome(tryFrame(random, group, mutated.bytes, tally));
    } catch (error) {
      const hex = mutated.bytes.toString("hex").slice(0, 2000);
      tally.violation(
        `frame ${index} (${groupName(group)}; ${mutated.kinds.join(", ")}): ` +
          `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n  ${hex}`,
      );
    }
    if (mutated.isBomb && heapBytes() - before > MAX_DECODE_BYTES) {
      tally.violation(`frame ${index} (${groupName(group)}) made the decoder allocate too much`);
    }
  }
}

export function groupName({ api, version }: Group): string {
  return `${api.name} v${version}`;
}

function mutateFrame(random: Random, group: Group): Mutated {
  const vector = pick(random, group.vectors);
  const donor = pick(random, group.vectors);
  const isHeader = randomBelow(random, HEADER_SHARE) === 0;
  const source = { bytes: vector.bytes, sites: isHeader ? vector.headerSites : vector.bodySites };
  const mutated = mutate(random, source, { bytes: donor.bytes, sites: donor.bodySites });
  return isHeader ? mutated : keepHeader(vector, mutated);
}

/** Blind damage may have hit the header: where the body was meant, the header is put back. */
function keepHeader(vector: Vector, mutated: Mutated): Mutated {
  const { bodyOffset } = vector;
  const body = mutated.bytes.subarray(Math.min(bodyOffset, mutated.bytes.length));
  return { ...mutated, bytes: Buffer.concat([vector.bytes.subarray(0, bodyOffset), body]) };
}

/** Names the outcome; throws what must not happen. */
function tryFrame(random: Random, group: Group, frame: Buffer, tally: Tally): string {
  const isThroughFraming = randomBelow(random, FRAMING_SHARE) === 0;
  const frames = isThroughFraming ? cutFrames(random, frame) : [frame];
  if (typeof frames === "string") return frames;
  let outcome = "incomplete frame";
  for (const one of frames) {
    const body = locateBody(group, one);
    if (typeof body === "string") {
      outcome = body;
      continue;
    }
    tally.pastHeader += 1;
    outcome = tryBody(random, body.message, body.version, one, body.offset);
  }
  return outcome;
}

/** Sends the frame in pieces, its size prefix now and then wrong. */
function cutFrames(random: Random, frame: Buffer): Buffer[] | string {
  const lie = pick(random, [0, 0, 0, 1, -1, -frame.length - 1, 0x7fffffff - frame.length]);
  const stream = Buffer.concat([int32(frame.length + lie), frame]);
  const decoder = new FrameDecoder(MAX_FRAME_BYTES);
  const frames: Buffer[] = [];
  try {
    for (let position = 0; position < stream.length;) {
      const end = position + 1 + randomBelow(random, pick(random, [1, 3, 16, stream.length]));
      frames.push(...decoder.push(stream.subarray(position, end)));
      position = end;
    }
  } catch (error) {
    return typed(error, "framing");
  }
  if (decoder.pendingBytes > stream.length) throw new Error("the frame cutter holds too much");
  return frames;
}

function locateBody(
  group: Group,
  frame: Buffer,
): { readonly message: Message; readonly version: number; readonly offset: number } | string {
  try {
    if (!group.isRequest) {
      const { bodyOffset } = decodeResponseHeader(frame, group.api, group.version);
      return { message: group.api.response, version: group.version, offset: bodyOffset };
    }
    const { apiKey, apiVersion, bodyOffset } = decodeRequestHeader(frame);
    const api = apiByKey(apiKey);
    if (api === undefined || !includesVersion(api.request.versions, apiVersion)) {
      return "unsupported version";
    }
    return { message: api.request, version: apiVersion, offset: bodyOffset };
  } catch (error) {
    return typed(error, "header");
  }
}

function tryBody(
  random: Random,
  message: Message,
  version: number,
  frame: Buffer,
  offset: number,
): string {
  const codec = codecFor(message, version);
  const isOracleAsked = randomBelow(random, ORACLE_SHARE) === 0;
  const decoded = decode(codec, frame, offset);
  if (isOracleAsked) {
    const other = decode(interpreterFor(message, version), frame, offset);
    // Bytes that are wrong in two ways may be refused for either: one checks sooner than the other.
    const areBothRefused = decoded.kind !== "value" && other.kind !== "value";
    if (!areBothRefused && !isDeepStrictEqual(decoded, other)) {
      throw new Error(`compiled and interpreted differ: ${summary(decoded)}, ${summary(other)}`);
    }
  }
  if (decoded.kind !== "value") return `body: ${decoded.kind}`;
  const limitBytes = 2 * 1024 * 1024 + 32 * frame.length;
  if (valueBytes(decoded.value) > limitBytes)
    throw new Error("the value is larger than its budget");
  if (!isOracleAsked) return "body: value";
  try {
    codec.encode(decoded.value as never);
    return "body: value, encoded again";
  } catch (error) {
    return typed(error, "encode");
  }
}

type Decoded = { readonly kind: "value"; readonly value: unknown } | { readonly kind: string };

function decode(
  codec: Codec<Message>,
  frame: Buffer,
  offset: number,
): Decoded & { value?: unknown } {
  try {
    return { kind: "value", value: codec.decode(frame, offset) };
  } catch (error) {
    if (error instanceof ProtocolError) return { kind: error.kind };
    throw error;
  }
}

function summary(decoded: Decoded): string {
  return decoded.kind === "value" ? "a value" : decoded.kind;
}

const interpreters = new Map<Message, Map<number, Codec<Message>>>();

function interpreterFor(message: Message, version: number): Codec<Message> {
  let versions = interpreters.get(message);
  if (versions === undefined) {
    versions = new Map();
    interpreters.set(message, versions);
  }
  let codec = versions.get(version);
  if (codec === undefined) {
    codec = makeCodec(message, version, { interpreted: true });
    versions.set(version, codec);
  }
  return codec;
}

/** The outcome's name, if it is one of the two errors that may come out. */
export function typed(error: unknown, where: string): string {
  if (error instanceof ProtocolError) return `${where}: ${error.kind}`;
  if (error instanceof KafkaError) return `${where}: ${error.errorName}`;
  throw error;
}
