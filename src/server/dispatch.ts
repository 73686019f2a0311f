import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { APIS } from "../protocol/apis.ts";
import { errorCode, ProtocolError } from "../protocol/errors.ts";
import {
  decodeRequestHeader,
  type DecodedRequestHeader,
  encodeResponseFrame,
} from "../protocol/header.ts";
import {
  type ApiHandler,
  CLOSE_CONNECTION,
  NO_RESPONSE,
  type Reply,
  type RequestContext,
} from "./api-handler.ts";
import type { ConnectionInfo, Outcome, RequestHooks } from "./net/connection.ts";
import { QuietLogger } from "./quiet-logger.ts";
import { RequestStats } from "./request-stats.ts";

const NOTHING: Outcome = { kind: "none" };
const CLOSE: Outcome = { kind: "close" };

/** An API as it is served, with what became of its requests. */
export interface Served {
  readonly handler: ApiHandler;
  readonly stats: RequestStats;
}

/**
 * From a frame to its answer. This is the one boundary between clients and the process: a request that
 * is damaged, unknown or trips over a bug of ours costs its connection and one log line, nothing more.
 */
export class Dispatcher {
  readonly #handlers: ReadonlyMap<number, Served>;
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #logger: Logger;
  readonly #quietLogger: QuietLogger;

  constructor(
    handlers: readonly ApiHandler[],
    dependencies: { readonly clock: Pick<Clock, "nowMs">; readonly logger: Logger },
  ) {
    this.#handlers = new Map(
      handlers.map((handler) => {
        const stats = new RequestStats(handler.api.name);
        return [handler.api.key, { handler, stats }];
      }),
    );
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
    this.#quietLogger = new QuietLogger(dependencies);
  }

  /** Each API that is served, and what became of its requests. */
  get served(): Iterable<Served> {
    return this.#handlers.values();
  }

  /** Starts the request; never throws, never rejects. See StartRequest. */
  start(
    frame: Buffer,
    connection: ConnectionInfo,
    hooks: RequestHooks,
  ): Outcome | Promise<Outcome> {
    let header: DecodedRequestHeader | null = null;
    try {
      header = decodeRequestHeader(frame);
      const startMs = this.#clock.nowMs();
      const answer = this.#answer(frame, header, connection, hooks);
      const decoded = header;
      const finish = (reply: Reply): Outcome => {
        this.#finished(decoded, startMs);
        return outcomeOf(reply);
      };
      if (!(answer instanceof Promise)) return finish(answer);
      return answer.then(finish, (error: unknown) => this.#refuse(error, connection, decoded));
    } catch (error) {
      return this.#refuse(error, connection, header);
    }
  }

  #answer(
    frame: Buffer,
    header: DecodedRequestHeader,
    connection: ConnectionInfo,
    hooks: RequestHooks,
  ): Reply | Promise<Reply> {
    const { apiKey, apiVersion } = header;
    const served = this.#handlers.get(apiKey);
    if (served === undefined) {
      throw new ProtocolError("unsupported-version", `API key ${apiKey} is not served`);
    }
    const { handler, stats } = served;
    if (apiVersion < handler.minVersion || apiVersion > handler.maxVersion) {
      if (apiKey === APIS.apiVersions.key) return unsupportedApiVersions(handler, header);
      throw new ProtocolError(
        "unsupported-version",
        `${handler.api.name} version ${apiVersion} is not served`,
      );
    }
    stats.began(apiVersion);
    return handler.respond(frame, header.bodyOffset, contextOf(header, connection, hooks));
  }

  #finished({ apiKey }: DecodedRequestHeader, startMs: number): void {
    const nowMs = this.#clock.nowMs();
    this.#handlers.get(apiKey)?.stats.times.record(nowMs - startMs, nowMs);
  }

  #refuse(
    error: unknown,
    { connectionId, clientHost, listenerName }: ConnectionInfo,
    header: DecodedRequestHeader | null,
  ): Outcome {
    const { apiKey, apiVersion, clientId } = header ?? {};
    const facts = { connectionId, clientHost, listenerName, apiKey, apiVersion, clientId };
    if (error instanceof ProtocolError && error.kind !== "not-encodable") {
      this.#quietLogger.warn(facts, `closing a connection for a bad request: ${error.message}`);
    } else {
      this.#logger.error({ ...facts, error }, "closing a connection: its request failed");
    }
    return CLOSE;
  }
}

function outcomeOf(reply: Reply): Outcome {
  if (reply === NO_RESPONSE) return NOTHING;
  if (reply === CLOSE_CONNECTION) return CLOSE;
  return { kind: "response", chunks: reply };
}

function contextOf(
  header: DecodedRequestHeader,
  connection: ConnectionInfo,
  hooks: RequestHooks,
): RequestContext {
  return {
    apiVersion: header.apiVersion,
    correlationId: header.correlationId,
    clientId: header.clientId,
    clientHost: connection.clientHost,
    connectionId: connection.connectionId,
    listenerName: connection.listenerName,
    onClose: (callback) => hooks.onClose(callback),
    onSent: (callback) => hooks.onSent(callback),
  };
}

/**
 * KIP-511: the client asked in a version of the future. It can read version 0, and needs only to learn
 * which version to ask in: franz-go and Java retry with the one entry. The body is not looked at.
 */
function unsupportedApiVersions(handler: ApiHandler, header: DecodedRequestHeader): Reply {
  return encodeResponseFrame(APIS.apiVersions, 0, header.correlationId, {
    errorCode: errorCode("UNSUPPORTED_VERSION"),
    apiKeys: [
      {
        apiKey: APIS.apiVersions.key,
        minVersion: handler.minVersion,
        maxVersion: handler.maxVersion,
      },
    ],
  });
}
