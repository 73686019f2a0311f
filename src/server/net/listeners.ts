import { BufferPool } from "../../base/buffer-pool.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Connection, Listener, Net } from "../../base/net.ts";
import type { ListenerConfig } from "../config-listeners.ts";
import { MemoryBudget } from "../../base/memory-budget.ts";
import { APIS, apiByKey } from "../../protocol/apis.ts";
import { includesVersion } from "../../protocol/schema.ts";
import { QuietLogger } from "../quiet-logger.ts";
import { ClientConnection, type StartRequest } from "./connection.ts";
import { ConnectionCounts, type ConnectionLimits } from "./connection-limits.ts";
import { ReadingTurns } from "./reading-turns.ts";
import { TurnTime } from "./turn-time.ts";

/** A bound listener, and what clients are told of it. */
export interface BoundListener {
  readonly name: string;
  /** As advertised: clients reach the broker here. */
  readonly host: string;
  readonly port: number;
}

export interface ListenersDependencies {
  readonly net: Net;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ListenersOptions {
  readonly listeners: readonly ListenerConfig[];
  /** Read at each connection: they may change. */
  readonly limits: ConnectionLimits;
  readonly maxRequestBytes: number;
  readonly maxIdleMs: number;
  readonly maxQueuedRequestBytes: number;
}

/** A port cannot be bound. The message names it and the way out. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  /** Whether other settings would help, rather than ending another process. */
  readonly isBadConfiguration: boolean;

  constructor(message: string, isBadConfiguration: boolean, options: ErrorOptions) {
    super(message, options);
    this.isBadConfiguration = isBadConfiguration;
  }
}

/** Memory of frames that waits for the next ones. */
const MAX_FREE_FRAME_BYTES = 16 * 1024 * 1024;

/** While memory is tight it is looked so often who holds some for too long. */
const PRESSURE_CHECK_MS = 1_000;

/** Requests whose answers grow with what the node has, and not with what was asked. */
const LARGE_ANSWERS: ReadonlySet<number> = new Set(
  [
    APIS.metadata,
    APIS.describeTopicPartitions,
    APIS.describeConfigs,
    APIS.describeLogDirs,
    APIS.describeGroups,
    APIS.listGroups,
    APIS.offsetFetch,
    APIS.electLeaders,
    APIS.listConfigResources,
    APIS.describeProducers,
  ].map(({ key }) => key),
);

/** The ports for clients, and all connections that came in through them. */
export class Listeners {
  readonly #dependencies: ListenersDependencies;
  readonly #options: ListenersOptions;
  readonly #logger: QuietLogger;
  readonly #counts: ConnectionCounts;
  /** What clients make this node hold; fetches count here, too. */
  readonly budget: MemoryBudget;
  readonly #turns = new ReadingTurns();
  readonly #turnTime: TurnTime;
  readonly #pool = new BufferPool({ maxFreeBytes: MAX_FREE_FRAME_BYTES });
  readonly #connections = new Set<ClientConnection>();
  /** Those of them that have not shown yet that they speak Kafka's protocol, oldest first. */
  readonly #strangers = new Map<ClientConnection, string>();
  #refusedCount = 0;
  readonly #whenEmpty: (() => void)[] = [];
  readonly #bound = new Map<string, Listener>();
  #startRequest: StartRequest | null = null;
  readonly #whenServing: (() => void)[] = [];
  #nextConnection = 0;
  #isDraining = false;
  #pressureTimer: Timer | null = null;

  constructor(dependencies: ListenersDependencies, options: ListenersOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#logger = new QuietLogger(dependencies);
    this.#counts = new ConnectionCounts(dependencies.clock, options.limits);
    this.budget = new MemoryBudget(options.maxQueuedRequestBytes);
    this.#turnTime = new TurnTime(dependencies.clock);
    this.budget.setPressureListener(() => this.#watchPressure());
  }

  /** Connections of each listener, by its name. */
  get connectionCounts(): ReadonlyMap<string, number> {
    return new Map(this.#options.listeners.map(({ name }) => [name, this.#counts.countOf(name)]));
  }

  /** Connections that were refused since the start. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Where clients reach each listener; those on port 0 are here once `bindFreePorts` is done. */
  get bound(): readonly BoundListener[] {
    return this.#options.listeners.flatMap((config) => {
      const port = this.#bound.get(config.name)?.port ?? config.port;
      if (port === 0) return [];
      const { name, advertisedHost: host, advertisedPort } = config;
      return [{ name, host, port: advertisedPort === 0 ? port : advertisedPort }];
    });
  }

  /**
   * Takes the ports that are free to choose: the broker registers itself with their numbers before it
   * serves. Requests that come already wait. Throws ListenError.
   */
  bindFreePorts(): Promise<void> {
    return this.#bind(this.#options.listeners.filter(({ port }) => port === 0));
  }

