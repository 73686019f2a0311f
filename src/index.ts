import { type Logger, SILENT_LOGGER } from "./base/logger.ts";
import { createBroker as composeBroker } from "./server/broker.ts";
import { EMBEDDED_SETTINGS, resolveConfig } from "./server/config.ts";
import { nodePorts } from "./server/node-ports.ts";

export { KafkaError } from "./protocol/errors.ts";

/** A broker inside another program, a test for instance. */
export interface BrokerOptions {
  /**
   * Kafka's own settings, on top of one node at 127.0.0.1:9092 with its data under ./data. Listen on port
   * 0 for a free one.
   */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Default: silence. */
  readonly logger?: Logger;
}

export interface EmbeddedBroker {
  /** Where clients reach it. */
  readonly listeners: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
  }[];
  /** Finishes requests in work, flushes, and frees the port and the directories. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a broker in this process; resolves when it serves. Rejects with a message that names the
 * setting, the port or the directory that is at fault.
 */
export async function createBroker(options: BrokerOptions = {}): Promise<EmbeddedBroker> {
  const logger = options.logger ?? SILENT_LOGGER;
  const own = Object.entries(options.settings ?? {}).map(([key, value]) => ({
    key,
    value: String(value),
    where: "createBroker",
  }));
  const { config, notices } = resolveConfig([...EMBEDDED_SETTINGS, ...own]);
  for (const { level, message } of notices) logger[level]({}, message);
  const { ports, volatileDisk } = await nodePorts(config, logger);
  const broker = await composeBroker(ports, config);
  await broker.start();
  return {
    listeners: broker.listeners,
    close: async () => {
      await broker.close();
      await volatileDisk?.flushAll();
    },
  };
}
