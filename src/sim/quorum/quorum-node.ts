import type { Uuid } from "../../base/ids.ts";
import type { Logger } from "../../base/logger.ts";
import type { Offload } from "../../base/offload.ts";
import type { Random } from "../../base/random.ts";
import type { Rpc } from "../../base/rpc.ts";
import type { RaftClient } from "../../raft/raft-client.ts";
import { type Broker, createBroker } from "../../server/broker.ts";
import type { BrokerConfig } from "../../server/config-keys.ts";
import { FaultyDisk } from "../../storage/faulty-disk.ts";
import { ProcessClock, type SimClock } from "../sim-clock.ts";
import { type ProcessDisk, SimDisk } from "../sim-disk.ts";
import type { SimHost, SimNet } from "../sim-net.ts";
import type { SimRpcHost, SimRpcNet } from "../sim-rpc.ts";
import type { Trace } from "../trace.ts";
import { traced } from "../traced-ports.ts";
import { Gate, gated } from "./gate.ts";
import { PlatterLog } from "./platter-log.ts";

/** What looks at a node from inside. */
export interface NodeWatcher {
  /** Stands between a process and its quorum's log. */
  watchRaft(node: QuorumNode, raft: RaftClient): RaftClient;
  /** Sees what a process sends to others, and gets from them. */
  watchRpc(node: QuorumNode, rpc: Rpc): Rpc;
  /** A process has given up: why. */
  onRefusal(node: QuorumNode, error: unknown): void;
  onLog(node: QuorumNode, level: string, facts: object, message: string): void;
}

export interface QuorumNodeDependencies {
  readonly clock: SimClock;
  readonly net: SimNet;
  readonly rpc: SimRpcNet;
  readonly random: Random;
  readonly offload: Offload;
  readonly trace: Trace;
  readonly watcher: NodeWatcher;
}

export interface QuorumNodeOptions {
  readonly nodeId: number;
  readonly isBroker: boolean;
  readonly isController: boolean;
  /** Where clients reach it. */
  readonly clientPort: number;
  readonly logDirectory: string;
  readonly config: BrokerConfig;
}

export interface NodeProcess {
  readonly number: number;
  readonly clock: ProcessClock;
  readonly disk: ProcessDisk;
  readonly faults: FaultyDisk;
  readonly host: SimHost;
  readonly rpc: SimRpcHost;
  readonly gate: Gate;
  broker: Broker | null;
  raft: RaftClient | null;
  /** Whether it serves. */
  isStarted: boolean;
  isStopping: boolean;
}

/** A machine of the cluster: shipped code on a disk, a network and a clock that can all go wrong. */
export class QuorumNode {
  readonly options: QuorumNodeOptions;
  readonly #dependencies: QuorumNodeDependencies;
  disk: SimDisk;
  platter: PlatterLog;
  process: NodeProcess | null = null;
  /** Of the last process that had one; null: none yet. */
  directoryId: Uuid | null = null;
  /** Of each start since a registration of this node was last committed: whether it may call itself clean. */
  cleanStarts: boolean[] = [];
  /** The vote file was damaged or lost: this disk must never vote again (K18). */
  hasLostItsVote = false;
  /** Its disk was wiped or rolled back: what it had promised is gone. */
  wipeCount = 0;
  wallOffsetMs = 0;
  startCount = 0;

  constructor(dependencies: QuorumNodeDependencies, options: QuorumNodeOptions) {
    this.#dependencies = dependencies;
    this.options = options;
    this.disk = this.#newDisk();
    this.platter = new PlatterLog(this.disk.platter, options.logDirectory);
  }

  get id(): number {
    return this.options.nodeId;
  }

  /** As its addresses have it. */
  get machine(): string {
    return `n${this.id}`;
  }

  get isRunning(): boolean {
    return this.process !== null;
  }

