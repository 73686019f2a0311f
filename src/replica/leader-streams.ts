import type { Timer } from "../base/clock.ts";
import type { RpcAddress } from "../base/rpc.ts";
import type { Hello } from "../protocol/peers/hello.ts";
import type { PeerLinkDependencies } from "../protocol/peers/peer-link.ts";
import { LeaderStream } from "./leader-stream.ts";
import type { FollowedLog, LeaderStreams as Streams } from "./replication-ports.ts";

export interface LeaderStreamsOptions {
  /** What this node says of itself, at each opening. */
  readonly hello: () => Hello;
  /** Where a broker listens for others; null: nobody has said. */
  readonly addressOf: (brokerId: number) => RpcAddress | null;
}

interface Place {
  readonly leaderId: number;
  readonly log: FollowedLog;
}

/** A stream on which nothing is followed is kept for so long: leadership often comes back. */
const IDLE_MS = 1_000;

/** The streams of this node to the brokers that lead what it follows: one to each of them. */
export class LeaderStreams implements Streams {
  readonly #dependencies: PeerLinkDependencies;
  readonly #options: LeaderStreamsOptions;
  readonly #streams = new Map<number, LeaderStream>();
  /** By topic id and partition. */
  readonly #places = new Map<string, Place>();
  readonly #settling = new Map<FollowedLog, Promise<unknown>>();
  readonly #idleTimers = new Map<number, Timer>();
  #isClosed = false;

  constructor(dependencies: PeerLinkDependencies, options: LeaderStreamsOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
  }

  follow(leaderId: number, log: FollowedLog): void {
    if (this.#isClosed) return;
    const key = keyOf(log);
    const before = this.#places.get(key);
    if (before !== undefined && (before.leaderId !== leaderId || before.log !== log)) {
      this.unfollow(before.log);
    }
    this.#places.set(key, { leaderId, log });
    this.#idleTimers.get(leaderId)?.cancel();
    this.#idleTimers.delete(leaderId);
    this.#streamTo(leaderId).follow(log);
  }

  unfollow(log: FollowedLog): void {
    const key = keyOf(log);
    const place = this.#places.get(key);
    if (place?.log !== log) return;
    this.#places.delete(key);
    const { leaderId } = place;
    const stream = this.#streams.get(leaderId);
    stream?.unfollow(log);
    if (stream?.isIdle !== true) return;
    const timer = this.#dependencies.clock.after(IDLE_MS, () => {
      stream.close();
      this.#streams.delete(leaderId);
      this.#idleTimers.delete(leaderId);
    });
    this.#idleTimers.set(leaderId, timer);
  }

  /** Addresses may have changed. */
  retry(): void {
    for (const stream of this.#streams.values()) stream.retry();
  }

  /** Nothing is followed any more, and no log is called. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const timer of this.#idleTimers.values()) timer.cancel();
    for (const stream of this.#streams.values()) stream.close();
    this.#idleTimers.clear();
    this.#streams.clear();
    this.#places.clear();
  }

  #streamTo(leaderId: number): LeaderStream {
    const known = this.#streams.get(leaderId);
    if (known !== undefined) return known;
    const { hello, addressOf } = this.#options;
    const stream = new LeaderStream(this.#dependencies, {
      ...{ leaderId, hello },
      address: () => addressOf(leaderId),
      settling: this.#settling,
    });
    this.#streams.set(leaderId, stream);
    return stream;
  }
}

function keyOf({ topicId, partitionIndex }: FollowedLog): string {
  return `${topicId}:${partitionIndex}`;
}
