import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { QuorumStateError } from "../raft/quorum-state.ts";
import { FaultRuleError } from "../storage/fault-file.ts";
import { DirectoryError } from "../storage/log-manager.ts";
import type { VolatileDisk } from "../storage/volatile-disk.ts";
import { type Broker, createBroker } from "./broker.ts";
import { type CommandLine, EXIT_CODES } from "./config-command-line.ts";
import type { BrokerConfig } from "./config-keys.ts";
import { describeDurability, durabilityOf } from "./durability.ts";
import { openAdminPort } from "./main-admin.ts";
import { openFilesLimit, openFilesWarning } from "./main-limits.ts";
import { createLogger } from "./main-logger.ts";
import { ListenError } from "./net/listeners.ts";
import { reachabilityWarning } from "./net/reachability.ts";
import { type NodePorts, nodePorts } from "./node-ports.ts";
import { startWithRoom } from "./start-with-room.ts";

/** A stop that takes longer is no stop: container runtimes kill after ten seconds. */
const STOP_TIMEOUT_MS = 9_500;

/** Under `npm start` a Ctrl-C comes twice, from the terminal and from npm; that is one wish, not two. */
const SAME_SIGNAL_MS = 500;

/** Flushing the page cache of holdfast.disk.page.cache=process on the way out of a failure. */
const FLUSH_TIMEOUT_MS = 5_000;

/** Runs the broker until a signal or a fatal error ends the process. Called once, by bin/broker. */
export async function main(command: CommandLine & { readonly kind: "run" }): Promise<void> {
  const { config, notices } = command.loaded;
  const { logger, levels } = await createLogger(config["holdfast.log.level"]);
  const { ports, volatileDisk, diskFaults } = await openPorts(config, logger);
  const life = new Process({ clock: ports.clock, logger, volatileDisk });
  if (diskFaults !== null) process.on("SIGHUP", () => diskFaults.reload());
  for (const { level, message } of notices) logger[level]({}, message);
  const maxOpenFiles = openFilesLimit();
  const warning = openFilesWarning(maxOpenFiles);
  if (warning !== null) logger.warn({}, warning);
  const limits = { logLevels: levels, ...(maxOpenFiles === null ? {} : { maxOpenFiles }) };
  const [directory = ""] = config["log.dirs"];
  try {
    const broker = await startWithRoom(
      ports,
      { directory, isWanted: () => !life.isStopping },
      async () => {
        const attempt = await createBroker(ports, config, limits);
        life.watch(attempt);
        await attempt.start();
        return attempt;
      },
    );
    if (broker === null) return;
    sayStarted(logger, command, broker);
    void sayUnreachable(broker, { clock: ports.clock, logger });
    void openAdminPort(broker, config["holdfast.admin.address"], { clock: ports.clock, logger });
  } catch (error) {
    await life.startFailed(error);
  }
}

async function openPorts(config: BrokerConfig, logger: Logger): Promise<NodePorts> {
  try {
    return await nodePorts(config, logger);
  } catch (error) {
    if (!(error instanceof FaultRuleError)) throw error;
    logger.fatal({}, error.message);
    return process.exit(EXIT_CODES.badConfiguration);
  }
}

function sayStarted(
  logger: Logger,
  { loaded: { config }, version }: CommandLine & { readonly kind: "run" },
  broker: Broker,
): void {
  const { listeners, clusterId } = broker;
  const places = listeners.map(({ name, host, port }) => `${host}:${port} (${name})`).join(", ");
  logger.info(
    { listeners, version, clusterId, nodeId: config["node.id"], directories: config["log.dirs"] },
    `listening on ${places}`,
  );
  logger.info({}, describeDurability(durabilityOf(broker.config)));
  const [first] = listeners;
  if (first === undefined) return;
  const bootstrap = `${first.host}:${first.port}`;
  logger.info(
    {},
    `next: point a Kafka client at ${bootstrap}, or run: node examples/orders.mjs --bootstrap ${bootstrap}`,
  );
}

/** Looked at when it serves: the address may be its own. */
async function sayUnreachable(
  { listeners }: Broker,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  for (const listener of listeners) {
    const warning = await reachabilityWarning(clock, listener);
    if (warning !== null) logger.warn({}, warning);
  }
}

interface ProcessDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly volatileDisk: VolatileDisk | null;
}

/** How this process may end. Every way but kill -9 writes back what VolatileDisk holds, as a kernel would. */
class Process {
  readonly #dependencies: ProcessDependencies;
  #broker: Broker | null = null;
  #stoppingSinceMs: number | null = null;

  constructor(dependencies: ProcessDependencies) {
    this.#dependencies = dependencies;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => void this.#onSignal(signal));
    }
    process.on("uncaughtException", (error) => void this.#onFatal(error));
    process.on("unhandledRejection", (reason) => void this.#onFatal(reason));
  }

  get isStopping(): boolean {
    return this.#stoppingSinceMs !== null;
  }

  watch(broker: Broker): void {
    this.#broker = broker;
  }

  /** The broker did not come up: one line that names the thing and the way out. */
  async startFailed(error: unknown): Promise<void> {
    const { logger } = this.#dependencies;
    // These say what is wrong and what to do about it; of anything else the stack is wanted.
    const isPlain =
      error instanceof DirectoryError ||
      error instanceof QuorumStateError ||
      error instanceof ListenError;
    if (isPlain) logger.fatal({}, error.message);
    else logger.fatal({ error }, "the broker cannot start");
    await this.#exit(isBadConfiguration(error) ? EXIT_CODES.badConfiguration : EXIT_CODES.fatal);
  }

  async #onSignal(signal: string): Promise<void> {
    const { clock, logger } = this.#dependencies;
    if (this.#stoppingSinceMs !== null) {
      if (clock.nowMs() - this.#stoppingSinceMs < SAME_SIGNAL_MS) return;
      logger.warn({}, `${signal} again: exiting without waiting`);
      await this.#exit(EXIT_CODES.fatal);
      return;
    }
    this.#stoppingSinceMs = clock.nowMs();
    logger.info({}, `${signal}: stopping`);
    clock.after(STOP_TIMEOUT_MS, () => {
      logger.error({}, `the stop took more than ${STOP_TIMEOUT_MS} ms: exiting without it`);
      void this.#exit(EXIT_CODES.fatal);
    });
    try {
      await this.#broker?.close();
    } catch (error) {
      logger.fatal({ error }, "the stop failed; the next start recovers");
      await this.#exit(EXIT_CODES.fatal);
      return;
    }
    logger.info({}, "stopped");
    await this.#exit(EXIT_CODES.clean);
  }

  async #onFatal(error: unknown): Promise<void> {
    this.#dependencies.logger.fatal({ error }, "a bug: exiting; the next start recovers");
    await this.#exit(EXIT_CODES.fatal);
  }

  async #exit(code: number): Promise<void> {
    const { clock, volatileDisk } = this.#dependencies;
    if (volatileDisk !== null) {
      clock.after(FLUSH_TIMEOUT_MS, () => process.exit(EXIT_CODES.fatal));
      await volatileDisk.flushAll();
    }
    process.exit(code);
  }
}

/** Whether other settings would help, rather than ending another process or repairing a directory. */
function isBadConfiguration(error: unknown): boolean {
  if (error instanceof ListenError) return error.isBadConfiguration;
  return (
    error instanceof DirectoryError &&
    ["OTHER_NODE", "OTHER_CLUSTER", "NO_CLUSTER_ID", "NOT_WRITABLE", "NAMED_TWICE"].includes(
      error.code,
    )
  );
}
