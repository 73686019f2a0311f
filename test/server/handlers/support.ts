import type { Offload } from "../../../src/base/offload.ts";
import { codecFor, joined } from "../../../src/protocol/codec.ts";
import { FRAME_SIZE_BYTES } from "../../../src/protocol/frame.ts";
import { decodeResponseHeader } from "../../../src/protocol/header.ts";
import type { Encodable, Infer, Message } from "../../../src/protocol/schema.ts";
import type { RequestContext, TypedApiHandler } from "../../../src/server/api-handler.ts";

/** A connection as a handler sees it, that the test can close. */
export class FakeContext implements RequestContext {
  readonly apiVersion: number;
  readonly correlationId = 1;
  readonly clientId: string | null;
  readonly clientHost = "127.0.0.1";
  readonly connectionId = "1";
  readonly listenerName = "PLAINTEXT";
  readonly #callbacks: (() => void)[] = [];
  readonly #sentCallbacks: (() => void)[] = [];

  constructor(apiVersion: number, clientId: string | null = "test") {
    this.apiVersion = apiVersion;
    this.clientId = clientId;
  }

  onClose(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  close(): void {
    for (const callback of this.#callbacks) callback();
  }

  onSent(callback: () => void): void {
    this.#sentCallbacks.push(callback);
  }

  /** The answer has left. */
  sent(): void {
    for (const callback of this.#sentCallbacks.splice(0)) callback();
  }
}

/**
 * Sends the request through its bytes and gives the response back from its bytes, so that every answer
 * of a test is one that the version can carry. A symbol is what the handler answers instead.
 */
export async function call<Req extends Message, Res extends Message>(
  handler: TypedApiHandler<Req, Res>,
  context: FakeContext,
  request: Encodable<Req>,
): Promise<Infer<Res> | symbol> {
  const { apiVersion } = context;
  const bytes = codecFor(handler.api.request as Req, apiVersion).encode(request);
  const reply = await handler.respond(bytes, 0, context);
  if (typeof reply === "symbol") return reply;
  const frame = joined(reply).subarray(FRAME_SIZE_BYTES);
  const { bodyOffset } = decodeResponseHeader(frame, handler.api, apiVersion);
  return codecFor(handler.api.response as Res, apiVersion).decode(frame, bodyOffset);
}

/** For batches that are not compressed. */
export const NO_OFFLOAD: Offload = {
  inflate: () => Promise.reject(new Error("nothing is compressed here")),
  deflate: () => Promise.reject(new Error("nothing is compressed here")),
};
