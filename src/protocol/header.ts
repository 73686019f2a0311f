import { type Api, apiByKey, requestHeaderVersion, responseHeaderVersion } from "./apis.ts";
import { codecFor } from "./codec.ts";
import { FRAME_SIZE_BYTES } from "./frame.ts";
import { requestHeader, responseHeader } from "./messages/internal/headers.ts";
import { Reader } from "./reader.ts";
import { type Encodable, includesVersion, type Message } from "./schema.ts";
import { Writer } from "./writer.ts";

export interface DecodedRequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  /** Null also when the key or the version is unknown: then it is not read. */
  readonly clientId: string | null;
  /** Where the body begins; when the key or the version is unknown, where what is unread begins. */
  readonly bodyOffset: number;
}

/**
 * Reads the header of a request frame (without size prefix). A key or a version that Holdfast does
 * not know still gives key, version and correlation id, which an error needs. Throws ProtocolError.
 */
export function decodeRequestHeader(frame: Buffer): DecodedRequestHeader {
  const reader = new Reader(frame, "request header");
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const correlationId = reader.int32();
  const api = apiByKey(apiKey);
  if (api === undefined || !includesVersion(api.request.versions, apiVersion)) {
    return { apiKey, apiVersion, correlationId, clientId: null, bodyOffset: reader.position };
  }
  // The client id keeps its int16 length in header 2, where the tags follow it (KIP-482).
  const clientId = reader.nullableString();
  if (requestHeaderVersion(api, apiVersion) === 2) skipTags(reader);
  return { apiKey, apiVersion, correlationId, clientId, bodyOffset: reader.position };
}

/** Writes the header of a request, as a client does. */
export function encodeRequestHeader(
  writer: Writer,
  api: Api,
  apiVersion: number,
  client: { readonly correlationId: number; readonly clientId: string | null },
): void {
  codecFor(requestHeader, requestHeaderVersion(api, apiVersion)).encodeTo(writer, {
    requestApiKey: api.key,
    requestApiVersion: apiVersion,
    ...client,
  });
}

/** Reads the header of a response frame (without size prefix), as a client does. */
export function decodeResponseHeader(
  frame: Buffer,
  api: Api,
  apiVersion: number,
): { readonly correlationId: number; readonly bodyOffset: number } {
  const reader = new Reader(frame, "response header");
  const correlationId = reader.int32();
  if (responseHeaderVersion(api, apiVersion) === 1) skipTags(reader);
  return { correlationId, bodyOffset: reader.position };
}

/** Writes the header of a response. */
export function encodeResponseHeader(
  writer: Writer,
  api: Api,
  apiVersion: number,
  correlationId: number,
): void {
  codecFor(responseHeader, responseHeaderVersion(api, apiVersion)).encodeTo(writer, {
    correlationId,
  });
}

/** A whole request frame with its size prefix, ready for the socket. */
export function encodeRequestFrame<Req extends Message>(
  api: Api<Req>,
  apiVersion: number,
  client: { readonly correlationId: number; readonly clientId: string | null },
  body: Encodable<Req>,
): Buffer[] {
  return encodeFrame((writer) => {
    encodeRequestHeader(writer, api, apiVersion, client);
    codecFor(api.request, apiVersion).encodeTo(writer, body);
  });
}

/** A whole response frame with its size prefix, ready for the socket; records go by reference. */
export function encodeResponseFrame<Res extends Message>(
  api: Api<Message, Res>,
  apiVersion: number,
  correlationId: number,
  body: Encodable<Res>,
): Buffer[] {
  return encodeFrame((writer) => {
    encodeResponseHeader(writer, api, apiVersion, correlationId);
    codecFor(api.response, apiVersion).encodeTo(writer, body);
  });
}

function encodeFrame(write: (writer: Writer) => void): Buffer[] {
  const writer = new Writer();
  writer.int32(0);
  write(writer);
  writer.int32At(0, writer.length - FRAME_SIZE_BYTES);
  return writer.finish();
}

function skipTags(reader: Reader): void {
  for (let count = reader.tagCount(); count > 0; count -= 1) {
    reader.uvarint();
    const outerEnd = reader.enterTag();
    reader.position = reader.end;
    reader.leaveTag(outerEnd);
  }
}
