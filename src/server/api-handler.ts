import type { Api } from "../protocol/apis.ts";
import { codecFor } from "../protocol/codec.ts";
import type { Encodable, Infer, Message } from "../protocol/schema.ts";
import { encodeResponseFrame } from "../protocol/header.ts";
import { errorCodesOf } from "./response-errors.ts";

/** What a handler may know about the request besides its body. */
export interface RequestContext {
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string | null;
  /** The peer's address, without the port. */
  readonly clientHost: string;
  /** Unique in the life of this process. */
  readonly connectionId: string;
  readonly listenerName: string;
  /**
   * Runs `callback` once when the connection has closed or the broker stops, at once if it has. Whoever
   * parks a request that may go unanswered registers here what frees it.
   */
  onClose(callback: () => void): void;
  /**
   * Runs `callback` once when the answer has left, or never will. Whoever lends memory to an answer
   * takes it back here.
   */
  onSent(callback: () => void): void;
}

/** The client expects no answer (Produce with acks=0). */
export const NO_RESPONSE: unique symbol = Symbol("no response");
/** Close instead of answering (Produce with acks=0 that failed: the client's only way to learn of it). */
export const CLOSE_CONNECTION: unique symbol = Symbol("close connection");

/** What a handler's function gives back, at once or later. */
export type HandlerAnswer<Res extends Message> =
  Encodable<Res> | typeof NO_RESPONSE | typeof CLOSE_CONNECTION;

/** What dispatch does next for this request: send these bytes (a whole frame), nothing, or close. */
export type Reply = readonly Buffer[] | typeof NO_RESPONSE | typeof CLOSE_CONNECTION;

/** One API as the broker serves it. */
export interface ApiHandler {
  readonly api: Api;
  /** Lowest and highest version that are served whole. */
  readonly minVersion: number;
  readonly maxVersion: number;
  /** How often each error code was answered, 0 for none, in the whole answer and in its parts. */
  readonly errorCounts: ReadonlyMap<number, number>;
  /**
   * Decodes the body and runs the handler up to its first await before it returns. Throws (or rejects
   * with) ProtocolError when the body is damaged. Only dispatch calls it.
   */
  respond(frame: Buffer, bodyOffset: number, context: RequestContext): Reply | Promise<Reply>;
}

/** The same with its types, for tests that call the handler's function without bytes. */
export interface TypedApiHandler<Req extends Message, Res extends Message> extends ApiHandler {
  handle(
    request: Infer<Req>,
    context: RequestContext,
  ): HandlerAnswer<Res> | Promise<HandlerAnswer<Res>>;
}

/** The versions served, where they are fewer than the schema knows. */
export interface VersionRange {
  readonly minVersion?: number;
  readonly maxVersion?: number;
}

/**
 * Makes a handler of a function. Requests of one connection are started in order, and those of Produce may
 * overlap: work whose order matters (the append) belongs before the function's first await. A refusal is a field of
 * the response; what the function throws is a bug, which costs the connection (dispatch.ts).
 */
export function handlerFor<Req extends Message, Res extends Message>(
  api: Api<Req, Res>,
  handle: TypedApiHandler<Req, Res>["handle"],
  versions: VersionRange = {},
): TypedApiHandler<Req, Res> {
  const errorCounts = new Map<number, number>();
  const errorCodes = errorCodesOf(api.response);
  const count = (code: number): void => {
    errorCounts.set(code, (errorCounts.get(code) ?? 0) + 1);
  };
  return {
    api,
    errorCounts,
    minVersion: versions.minVersion ?? api.minVersion,
    maxVersion: versions.maxVersion ?? api.maxVersion,
    handle,
    respond(frame, bodyOffset, context) {
      const request = codecFor(api.request, context.apiVersion).decodePrefix(frame, bodyOffset);
      const answer = handle(request, context);
      const reply = (value: HandlerAnswer<Res>): Reply => {
        if (typeof value === "symbol") return value;
        errorCodes(value, count);
        return encodeResponseFrame(api, context.apiVersion, context.correlationId, value);
      };
      return answer instanceof Promise ? answer.then(reply) : reply(answer);
    },
  };
}
