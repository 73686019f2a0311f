import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { FetchRequest } from "../../protocol/messages/01-fetch.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import { handlerFor, NO_RESPONSE, type TypedApiHandler } from "../api-handler.ts";

// Fetch, versions 4-18. 5 added logStartOffset, 7 sessions (KIP-227), 9 leader epochs (KIP-320), 11 racks
// (KIP-392), 12 is flexible and takes the last fetched epoch (KIP-595), 13 names topics by id, 15 moved
// the replica id, 18 takes a replica's high watermark.
//
// Everybody here is a consumer and sees committed records only (S18), whatever replica id it claims:
// replicas fetch from each other elsewhere (design.md, section 5). There are no sessions: every full
// request is answered with session id 0, after which clients send full requests for ever.

const FIRST_VERSION_WITH_TOPIC_IDS = 13;

/** Session epochs of a request that lists all its partitions: "and close", "and open one" (KIP-227). */
const FINAL_EPOCH = -1;
const INITIAL_EPOCH = 0;

/** The handler of Fetch. */
export function fetchHandler(
  dependencies: { readonly replicas: ReplicaManager },
  options: {
    /** `fetch.max.bytes`: bounds a response, whatever the client asks for. */
    readonly fetchMaxBytes: number;
  },
): TypedApiHandler<typeof APIS.fetch.request, typeof APIS.fetch.response> {
  return handlerFor(APIS.fetch, async (request, context) => {
    if (!isFull(request)) {
      return { errorCode: errorCode("FETCH_SESSION_ID_NOT_FOUND"), responses: [] };
    }
    const maxBytes = Math.max(0, Math.min(request.maxBytes, options.fetchMaxBytes));
    const fetch = dependencies.replicas.fetch(
      request.topics,
      context.apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS,
      {
        minBytes: Math.min(request.minBytes, maxBytes),
        maxBytes,
        maxWaitMs: request.maxWaitMs,
        // A level that we do not know is the stricter one.
        isReadCommitted: request.isolationLevel !== 0,
      },
    );
    const answer = fetch.run();
    context.onClose(() => fetch.close());
    const responses = await answer;
    context.onSent(() => fetch.release());
    return responses === null ? NO_RESPONSE : { responses };
  });
}

function isFull({ sessionEpoch }: FetchRequest): boolean {
  return sessionEpoch === FINAL_EPOCH || sessionEpoch === INITIAL_EPOCH;
}
