import type { FastifyInstance } from "fastify";
import { performance } from "node:perf_hooks";
import type { Registry } from "prom-client";
import { assert } from "../base/assert.ts";
import type { HealthCheck } from "./health.ts";
import { MetricsText } from "./metrics-text.ts";

/** What the admin port asks of the broker. */
export interface ObservedBroker {
  health(): readonly HealthCheck[];
  /** In the text form of Prometheus. */
  metrics(): Promise<string>;
}

/** Scrapers and probes are few; nobody else is to make the broker hold anything here. */
const MAX_CONNECTIONS = 64;
const TIMEOUT_MS = 10_000;

/**
 * The HTTP port for whoever watches over the broker: `/livez` (the process answers), `/readyz` (clients
 * may come; named checks) and `/metrics`. Opened when requests are served already: what it is made of
 * takes a tenth of a second to load.
 */
export class AdminHttp {
  readonly #server: FastifyInstance;
  readonly port: number;

  private constructor(server: FastifyInstance, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Rejects with what the operating system says when the address cannot be bound. */
  static async open(
    broker: ObservedBroker,
    address: { readonly host: string; readonly port: number },
  ): Promise<AdminHttp> {
    const { default: fastify } = await import("fastify");
    const server = fastify({
      connectionTimeout: TIMEOUT_MS,
      requestTimeout: TIMEOUT_MS,
      keepAliveTimeout: TIMEOUT_MS,
      bodyLimit: 1,
      forceCloseConnections: true,
    });
    server.server.maxConnections = MAX_CONNECTIONS;
    const processMetrics = await openProcessMetrics();
    server.get("/livez", () => ({ status: "alive" }));
    server.get("/readyz", (_request, reply) => {
      const checks = broker.health();
      const isReady = checks.every(({ isHealthy }) => isHealthy);
      void reply.code(isReady ? 200 : 503);
      return {
        status: isReady ? "ready" : "not ready",
        checks: checks.map(({ name, isHealthy, detail }) => ({ name, ok: isHealthy, detail })),
      };
    });
    server.get("/metrics", async (_request, reply) => {
      void reply.type(processMetrics.registry.contentType);
      const ofBroker = await broker.metrics();
      return `${ofBroker}${processMetrics.idleness()}${await processMetrics.registry.metrics()}`;
    });
    try {
      await server.listen({ host: address.host, port: address.port });
    } catch (error) {
      await server.close();
      throw error;
    }
    const bound = server.server.address();
    assert(bound !== null && typeof bound === "object", "it listens on a port");
    return new AdminHttp(server, bound.port);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#server.close();
  }
}

interface ProcessMetrics {
  /** prom-client's: memory, CPU, open files, garbage collection, the event loop's delay. */
  readonly registry: Registry;
  /** How much of the time since the last call the event loop had nothing to do. */
  idleness(): string;
}

async function openProcessMetrics(): Promise<ProcessMetrics> {
  const { collectDefaultMetrics, Registry } = await import("prom-client");
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  let last = performance.eventLoopUtilization();
  return {
    registry,
    idleness: () => {
      const now = performance.eventLoopUtilization();
      const idle = 1 - performance.eventLoopUtilization(now, last).utilization;
      last = now;
      const text = new MetricsText();
      // One thread does what Kafka has two kinds of threads for.
      for (const name of [
        "kafka_network_socketserver_networkprocessoravgidle_percent",
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
      ]) {
        text.single(name, "gauge", "Share of the time in which the event loop was idle.", idle);
      }
      return text.toString();
    },
  };
}

/** `host:port`, `[::1]:port`; null: it is none. */
export function parseAdminAddress(
  text: string,
): { readonly host: string; readonly port: number } | null {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return null;
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}
