import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { FetchAnswer, FetchTarget } from "../../replica/delayed-fetch.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import { handlerFor, NO_RESPONSE, type TypedApiHandler } from "../api-handler.ts";
import type { FetchSessions } from "../fetch-sessions.ts";
import { LeaderHints, type LeaderLookup } from "./leader-hints.ts";

// Fetch, versions 4-18. 5 added logStartOffset, 7 sessions (KIP-227), 9 leader epochs (KIP-320), 11 racks
// (KIP-392), 12 is flexible and takes the last fetched epoch (KIP-595), 13 names topics by id, 15 moved
// the replica id, 16 tells who leads instead (KIP-951), 18 takes a replica's high watermark.
//
// Everybody here is a consumer and sees committed records only (S18), whatever replica id it claims:
// replicas fetch from each other elsewhere (design.md, section 5). A rack changes nothing: the leader
// serves everybody, and names no preferred replica.

const FIRST_VERSION_WITH_TOPIC_IDS = 13;
const FIRST_VERSION_WITH_LEADERS = 16;

/** Errors that end when the client goes to the partition's leader. */
const ELSEWHERE: ReadonlySet<number> = new Set([
  errorCode("NOT_LEADER_OR_FOLLOWER"),
  errorCode("FENCED_LEADER_EPOCH"),
]);

export interface FetchDependencies {
  readonly replicas: ReplicaManager;
  readonly sessions: FetchSessions;
  readonly leaderOf: LeaderLookup;
}

/** The handler of Fetch. */
export function fetchHandler(
  dependencies: FetchDependencies,
  options: {
    /** `fetch.max.bytes`: bounds a response, whatever the client asks for. */
    readonly fetchMaxBytes: number;
  },
): TypedApiHandler<typeof APIS.fetch.request, typeof APIS.fetch.response> {
  return handlerFor(APIS.fetch, async (request, context) => {
    const isById = context.apiVersion >= FIRST_VERSION_WITH_TOPIC_IDS;
    const turn = dependencies.sessions.begin(request, isById);
    if (typeof turn === "string") return { errorCode: errorCode(turn), responses: [] };
    const maxBytes = Math.max(0, Math.min(request.maxBytes, options.fetchMaxBytes));
    const fetch = dependencies.replicas.fetch(turn.targets, isById, {
      minBytes: Math.min(request.minBytes, maxBytes),
      maxBytes,
      maxWaitMs: request.maxWaitMs,
      // A level that we do not know is the stricter one.
      isReadCommitted: request.isolationLevel !== 0,
    });
    const running = fetch.run();
    context.onClose(() => fetch.close());
    const answers = await running;
    context.onSent(() => fetch.release());
    if (answers === null) return NO_RESPONSE;
    const nodeEndpoints =
      context.apiVersion >= FIRST_VERSION_WITH_LEADERS
        ? nameLeaders(turn.targets, answers, dependencies, context.listenerName)
        : [];
    const { errorCode: error, sessionId, responses } = turn.finish(answers);
    return { errorCode: errorCode(error), sessionId, responses, nodeEndpoints };
  });
}

/** Fills in who leads the partitions that are not led here; returns where clients reach those. */
function nameLeaders(
  targets: readonly FetchTarget[],
  answers: FetchAnswer,
  dependencies: FetchDependencies,
  listenerName: string,
): LeaderHints["nodeEndpoints"] {
  const hints = new LeaderHints(dependencies.leaderOf, listenerName);
  for (const [index, answer] of answers.entries()) {
    const target = targets[index];
    if (target === undefined || !ELSEWHERE.has(answer.errorCode)) continue;
    const topic = dependencies.replicas.topicName(target.topicId) ?? target.topic;
    hints.fillIn(answer, { topic, partitionIndex: target.partition });
  }
  return hints.nodeEndpoints;
}
