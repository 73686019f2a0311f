import { BufferPool } from "../../base/buffer-pool.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Connection, Listener, Net } from "../../base/net.ts";
import type { ListenerConfig } from "../config-listeners.ts";
import { APIS } from "../../protocol/apis.ts";
import { ClientConnection, type StartRequest } from "./connection.ts";
import { MemoryBudget } from "../../base/memory-budget.ts";

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
  readonly maxRequestBytes: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
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

/** The ports for clients, and all connections that came in through them. */
export class Listeners {
  readonly #dependencies: ListenersDependencies;
  readonly #options: ListenersOptions;
  readonly #budget: MemoryBudget;
  readonly #pool = new BufferPool({ maxFreeBytes: MAX_FREE_FRAME_BYTES });
  readonly #connections = new Set<ClientConnection>();
  readonly #countByHost = new Map<string, number>();
  readonly #whenEmpty: (() => void)[] = [];
  readonly #bound = new Map<string, Listener>();
  #startRequest: StartRequest | null = null;
  readonly #whenServing: (() => void)[] = [];
  #nextConnection = 0;
  #isDraining = false;

  constructor(dependencies: ListenersDependencies, options: ListenersOptions) {
    this.#dependencies = dependencies;
    this.#options = options;
    this.#budget = new MemoryBudget(options.maxQueuedRequestBytes);
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
  }

  #accept(connection: Connection, listenerName: string): void {
    const host = connection.remoteAddress;
    const refusal = this.#refusal(host);
    if (refusal !== null) {
      this.#dependencies.logger.warn({ clientHost: host }, `refusing a connection: ${refusal}`);
      connection.destroy();
      return;
    }
    const client = new ClientConnection(
      {
        connection,
        clock: this.#dependencies.clock,
        logger: this.#dependencies.logger,
        budget: this.#budget,
        pool: this.#pool,
        startRequest: (frame, info, hooks) => this.#request(frame, info, hooks),
        mayOverlap: isProduce,
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
    this.#countByHost.set(host, (this.#countByHost.get(host) ?? 0) + 1);
    client.start();
  }

  #refusal(host: string): string | null {
    const { maxConnections, maxConnectionsPerIp } = this.#options;
    if (this.#isDraining) return "the broker is stopping";
    if (this.#connections.size >= maxConnections) {
      return `there are ${maxConnections} (max.connections)`;
    }
    return (this.#countByHost.get(host) ?? 0) >= maxConnectionsPerIp
      ? `there are ${maxConnectionsPerIp} from this address (max.connections.per.ip)`
      : null;
  }

  #request(...request: Parameters<StartRequest>): ReturnType<StartRequest> {
    if (this.#startRequest !== null) return this.#startRequest(...request);
    // In the moment between taking the port and being ready.
    return new Promise((resolve) => {
      this.#whenServing.push(() => resolve(this.#request(...request)));
    });
  }

  #forget(client: ClientConnection, host: string): void {
    this.#connections.delete(client);
    const count = (this.#countByHost.get(host) ?? 1) - 1;
    if (count === 0) this.#countByHost.delete(host);
    else this.#countByHost.set(host, count);
    if (this.#connections.size > 0) return;
    for (const wake of this.#whenEmpty.splice(0)) wake();
  }
}

/** Producers keep several requests in flight, and one sync shall cover them all (group commit). */
function isProduce(frame: Buffer): boolean {
  return frame.length >= 2 && frame.readInt16BE(0) === APIS.produce.key;
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
