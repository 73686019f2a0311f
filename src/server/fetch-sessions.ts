import type { Random } from "../base/random.ts";
import { randomBelow } from "../base/random.ts";
import type { ErrorName } from "../protocol/errors.ts";
import type { FetchRequest, FetchResponse } from "../protocol/messages/01-fetch.ts";
import type { FetchAnswer, FetchTarget } from "../replica/delayed-fetch.ts";
import {
  byTopic,
  FetchSession,
  FINAL_EPOCH,
  INITIAL_EPOCH,
  newPartitions,
  nextEpoch,
  noteAll,
  type SessionPartitions,
  targetsOf,
} from "./fetch-session.ts";

/** A session may be evicted when it was not used, or was used, for so long (as in Kafka). */
const EVICTION_MS = 120_000;

/** Of all sessions together, some 300 bytes each. Beyond it clients go on without a session. */
const MAX_PARTITIONS = 200_000;

/** No session. */
const NO_SESSION_ID = 0;

const MAX_SESSION_ID = 2 ** 31 - 2;

/** One Fetch: what it asks for, and what of the answers its client is to be told. */
export interface FetchTurn {
  readonly kind: "turn";
  readonly targets: readonly FetchTarget[];
  /** The answers are in the order of the targets. */
  finish(answers: FetchAnswer): FetchTurnAnswer;
}

export interface FetchTurnAnswer {
  readonly errorCode: ErrorName;
  readonly sessionId: number;
  readonly responses: FetchResponse["responses"];
}

/**
 * The fetch sessions of this node (KIP-227), at most `maxSessions`. A full cache makes room for a new
 * session by evicting one that was not used for two minutes, else the smallest of those that have been
 * in use for longer than that, if it is smaller than the new one (Kafka's rule, without replicas: those
 * do not fetch here). A client that gets no session lists all its partitions each time.
 */
export class FetchSessions {
  readonly #clock: { nowMs(): number };
  readonly #random: Random;
  readonly #maxSessions: () => number;
  readonly #maxPartitions: number;
  /** By id; the least recently used first. */
  readonly #sessions = new Map<number, FetchSession>();
  #partitionCount = 0;
  #evictionCount = 0;

  constructor(
    dependencies: { readonly clock: { nowMs(): number }; readonly random: Random },
    options: {
      /** max.incremental.fetch.session.cache.slots, which may change. */
      readonly maxSessions: () => number;
      /** Of all sessions together; default: MAX_PARTITIONS. */
      readonly maxPartitions?: number;
    },
  ) {
    this.#maxPartitions = options.maxPartitions ?? MAX_PARTITIONS;
    this.#clock = dependencies.clock;
    this.#random = dependencies.random;
    this.#maxSessions = options.maxSessions;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  get partitionCount(): number {
    return this.#partitionCount;
  }

  get evictionCount(): number {
    return this.#evictionCount;
  }

  /** Begins a turn of the request's session, or says why there is none. */
  begin(request: FetchRequest, isById: boolean): FetchTurn | ErrorName {
    const { sessionId, sessionEpoch } = request;
    if (sessionEpoch !== FINAL_EPOCH && sessionEpoch !== INITIAL_EPOCH) {
      return this.#incremental(request, isById);
    }
    // Whatever session is named by a request that lists everything has come to its end.
    this.#remove(this.#sessions.get(sessionId));
    return sessionEpoch === FINAL_EPOCH ? sessionless(request) : this.#opening(request, isById);
  }

  /** The session comes to be with the answer: a request that is given up leaves none. */
  #opening(request: FetchRequest, isById: boolean): FetchTurn {
    const partitions = newPartitions(request);
    const targets = Array.from(partitions.values(), ({ target }) => target);
    return {
      kind: "turn",
      targets,
      finish: (answers) => {
        noteAll(partitions, targets, answers);
        const sessionId = this.#maybeCreate(partitions, isById);
        return { errorCode: "NONE", sessionId, responses: byTopic(targets, answers) };
      },
    };
  }

  #incremental(request: FetchRequest, isById: boolean): FetchTurn | ErrorName {
    const session = this.#sessions.get(request.sessionId);
    if (session === undefined) return "FETCH_SESSION_ID_NOT_FOUND";
    if (session.epoch !== request.sessionEpoch) return "INVALID_FETCH_SESSION_EPOCH";
    if (session.isById !== isById) return "FETCH_SESSION_TOPIC_ID_ERROR";
    const oldCount = session.partitionCount;
    session.update(request);
    this.#partitionCount += session.partitionCount - oldCount;
    if (session.partitionCount === 0) {
      this.#remove(session);
      return sessionless(request);
    }
    if (session.partitionCount > oldCount && this.#partitionCount > this.#maxPartitions) {
      // The client lists everything again, and is served without a session.
      this.#remove(session);
      return "FETCH_SESSION_ID_NOT_FOUND";
    }
    this.#touch(session);
    session.epoch = nextEpoch(session.epoch);
    return turnOf(session);
  }

  #maybeCreate(partitions: SessionPartitions, isById: boolean): number {
    if (this.#partitionCount + partitions.size > this.#maxPartitions) return NO_SESSION_ID;
    if (this.#sessions.size >= this.#maxSessions() && !this.#maybeEvict(partitions.size)) {
      return NO_SESSION_ID;
    }
    const session = new FetchSession(
      this.#newId(),
      { isById, nowMs: this.#clock.nowMs() },
      partitions,
    );
    this.#sessions.set(session.id, session);
    this.#partitionCount += session.partitionCount;
    return session.id;
  }

  /** Whether a place has become free for a session of so many partitions. */
  #maybeEvict(partitionCount: number): boolean {
    const nowMs = this.#clock.nowMs();
    let victim: FetchSession | undefined;
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs > EVICTION_MS) {
        victim = session;
        break;
      }
      const isEstablished = session.lastUsedMs - session.createdMs > EVICTION_MS;
      const isSmaller = session.partitionCount < (victim?.partitionCount ?? partitionCount);
      if (isEstablished && isSmaller) victim = session;
    }
    if (victim === undefined) return false;
    this.#remove(victim);
    this.#evictionCount += 1;
    return true;
  }

  #touch(session: FetchSession): void {
    session.lastUsedMs = this.#clock.nowMs();
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
  }

  #remove(session: FetchSession | undefined): void {
    if (session === undefined || !this.#sessions.delete(session.id)) return;
    this.#partitionCount -= session.partitionCount;
  }

  #newId(): number {
    for (;;) {
      const id = 1 + randomBelow(this.#random, MAX_SESSION_ID);
      if (!this.#sessions.has(id)) return id;
    }
  }
}

function sessionless(request: FetchRequest): FetchTurn {
  const targets = targetsOf(request);
  return {
    kind: "turn",
    targets,
    finish: (answers) => ({
      errorCode: "NONE",
      sessionId: NO_SESSION_ID,
      responses: byTopic(targets, answers),
    }),
  };
}

function turnOf(session: FetchSession): FetchTurn {
  const { id, epoch } = session;
  const targets = session.targets();
  return {
    kind: "turn",
    targets,
    finish: (answers) =>
      // Another request of the session came while this one waited, which a client does not do.
      session.epoch === epoch
        ? { errorCode: "NONE", sessionId: id, responses: session.changes(targets, answers) }
        : { errorCode: "INVALID_FETCH_SESSION_EPOCH", sessionId: id, responses: [] },
  };
}
