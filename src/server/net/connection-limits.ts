/** Limits of one listener; a broker's own hold beside them. */
export interface ListenerLimits {
  readonly maxConnections: number;
  /** Connections a second. */
  readonly maxCreationRate: number;
}

/** How many connections there may be, and how fast they may come. */
export interface ConnectionLimits extends ListenerLimits {
  readonly maxConnectionsPerIp: number;
  /** By address. */
  readonly maxConnectionsPerIpOverrides: ReadonlyMap<string, number>;
  /** Of the listener of that name; Infinity: it has none of its own. */
  ofListener(listenerName: string): ListenerLimits;
}

/** Why a connection is refused. `full`: one that goes makes room for it. */
export interface ConnectionRefusal {
  readonly kind: "full" | "too-many" | "too-fast";
  readonly reason: string;
}

/** So many connections as in a second may come at once. */
const BURST_MS = 1_000;
/** One that comes too early is kept waiting for so long at most; beyond it is refused. */
export const MAX_HOLD_MS = 5_000;

/** Counts connections by listener and address (Kafka's ConnectionQuotas). */
export class ConnectionCounts {
  readonly #clock: { nowMs(): number };
  readonly #limits: ConnectionLimits;
  #count = 0;
  readonly #countByHost = new Map<string, number>();
  readonly #countByListener = new Map<string, number>();
  /** When the next would come if they came at the limit's pace. */
  #nextMs = -Infinity;
  readonly #nextMsByListener = new Map<string, number>();

  constructor(clock: { nowMs(): number }, limits: ConnectionLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  countOf(listenerName: string): number {
    return this.#countByListener.get(listenerName) ?? 0;
  }

  /** Why another connection from there is not taken now; null: it is. */
  refusal(host: string, listenerName: string): ConnectionRefusal | null {
    const { maxConnections, maxConnectionsPerIp, maxConnectionsPerIpOverrides } = this.#limits;
    const perIp = maxConnectionsPerIpOverrides.get(host) ?? maxConnectionsPerIp;
    if ((this.#countByHost.get(host) ?? 0) >= perIp) {
      const reason = `there are ${perIp} from this address (max.connections.per.ip)`;
      return { kind: "too-many", reason };
    }
    const own = this.#limits.ofListener(listenerName).maxConnections;
    if (this.countOf(listenerName) >= own) {
      const reason = `there are ${own} on this listener (listener.name.….max.connections)`;
      return { kind: "full", reason };
    }
    if (this.#count >= maxConnections) {
      return { kind: "full", reason: `there are ${maxConnections} (max.connections)` };
    }
    return this.#holdMs(listenerName) > MAX_HOLD_MS
      ? { kind: "too-fast", reason: "they come too fast (max.connection.creation.rate)" }
      : null;
  }

  /** Counts a connection; returns for how long it has to wait before it is served. */
  add(host: string, listenerName: string): number {
    const holdMs = this.#holdMs(listenerName);
    this.#count += 1;
    this.#countByHost.set(host, (this.#countByHost.get(host) ?? 0) + 1);
    this.#countByListener.set(listenerName, this.countOf(listenerName) + 1);
    const nowMs = this.#clock.nowMs();
    this.#nextMs = Math.max(this.#nextMs, nowMs) + pauseMs(this.#limits.maxCreationRate);
    const { maxCreationRate } = this.#limits.ofListener(listenerName);
    const nextMs = Math.max(this.#nextMsByListener.get(listenerName) ?? -Infinity, nowMs);
    this.#nextMsByListener.set(listenerName, nextMs + pauseMs(maxCreationRate));
    return holdMs;
  }

  remove(host: string, listenerName: string): void {
    this.#count -= 1;
    const ofHost = (this.#countByHost.get(host) ?? 1) - 1;
    if (ofHost === 0) this.#countByHost.delete(host);
    else this.#countByHost.set(host, ofHost);
    this.#countByListener.set(listenerName, this.countOf(listenerName) - 1);
  }

  #holdMs(listenerName: string): number {
    const nextMs = Math.max(this.#nextMs, this.#nextMsByListener.get(listenerName) ?? -Infinity);
    return Math.max(0, nextMs - BURST_MS - this.#clock.nowMs());
  }
}

/** Between two connections that come at that rate. */
function pauseMs(ratePerSecond: number): number {
  return 1000 / Math.max(1, ratePerSecond);
}
