import type { BrokerIncarnation } from "./broker-fencing.ts";
import type { MetadataImage } from "./image.ts";

interface Session {
  readonly brokerEpoch: number;
  readonly lastContactMs: number;
  /** How far the broker has applied the metadata; -1: it has not said. */
  readonly metadataOffset: number;
  /** Once all active brokers have applied this, nobody asks the broker any more: it may stop. */
  readonly shutdownOffset: number | null;
}

/**
 * When the active controller last heard of each broker, by the monotonic clock. It is not in the log, and
 * nothing that is fenced follows from it alone (K16): an end of a session is a reason to append a fencing.
 * A new active controller begins with full sessions for all.
 */
export class BrokerSessions {
  readonly #sessionTimeoutMs: number;
  readonly #sessions = new Map<number, Session>();

  constructor({ sessionTimeoutMs }: { readonly sessionTimeoutMs: number }) {
    this.#sessionTimeoutMs = sessionTimeoutMs;
  }

  /** This node has become the active controller. */
  reset(image: MetadataImage, nowMs: number): void {
    this.#sessions.clear();
    for (const { brokerId, brokerEpoch, isFenced } of image.brokers.values()) {
      if (!isFenced) this.touch({ brokerId, brokerEpoch, metadataOffset: -1 }, image, nowMs);
    }
  }

  /** A registration or a heartbeat has been decided; `image` contains what was decided. */
  touch(
    {
      brokerId,
      brokerEpoch,
      metadataOffset,
    }: BrokerIncarnation & { readonly metadataOffset: number },
    image: MetadataImage,
    nowMs: number,
  ): void {
    const known = this.#sessions.get(brokerId);
    // A heartbeat of an incarnation that is gone keeps nobody alive.
    if (known !== undefined && known.brokerEpoch > brokerEpoch) return;
    const before = known?.brokerEpoch === brokerEpoch ? known.shutdownOffset : null;
    const isShuttingDown = image.brokers.get(brokerId)?.isInControlledShutdown === true;
    const shutdownOffset = isShuttingDown ? (before ?? image.offset) : null;
    this.#sessions.set(brokerId, {
      ...{ brokerEpoch, metadataOffset, shutdownOffset },
      lastContactMs: nowMs,
    });
  }

  /** The incarnation is known to be gone (R16). */
  end({ brokerId, brokerEpoch }: BrokerIncarnation): void {
    if (this.#sessions.get(brokerId)?.brokerEpoch === brokerEpoch) this.#sessions.delete(brokerId);
  }

  has({ brokerId, brokerEpoch }: BrokerIncarnation, nowMs: number): boolean {
    const session = this.#sessions.get(brokerId);
    return session?.brokerEpoch === brokerEpoch && this.#deadlineMs(session) > nowMs;
  }

  /** Incarnations that were not heard of in time, longest first. They stay until `end`. */
  expired(nowMs: number): BrokerIncarnation[] {
    return [...this.#sessions]
      .filter(([, session]) => this.#deadlineMs(session) <= nowMs)
      .sort(([, a], [, b]) => a.lastContactMs - b.lastContactMs)
      .map(([brokerId, { brokerEpoch }]) => ({ brokerId, brokerEpoch }));
  }

  /** When the next session ends; null: there is none. */
  nextDeadlineMs(): number | null {
    const deadlines = [...this.#sessions.values()].map((session) => this.#deadlineMs(session));
    return deadlines.length === 0 ? null : Math.min(...deadlines);
  }

  /** Whether all that clients may be sent to have applied what the broker's controlled shutdown moved. */
  isShutdownKnown(image: MetadataImage, brokerId: number): boolean {
    const { shutdownOffset = null } = this.#sessions.get(brokerId) ?? {};
    if (shutdownOffset === null) return false;
    for (const broker of image.brokers.values()) {
      if (broker.isFenced || broker.isInControlledShutdown) continue;
      const session = this.#sessions.get(broker.brokerId);
      if ((session?.metadataOffset ?? -1) < shutdownOffset) return false;
    }
    return true;
  }

  #deadlineMs({ lastContactMs }: Session): number {
    return lastContactMs + this.#sessionTimeoutMs;
  }
}
