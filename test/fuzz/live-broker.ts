import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { must } from "../../src/base/assert.ts";
import type { Logger } from "../../src/base/logger.ts";
import { type Broker, createBroker } from "../../src/server/broker.ts";
import { resolveConfig } from "../../src/server/config.ts";
import { nodePorts } from "../../src/server/node-ports.ts";

/** Small limits, so that what a request may ask for is soon over; the rest is as shipped. */
const SETTINGS: Readonly<Record<string, string>> = {
  "process.roles": "broker,controller",
  "node.id": "1",
  listeners: "PLAINTEXT://127.0.0.1:0",
  "offsets.topic.replication.factor": "1",
  "offsets.topic.num.partitions": "2",
  "auto.create.topics.enable": "false",
  "group.initial.rebalance.delay.ms": "0",
  "group.min.session.timeout.ms": "100",
  "group.max.session.timeout.ms": "1000",
  "socket.request.max.bytes": "1048576",
};

/** A whole broker in this process, on the real disk and a real port. */
export interface LiveBroker {
  readonly port: number;
  /** Closes it and removes its data. */
  close(): Promise<void>;
}

/** `onBug` hears of every log line that says that something of ours is broken. */
export async function startBroker(onBug: (text: string) => void): Promise<LiveBroker> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-fuzz-"));
  const settings = Object.entries({ ...SETTINGS, "log.dirs": join(directory, "data") });
  const { config } = resolveConfig(
    settings.map(([key, value]) => ({ key, value, where: "the fuzzer" })),
  );
  const { ports } = await nodePorts(config, bugLogger(onBug));
  const broker: Broker = await createBroker(ports, config);
  await broker.start();
  return {
    port: must(broker.listeners[0], "it listens").port,
    close: async () => {
      await broker.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function bugLogger(onBug: (text: string) => void): Logger {
  const report = (facts: object, message: string): void => {
    const error = "error" in facts && facts.error instanceof Error ? facts.error : null;
    onBug(`logged: ${message} ${JSON.stringify({ ...facts, error: error?.stack })}`);
  };
  const ignore = (): void => undefined;
  const logger: Logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: report,
    fatal: report,
    child: () => logger,
  };
  return logger;
}
