import { codecFor, joined } from "./codec.ts";
import { ProtocolError } from "./errors.ts";
import { Reader } from "./reader.ts";
import type { Encodable, Infer, Message } from "./schema.ts";
import { Writer } from "./writer.ts";

/**
 * Messages that travel with an int16 in front: their version (values of the internal topics, the
 * consumer protocol's subscriptions and assignments) or their record type (keys of the topics).
 */

const PREFIX_BYTES = 2;

/** The int16 in front. Throws ProtocolError truncated. */
export function prefixOf(bytes: Buffer): number {
  return new Reader(bytes, "versioned message").int16();
}

/** The message with its version in front. */
export function encodeVersioned<M extends Message>(
  message: M,
  version: number,
  value: Encodable<M>,
): Buffer {
  return encodePrefixed(version, message, version, value);
}

/** Reads a message that has its version in front. Throws ProtocolError, also on other versions. */
export function decodeVersioned<M extends Message>(message: M, bytes: Buffer): Infer<M> {
  return codecFor(message, prefixOf(bytes)).decode(bytes, PREFIX_BYTES);
}

/** The key of a record of an internal topic, with its record type (the schema's key) in front. */
export function encodeRecordKey<M extends Message>(message: M, value: Encodable<M>): Buffer {
  return encodePrefixed(recordTypeOf(message), message, KEY_VERSION, value);
}

/** Reads a key whose type, by `prefixOf`, is the message's. Throws ProtocolError. */
export function decodeRecordKey<M extends Message>(message: M, bytes: Buffer): Infer<M> {
  const recordType = prefixOf(bytes);
  if (recordType !== recordTypeOf(message)) {
    throw new ProtocolError("unsupported-version", `${message.name}: record type ${recordType}`);
  }
  return codecFor(message, KEY_VERSION).decode(bytes, PREFIX_BYTES);
}

/** Keys have only this version: the int16 before them is taken by the record type. */
const KEY_VERSION = 0;

function recordTypeOf(message: Message): number {
  if (message.apiKey !== null) return message.apiKey;
  throw new ProtocolError("not-encodable", `${message.name} is no record key`);
}

function encodePrefixed<M extends Message>(
  prefix: number,
  message: M,
  version: number,
  value: Encodable<M>,
): Buffer {
  const writer = new Writer();
  writer.int16(prefix);
  codecFor(message, version).encodeTo(writer, value);
  return joined(writer.finish());
}
