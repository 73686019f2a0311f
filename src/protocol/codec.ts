import { compileDecoder, compileEncoder } from "./compile.ts";
import { decodeStruct, encodeStruct } from "./interpret.ts";
import { type Int64Mode, planMessage, type StructPlan } from "./plan.ts";
import { Reader } from "./reader.ts";
import type { Encodable, Infer, Message } from "./schema.ts";
import { asStruct, type StructValue } from "./values.ts";
import { Writer } from "./writer.ts";

/** Reads and writes one message in one version. */
export interface Codec<M extends Message> {
  /**
   * The message that stands in `bytes` from `offset` to the end; bytes too many are an error, too.
   * Byte fields are slices of `bytes`. Throws ProtocolError and nothing else, whatever the bytes
   * are, and allocates within a budget that the length of the bytes sets.
   */
  decode(bytes: Buffer, offset?: number): Infer<M>;
  /**
   * The same, but bytes behind the message are ignored, as Kafka does with requests: librdkafka leaves
   * some behind the Metadata request that asks for all topics.
   */
  decodePrefix(bytes: Buffer, offset?: number): Infer<M>;
  /** Throws ProtocolError not-encodable when a value is missing, bad, or not for this version. */
  encode(value: Encodable<M>): Buffer;
  /** The same, after what the writer has already; large byte fields go by reference. */
  encodeTo(writer: Writer, value: Encodable<M>): void;
}

export type DecodeStruct = (reader: Reader) => StructValue;
export type EncodeStruct = (writer: Writer, value: StructValue) => void;

const cache = new WeakMap<Message, Map<number, unknown>>();

/**
 * The codec of the message in the version, made at the first call and kept. Code is generated when
 * it first decodes and first encodes. Throws ProtocolError unsupported-version.
 */
export function codecFor<M extends Message>(message: M, version: number): Codec<M> {
  let versions = cache.get(message);
  if (versions === undefined) {
    versions = new Map<number, unknown>();
    cache.set(message, versions);
  }
  let codec = versions.get(version) as Codec<M> | undefined;
  if (codec === undefined) {
    codec = makeCodec(message, version);
    versions.set(version, codec);
  }
  return codec;
}

/** How a codec is made when it is not the default one: for tests that compare the kinds. */
export interface CodecOptions {
  readonly int64?: Int64Mode;
  /** Walks the schema instead of generating code. */
  readonly interpreted?: boolean;
}

/** A codec of its own, not kept. */
export function makeCodec<M extends Message>(
  message: M,
  version: number,
  options: CodecOptions = {},
): Codec<M> {
  const plan = planMessage(message, version, options.int64 ?? "shipped");
  const isInterpreted = options.interpreted ?? false;
  const subject = `${message.name} v${version}`;
  let decode: DecodeStruct | undefined;
  let encode: EncodeStruct | undefined;
  const encodeTo = (writer: Writer, value: Encodable<M>): void => {
    encode ??= isInterpreted ? interpretedEncoder(plan) : encoderOf(plan, message.name);
    encode(writer, asStruct(message.name, value));
  };
  const read = (reader: Reader): Infer<M> => {
    decode ??= isInterpreted ? interpretedDecoder(plan) : decoderOf(plan, message.name);
    return decode(reader) as Infer<M>;
  };
  return {
    decode: (bytes, offset = 0) => {
      const reader = new Reader(bytes, subject, offset);
      const value = read(reader);
      reader.finish();
      return value;
    },
    decodePrefix: (bytes, offset = 0) => read(new Reader(bytes, subject, offset)),
    encode: (value) => {
      const writer = new Writer();
      encodeTo(writer, value);
      return joined(writer.finish());
    },
    encodeTo,
  };
}

/** The chunks as one buffer; no copy when there is only one. */
export function joined(chunks: readonly Buffer[]): Buffer {
  const [first, second] = chunks;
  return first !== undefined && second === undefined ? first : Buffer.concat(chunks);
}

function decoderOf(plan: StructPlan, name: string): DecodeStruct {
  return compileDecoder(plan, name) ?? interpretedDecoder(plan);
}

function encoderOf(plan: StructPlan, name: string): EncodeStruct {
  return compileEncoder(plan, name) ?? interpretedEncoder(plan);
}

function interpretedDecoder(plan: StructPlan): DecodeStruct {
  return (reader) => decodeStruct(reader, plan);
}

function interpretedEncoder(plan: StructPlan): EncodeStruct {
  return (writer, value) => encodeStruct(writer, plan, value);
}