  /** Starts a process on what the disk holds; resolves when it serves or has given up, never if it dies. */
  async start(): Promise<void> {
    const { clock, net, rpc, random, offload, trace, watcher } = this.#dependencies;
    if (this.process !== null) return;
    this.startCount += 1;
    this.cleanStarts.push(this.#hasCleanMark());
    const name = `${this.machine}-${this.startCount}`;
    trace.add("start", name);
    const processClock = new ProcessClock(clock);
    const processDisk = this.disk.process();
    const process: NodeProcess = {
      number: this.startCount,
      clock: processClock,
      disk: processDisk,
      faults: new FaultyDisk({ disk: processDisk, clock: processClock }),
      host: net.host(),
      rpc: rpc.host(this.machine),
      gate: new Gate(clock),
      ...{ broker: null, raft: null, isStarted: false, isStopping: false },
    };
    this.process = process;
    const ports = {
      clock: process.clock,
      disk: process.faults,
      net: process.host,
      random: random.fork(name),
      offload,
      logger: this.#logger(),
      openRpc: () => Promise.resolve(watcher.watchRpc(this, process.rpc)),
    };
    const shown = traced(
      gated(ports, process.gate, () => this.wallOffsetMs),
      trace,
    );
    try {
      process.broker = await createBroker(shown, this.options.config, {
        watchRaft: (raft) => {
          process.raft = raft;
          return watcher.watchRaft(this, raft);
        },
      });
      await process.broker.start();
      process.isStarted = true;
      trace.add("started", name);
    } catch (error) {
      trace.add("refused", name, error instanceof Error ? error.message : String(error));
      if (this.process !== process) return;
      this.#end("kill");
      watcher.onRefusal(this, error);
    }
  }

  /** kill -9: what the process had written is in the page cache, all else is gone. */
  kill(): void {
    if (this.process === null) return;
    this.#dependencies.trace.add("kill", this.machine);
    this.#end("kill");
  }

  /** The others see nothing of it until it is back, or they miss it. */
  cutPower(): void {
    this.#dependencies.trace.add("power cut", this.machine);
    this.#end("power");
    for (const { path, survival } of this.disk.cutPower())
      this.#dependencies.trace.add("fate", path, survival);
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    const { process } = this;
    if (process === null || process.isStopping) return;
    this.#dependencies.trace.add("stop", this.machine);
    process.isStopping = true;
    try {
      await process.broker?.close();
    } catch {
      // Handled: what did not close as it should is recovered by the next start.
    }
    if (this.process === process) this.#end("kill");
  }

  /** One bit of the vote's file is another; the machine has no power. False: there is no such file yet. */
  damageVote(chance: number): boolean {
    const { platter } = this.disk;
    const path = `${this.options.logDirectory}/__cluster_metadata-0/quorum-state`;
    const bytes = platter.files().get(path);
    if (bytes === undefined || bytes.length === 0) return false;
    const damaged = Buffer.from(bytes);
    const at = chance % damaged.length;
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (chance % 7));
    void platter.openNow(path).writev([damaged], 0);
    this.hasLostItsVote = true;
    return true;
  }

  /** A new disk in its place: the node has its id, and nothing of what it had promised. */
  wipe(): void {
    this.kill();
    this.#dependencies.trace.add("wipe", this.machine);
    this.wipeCount += 1;
    this.directoryId = null;
    this.hasLostItsVote = false;
    this.disk = this.#newDisk();
    this.platter = new PlatterLog(this.disk.platter, this.options.logDirectory);
  }

  #end(how: "kill" | "power"): void {
    const { process } = this;
    this.process = null;
    if (process === null) return;
    process.gate.kill();
    process.clock.kill();
    process.disk.kill();
    process.host.kill();
    if (how === "power") process.rpc.cutPower();
    else process.rpc.kill();
  }

  /** A process that dies before it has removed the mark has done nothing that would make it untrue. */
  #hasCleanMark(): boolean {
    return this.disk.platter.files().has(`${this.options.logDirectory}/.kafka_cleanshutdown`);
  }

  #newDisk(): SimDisk {
    const { clock, random } = this.#dependencies;
    return new SimDisk(
      { clock, random: random.fork(`disk-${this.machine}-${this.wipeCount}`) },
      { directories: [this.options.logDirectory], writebackAgeMs: 1_000 },
    );
  }

  #logger(): Logger {
    const { watcher } = this.#dependencies;
    const at =
      (level: string) =>
      (facts: object, message: string): void =>
        watcher.onLog(this, level, facts, message);
    const ignore = (): void => undefined;
    const logger: Logger = {
      debug: ignore,
      info: ignore,
      warn: at("warn"),
      error: at("error"),
      fatal: at("fatal"),
      child: () => logger,
    };
    return logger;
  }
}