  /**
   * Takes the other ports and begins to answer. Last of all: an open port says that the broker is
   * ready. Throws ListenError.
   */
  async serve(startRequest: StartRequest): Promise<void> {
    await this.#bind(this.#options.listeners.filter(({ port }) => port !== 0));
    this.#startRequest = startRequest;
    for (const start of this.#whenServing.splice(0)) start();
  }

  async #bind(configs: readonly ListenerConfig[]): Promise<void> {
    for (const config of configs) {
      try {
        const listener = await this.#dependencies.net.listen(config, (connection) =>
          this.#accept(connection, config.name),
        );
        this.#bound.set(config.name, listener);
      } catch (error) {
        throw listenError(config, error);
      }
    }
  }

  /** Accepts no more connections and no more requests; what is in work is still answered. */
  async stop(): Promise<void> {
    this.#isDraining = true;
    for (const connection of [...this.#connections]) connection.drain();
    await Promise.all([...this.#bound.values()].map((listener) => listener.close()));
  }

  /** After `stop`: resolves when everything is answered, or `timeoutMs` later. */
  async drained(timeoutMs: number): Promise<void> {
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#dependencies.clock.after(timeoutMs, resolve);
      this.#whenEmpty.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Stops, waits for what is in work for up to `timeoutMs`, and closes the rest. Idempotent. */
  async close(timeoutMs: number): Promise<void> {
    await this.stop();
    await this.drained(timeoutMs);
    for (const connection of [...this.#connections]) connection.destroy();
    await this.drained(timeoutMs);
    this.#pressureTimer?.cancel();
  }

  #accept(connection: Connection, listenerName: string): void {
    const host = connection.remoteAddress;
    const refusal = this.#refusal(host, listenerName);
    if (refusal !== null) {
      this.#refusedCount += 1;
      const facts = { clientHost: host, listenerName };
      this.#logger.warn(facts, `refusing a connection: ${refusal}`);
      connection.destroy();
      return;
    }
    const client = new ClientConnection(
      {
        connection,
        clock: this.#dependencies.clock,
        logger: this.#logger,
        budget: this.budget,
        turns: this.#turns,
        turnTime: this.#turnTime,
        pool: this.#pool,
        startRequest: (frame, info, hooks) => this.#request(frame, info, hooks),
        mayOverlap: isProduce,
        needsNoRoom: (frame) => !LARGE_ANSWERS.has(apiKeyOf(frame)),
        admitsLarge: beginsLikeARequest,
        onKnown: () => this.#strangers.delete(client),
        onClosed: () => this.#forget(client, host),
      },
      {
        connectionId: connectionIdOf(connection, this.#nextConnection++),
        listenerName,
        maxRequestBytes: this.#options.maxRequestBytes,
        maxIdleMs: this.#options.maxIdleMs,
      },
    );
    this.#connections.add(client);
    this.#strangers.set(client, listenerName);
    client.start(this.#counts.add(host, listenerName));
  }

  #refusal(host: string, listenerName: string): string | null {
    if (this.#isDraining) return "the broker is stopping";
    let refusal = this.#counts.refusal(host, listenerName);
    if (refusal?.kind === "full" && this.#dropStranger(listenerName)) {
      refusal = this.#counts.refusal(host, listenerName);
    }
    return refusal?.reason ?? null;
  }

  /** Makes room: of those who have not said anything sensible yet, the one that had the most time to. */
  #dropStranger(listenerName: string): boolean {
    for (const [stranger, itsListener] of this.#strangers) {
      if (itsListener !== listenerName) continue;
      stranger.destroy();
      this.#forget(stranger, stranger.clientHost);
      return true;
    }
    return false;
  }

  #watchPressure(): void {
    this.#pressureTimer ??= this.#dependencies.clock.after(PRESSURE_CHECK_MS, () => {
      this.#pressureTimer = null;
      if (!this.budget.isTight) return;
      for (const connection of [...this.#connections]) connection.maybeCutOff();
      this.#watchPressure();
    });
  }

  #request(...request: Parameters<StartRequest>): ReturnType<StartRequest> {
    if (this.#startRequest !== null) return this.#startRequest(...request);
    // In the moment between taking the port and being ready.
    return new Promise((resolve) => {
      this.#whenServing.push(() => resolve(this.#request(...request)));
    });
  }

  /** Once, at the latest when it has closed. */
  #forget(client: ClientConnection, host: string): void {
    if (!this.#connections.delete(client)) return;
    this.#strangers.delete(client);
    this.#counts.remove(host, client.listenerName);
    if (this.#connections.size > 0) return;
    for (const wake of this.#whenEmpty.splice(0)) wake();
  }
}

/** Producers keep several requests in flight, and one sync shall cover them all (group commit). */
function isProduce(frame: Buffer): boolean {
  return apiKeyOf(frame) === APIS.produce.key;
}

/** -1: it is too short to have one. */
function apiKeyOf(frame: Buffer): number {
  return frame.length >= 2 ? frame.readInt16BE(0) : -1;
}

/**
 * Nobody has to say who he is here: who sends a large frame has to send a request at least. The bytes of
 * a stream that is not Kafka's are told from it by the first four.
 */
function beginsLikeARequest(head: Buffer): boolean {
  const api = apiByKey(apiKeyOf(head));
  return api !== undefined && includesVersion(api.request.versions, head.readInt16BE(2));
}

/** Kafka's form, local and remote address and a number that makes it unique. */
function connectionIdOf(connection: Connection, number: number): string {
  const { localAddress, localPort, remoteAddress, remotePort } = connection;
  return `${localAddress}:${localPort}-${remoteAddress}:${remotePort}-${number}`;
}

function listenError(config: ListenerConfig, error: unknown): ListenError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  const place = `${config.host === "" ? "*" : config.host}:${config.port}`;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "is in use: stop the other process, or choose another port in listeners",
    EACCES: "may not be bound by this user: choose a port from 1024 up in listeners",
    EADDRNOTAVAIL: "is not an address of this host: name one in listeners",
    ENOTFOUND: "does not resolve to an address: name one in listeners",
  };
  const reason = reasons[code] ?? `cannot be bound (${code})`;
  const isBadConfiguration = code in reasons && code !== "EADDRINUSE";
  const message = `listener ${config.name}: ${place} ${reason}`;
  return new ListenError(message, isBadConfiguration, { cause: error });
}
