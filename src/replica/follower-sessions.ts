import { assert } from "../base/assert.ts";
import type { ErrorName } from "../protocol/errors.ts";
import type { LogReadOptions, LogReadResult } from "../storage/log.ts";
import type { Follower, FollowerSession, LedPartitionWatcher } from "./replication-ports.ts";

/** The partition that a session is with. */
export interface SessionHost {
  readonly leaderEpoch: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readForFollower(options: Omit<LogReadOptions, "endOffset">): Promise<LogReadResult>;
  onProgress(follower: Follower, receivedOffset: number, safeOffset: number): void;
  onSessionEnd(follower: Follower): void;
}

/** The followers' sessions with one partition that is led here: one a broker. */
export class FollowerSessions {
  readonly #sessions = new Map<number, Session>();

  /** Takes the place of the broker's older one. */
  begin(host: SessionHost, follower: Follower, watcher: LedPartitionWatcher): FollowerSession {
    const older = this.#sessions.get(follower.brokerId);
    if (older !== undefined) this.#end(older, "NOT_LEADER_OR_FOLLOWER");
    const session = new Session(host, follower, watcher, () => this.#forget(session));
    this.#sessions.set(follower.brokerId, session);
    return session;
  }

  /** There may be more to send to each. */
  tell(): void {
    for (const session of this.#sessions.values()) session.watcher.onNews();
  }

  endAll(error: ErrorName): void {
    for (const session of [...this.#sessions.values()]) this.#end(session, error);
  }

  #end(session: Session, error: ErrorName): void {
    session.end();
    session.watcher.onEnd(error);
  }

  #forget(session: Session): void {
    const { brokerId } = session.follower;
    if (this.#sessions.get(brokerId) === session) this.#sessions.delete(brokerId);
  }
}

class Session implements FollowerSession {
  readonly leaderEpoch: number;
  readonly follower: Follower;
  readonly watcher: LedPartitionWatcher;
  readonly #host: SessionHost;
  readonly #onEnd: () => void;
  #isOver = false;

  constructor(
    host: SessionHost,
    follower: Follower,
    watcher: LedPartitionWatcher,
    onEnd: () => void,
  ) {
    this.#host = host;
    this.follower = follower;
    this.watcher = watcher;
    this.leaderEpoch = host.leaderEpoch;
    this.#onEnd = onEnd;
  }

  get highWatermark(): number {
    return this.#host.highWatermark;
  }

  get logStartOffset(): number {
    return this.#host.logStartOffset;
  }

  get logEndOffset(): number {
    return this.#host.logEndOffset;
  }

  read(options: Omit<LogReadOptions, "endOffset">): Promise<LogReadResult> {
    return this.#host.readForFollower(options);
  }

  noteProgress(receivedOffset: number, safeOffset: number): void {
    if (this.#isOver) return;
    assert(receivedOffset <= this.#host.logEndOffset, "a follower has what it was sent");
    this.#host.onProgress(this.follower, receivedOffset, safeOffset);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
    this.#host.onSessionEnd(this.follower);
  }
}
