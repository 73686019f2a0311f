import type { Logger } from "../base/logger.ts";
import type { Offload } from "../base/offload.ts";
import type { Ports } from "../base/ports.ts";
import type { Random } from "../base/random.ts";
import { type Broker, createBroker } from "../server/broker.ts";
import type { BrokerConfig } from "../server/config-keys.ts";
import { ProcessClock, type SimClock } from "./sim-clock.ts";
import type { ProcessDisk, SimDisk } from "./sim-disk.ts";
import type { SimHost, SimNet } from "./sim-net.ts";
import type { Trace } from "./trace.ts";
import { traced } from "./traced-ports.ts";

export interface SimMachineDependencies {
  readonly clock: SimClock;
  readonly net: SimNet;
  readonly disk: SimDisk;
  readonly random: Random;
  readonly offload: Offload;
  readonly trace: Trace;
  /** A broker that complains without a fault of its disk has one of its own. */
  readonly onComplaint: (message: string) => void;
  /** For tests of the simulator: puts something between the broker and its ports. */
  readonly bend: (ports: Ports) => Ports;
}

interface Process {
  readonly clock: ProcessClock;
  readonly disk: ProcessDisk;
  readonly host: SimHost;
  broker: Broker | null;
}

/** A machine that runs one broker process, and can lose it, or its power, at any time. */
export class SimMachine {
  readonly #dependencies: SimMachineDependencies;
  readonly #config: BrokerConfig;
  #process: Process | null = null;
  #startCount = 0;

  constructor(dependencies: SimMachineDependencies, config: BrokerConfig) {
    this.#dependencies = dependencies;
    this.#config = config;
  }

  get isRunning(): boolean {
    return this.#process !== null;
  }

  /** Starts a process on what the disk holds. Resolves when it serves; never, if it is killed before. */
  async start(): Promise<void> {
    const { clock, net, disk, random, offload, trace, bend } = this.#dependencies;
    this.#startCount += 1;
    const name = `broker-${this.#startCount}`;
    trace.add("start", name);
    const process: Process = {
      clock: new ProcessClock(clock),
      disk: disk.process(),
      host: net.host(),
      broker: null,
    };
    this.#process = process;
    const ports = {
      clock: process.clock,
      disk: process.disk,
      net: process.host,
      random: random.fork(name),
      offload,
      logger: this.#logger(),
      openRpc: () => Promise.reject(new Error("there is one node")),
    };
    const broker = await createBroker(bend(traced(ports, trace)), this.#config);
    process.broker = broker;
    await broker.start();
    trace.add("started", name);
  }

  /** kill -9: what the process had written is in the page cache, all else is gone. */
  kill(): void {
    this.#dependencies.trace.add("kill");
    this.#end();
  }

  /** Pulls the plug. Returns how the unsynced bytes of the files fared. */
  cutPower(): ReturnType<SimDisk["cutPower"]> {
    this.#end();
    const fates = this.#dependencies.disk.cutPower();
    this.#dependencies.trace.add("power cut");
    for (const { path, survival } of fates) this.#dependencies.trace.add("fate", path, survival);
    return fates;
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    const process = this.#process;
    this.#dependencies.trace.add("stop");
    await process?.broker?.close();
    if (this.#process === process) this.#end();
  }

  #end(): void {
    const process = this.#process;
    this.#process = null;
    process?.clock.kill();
    process?.disk.kill();
    process?.host.kill();
  }

  #logger(): Logger {
    const { onComplaint } = this.#dependencies;
    const ignore = (): void => undefined;
    const complain = (facts: object, message: string): void => {
      const error: unknown = Reflect.get(facts, "error");
      onComplaint(error instanceof Error ? `${message}: ${error.stack ?? error.message}` : message);
    };
    const logger: Logger = {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: complain,
      fatal: complain,
      child: () => logger,
    };
    return logger;
  }
}
