import { must } from "../../src/base/assert.ts";
import type { Disk, DiskError } from "../../src/base/disk.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import { type Random, randomBelow, randomUuid, SeededRandom } from "../../src/base/random.ts";
import { TimerQueue } from "../../src/base/timer-queue.ts";
import { DEFAULT_TIMING } from "../../src/raft/core/state.ts";
import type { ReplicaKey } from "../../src/raft/core/voters.ts";
import { RaftDriver } from "../../src/raft/driver.ts";
import { formQuorum } from "../../src/raft/form-quorum.ts";
import type {
  CommittedBatch,
  LeaderAndEpoch,
  RaftListener,
  SnapshotPart,
} from "../../src/raft/raft-client.ts";
import type {
  RaftMessage,
  RaftTransport,
  RaftTransportListener,
} from "../../src/raft/transport.ts";
import { ProcessClock, SimClock } from "../../src/sim/sim-clock.ts";
import { type ProcessDisk, SimDisk } from "../../src/sim/sim-disk.ts";
import { FaultyDisk } from "../../src/storage/faulty-disk.ts";
import { QuorumChecks } from "./quorum-checks.ts";
import { LOG_DIRECTORY, settle } from "./sim-world.ts";

export const CLUSTER_ID = "q1Sh-9_ISia_zwGINzRvyQ";
export const METADATA_DIRECTORY = `${LOG_DIRECTORY}/__cluster_metadata-0`;

/** A state machine that keeps what it is told, and says so to the checks. */
class Application implements RaftListener {
  readonly values: string[] = [];
  leader: LeaderAndEpoch | null = null;
  failure: Error | null = null;
  readonly #machine: Machine;
  readonly #checks: QuorumChecks;

  constructor(machine: Machine, checks: QuorumChecks) {
    this.#machine = machine;
    this.#checks = checks;
  }

  onCommitted(batches: readonly CommittedBatch[]): void {
    for (const batch of batches) {
      this.#checks.onDelivered(this.#machine, batch);
      this.values.push(...batch.records.map(String));
    }
  }

  onSnapshot({ endOffset, records, isFirst, isLast }: SnapshotPart): void {
    if (isFirst) this.values.length = 0;
    this.values.push(...records.map(String));
    if (!isLast) return;
    this.#checks.onSnapshot(this.#machine, endOffset, this.values);
  }

  onSnapshotDue(): void {
    const { deliveredOffset, process } = this.#machine;
    const records = this.values.map((value) => Buffer.from(value));
    void process?.driver?.createSnapshot(deliveredOffset, 1_000, records);
  }

  onLeaderChange(leader: LeaderAndEpoch): void {
    this.failure = null;
    this.leader = leader;
    this.#checks.onLeaderTold(this.#machine, leader);
  }

  onFailure(error: Error): void {
    this.failure = error;
    this.leader = null;
  }
}

interface Process {
  readonly disk: ProcessDisk;
  readonly faults: FaultyDisk;
  readonly clock: ProcessClock;
  readonly transport: SimTransport;
  readonly application: Application;
  driver: RaftDriver | null;
  /** Why it did not start. */
  refusal: unknown;
  diskFailure: DiskError | null;
}

export interface Machine {
  key: ReplicaKey;
  disk: SimDisk;
  process: Process | null;
  startCount: number;
  /** Offset after the last batch that this incarnation was given. */
  deliveredOffset: number;
  /** Of that batch. */
  deliveredEpoch: number;
}

/** Best effort in virtual time: each message takes its own way. */
class SimTransport implements RaftTransport {
  listener: RaftTransportListener | null = null;
  isClosed = false;
  readonly #world: QuorumWorld;
  readonly #from: Machine;

  constructor(world: QuorumWorld, from: Machine) {
    this.#world = world;
    this.#from = from;
  }

  send(to: number, message: RaftMessage): void {
    if (!this.isClosed) this.#world.send(this.#from, to, message);
  }

  setListener(listener: RaftTransportListener | null): void {
    this.listener = listener;
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

/**
 * Real drivers on simulated disks, with a network between them and virtual time. What is said, delivered
 * and found on the platters is checked all the way (QuorumChecks).
 */
export class QuorumWorld {
  readonly clock = new SimClock();
  readonly random: Random;
  readonly machines: readonly Machine[];
  readonly voters: readonly ReplicaKey[];
  readonly checks: QuorumChecks;
  /** Whoever plants a bug gives the processes another disk. */
  bend: (disk: Disk) => Disk = (disk) => disk;
  /** A snapshot is due after so many bytes. */
  snapshotBytes = 20 * 1024 * 1024;
  lossPerMille = 0;
  latePerMille = 0;
  /** Offered by clients so far, and of them what was answered. */
  readonly offered: string[] = [];
  readonly acked = new Set<string>();
  #offeredAtMs = 0;
  readonly #net: Random;
  readonly #cuts = new Set<string>();

  constructor(options: {
    readonly seed: number;
    readonly voterCount: number;
    readonly observerCount: number;
  }) {
    this.random = new SeededRandom(`quorum-${options.seed}`);
    this.#net = this.random.fork("net");
    const ids = this.random.fork("ids");
    const count = options.voterCount + options.observerCount;
    const keys = Array.from({ length: count }, (_, index) => ({
      nodeId: index + 1,
      directoryId: randomUuid(ids),
    }));
    this.voters = keys.slice(0, options.voterCount);
    this.machines = keys.map((key) => ({
      key,
      disk: this.#newDisk(`${key.nodeId}`),
      process: null,
      startCount: 0,
      deliveredOffset: 0,
      deliveredEpoch: 0,
    }));
    this.checks = new QuorumChecks(this.voters, this.machines);
  }

  machine(nodeId: number): Machine {
    return must(
      this.machines.find(({ key }) => key.nodeId === nodeId),
      "there is such a machine",
    );
  }

  get live(): readonly Machine[] {
    return this.machines.filter(({ process }) => process !== null);
  }

  start(machine: Machine): void {
    if (machine.process !== null) return;
    machine.startCount += 1;
    machine.deliveredOffset = 0;
    const name = `process-${machine.key.nodeId}-${machine.startCount}`;
    const clock = new ProcessClock(this.clock);
    const disk = machine.disk.process();
    const process: Process = {
      disk,
      faults: new FaultyDisk({ disk: this.bend(disk), clock }),
      clock,
      transport: new SimTransport(this, machine),
      application: new Application(machine, this.checks),
      driver: null,
      refusal: null,
      diskFailure: null,
    };
    machine.process = process;
    void this.#open(machine, process, this.random.fork(name)).catch((error: unknown) => {
      process.refusal = error;
    });
  }

  async #open(machine: Machine, process: Process, random: Random): Promise<void> {
    const { key } = machine;
    const { clock, faults: disk, transport } = process;
    const timers = new TimerQueue(clock);
    const voters = await formQuorum(
      { disk, clock, transport, logger: SILENT_LOGGER },
      {
        logDirectory: LOG_DIRECTORY,
        self: key,
        clusterId: CLUSTER_ID,
        voterIds: this.voters.map(({ nodeId }) => nodeId),
      },
      new AbortController().signal,
    );
    process.driver = await RaftDriver.open(
      { disk, clock, timers, random, logger: SILENT_LOGGER },
      {
        logDirectory: LOG_DIRECTORY,
        ...key,
        onDiskFailure: (error) => {
          process.diskFailure ??= error;
          // As the directory's health does, which all logs in it share.
          process.driver?.log.fail(error);
        },
        peers: {
          transport,
          clusterId: CLUSTER_ID,
          voters: voters.map((voter) => ({ ...voter, endpoints: [] })),
          timing: DEFAULT_TIMING,
          fetchMaxBytes: 4096,
        },
        snapshots: { maxBytes: this.snapshotBytes, maxIntervalMs: 3_600_000 },
      },
    );
    this.checks.onStarted(machine, process.driver.leader.leaderEpoch);
    await process.driver.start(process.application);
  }

  /** kill -9: the page cache stays (R1). */
  kill(machine: Machine): void {
    const { process } = machine;
    if (process === null) return;
    process.disk.kill();
    process.clock.kill();
    process.transport.isClosed = true;
    process.transport.listener = null;
    machine.process = null;
  }

  cutPower(machine: Machine): void {
    this.kill(machine);
    machine.disk.cutPower();
  }

  /** A new disk: the node has its id, and nothing of what it had promised. */
  wipe(machine: Machine): void {
    this.kill(machine);
    const { nodeId } = machine.key;
    machine.key = { nodeId, directoryId: randomUuid(this.random) };
    machine.disk = this.#newDisk(`${nodeId}-${machine.startCount}`);
  }

  async close(machine: Machine): Promise<void> {
    const driver = machine.process?.driver;
    if (driver !== null && driver !== undefined) await this.run(driver.close());
    this.kill(machine);
  }

  /** One way. */
  cut(from: Machine, to: Machine): void {
    this.#cuts.add(`${from.key.nodeId}>${to.key.nodeId}`);
  }

  isolate(machine: Machine): void {
    for (const other of this.machines) {
      this.cut(machine, other);
      this.cut(other, machine);
    }
  }

  healNetwork(): void {
    this.#cuts.clear();
    this.lossPerMille = 0;
    this.latePerMille = 0;
  }

  /** Syncs take so much longer from now on. */
  stallDisk({ process }: Machine, ms: number): void {
    const rule = {
      operations: ["datasync"],
      times: Infinity,
      fault: { kind: "delay", ms },
    } as const;
    process?.faults.setRules(ms === 0 ? [] : [rule]);
  }

  fillDisk({ process }: Machine): void {
    const operations = ["create", "writev"] as const;
    const fault = { kind: "error", code: "ENOSPC" } as const;
    process?.faults.setRules([{ operations, times: Infinity, fault }]);
  }

  breakDisk({ process }: Machine): void {
    const fault = { kind: "error", code: "EIO" } as const;
    process?.faults.setRules([{ operations: ["datasync"], times: Infinity, fault }]);
  }

  /** There is room again, and the directory's probe has found it. */
  async makeRoom({ process }: Machine): Promise<void> {
    process?.faults.setRules([]);
    const driver = process?.driver;
    if (driver === null || driver === undefined || driver.log.failure === null) return;
    await this.run(driver.log.heal());
  }

  send(from: Machine, to: number, message: RaftMessage): void {
    this.checks.onSaid(from, to, message);
    const isLost = randomBelow(this.#net, 1_000) < this.lossPerMille;
    const isLate = randomBelow(this.#net, 1_000) < this.latePerMille;
    const { key } = from;
    const { process } = from;
    const copy = copyOf(message);
    const delayMs = 0.2 + randomBelow(this.#net, isLate ? 2_000 : 5);
    this.clock.schedule("io", delayMs, () => {
      const target = this.machines.find((each) => each.key.nodeId === to);
      const isCut = this.#cuts.has(`${key.nodeId}>${to}`);
      if (isLost || isCut || target === undefined) return;
      if (target.process === null) {
        if (from.process === process) process?.transport.listener?.onUnreachable(to);
        return;
      }
      target.process.transport.listener?.onMessage(key, copy);
    });
  }

  /** A client offers one value to whoever says that it leads. */
  offer(): void {
    this.#offeredAtMs = this.clock.nowMs;
    for (const { process } of this.live) {
      const leader = process?.application.leader;
      const driver = process?.driver;
      if (driver === null || driver === undefined || leader === null || leader === undefined)
        continue;
      const value = `value-${this.offered.length}`;
      try {
        const { committed } = driver.append(leader.leaderEpoch, [Buffer.from(value)]);
        this.offered.push(value);
        committed.then(
          () => this.acked.add(value),
          () => undefined,
        );
      } catch {
        // It leads no longer, or its disk has failed: nothing was taken.
      }
    }
  }

  /** Another one, unless the last is still on its way. */
  offerIfIdle(): void {
    if (this.clock.nowMs < this.#offeredAtMs + 1_000) return;
    this.offer();
  }

  /** The last value that was offered, if it was answered. */
  get lastAcked(): string | null {
    const last = this.offered.at(-1);
    return last !== undefined && this.acked.has(last) ? last : null;
  }

  /** The one that leads and has told its application so. */
  get leader(): Machine | null {
    const leaders = this.live.filter(({ key, process }) => {
      const { leader } = must(process, "it lives").application;
      return leader?.leaderId === key.nodeId && process?.driver?.leader.leaderId === key.nodeId;
    });
    leaders.sort((a, b) => epochOf(b) - epochOf(a));
    return leaders[0] ?? null;
  }

  async runFor(ms: number): Promise<void> {
    const endMs = this.clock.nowMs + ms;
    // So that there is an event then.
    this.clock.schedule("io", ms, () => undefined);
    while (this.clock.nowMs < endMs) await this.#event();
  }

  /** Runs until the condition holds; throws when it does not within a minute. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const endMs = this.clock.nowMs + 60_000;
    while (!condition()) {
      if (this.clock.nowMs > endMs)
        throw new Error(`within a minute it never came: ${what}\n${this.#describe()}`);
      await this.#event();
    }
  }

  async run<T>(promise: Promise<T>): Promise<T> {
    const outcomes: unknown[] = [];
    const note = () => outcomes.push(null);
    promise.then(note, note);
    await settle();
    while (outcomes.length === 0) await this.#event();
    return promise;
  }

  async #event(): Promise<void> {
    const event = this.clock.next();
    if (event === null) throw new Error("nothing will ever happen");
    event();
    await settle();
    this.checks.throwIfBroken();
  }

  /** For whoever opens something on a machine's disk by hand. */
  ports() {
    const clock = new ProcessClock(this.clock);
    return { clock, timers: new TimerQueue(clock), random: this.random.fork("by hand") };
  }

  #describe(): string {
    const lines = this.machines.map(({ key, process, deliveredOffset }) => {
      const { driver, application, refusal } = process ?? {};
      const { leader, nextOffset, highWatermark, log } = driver ?? {};
      const failure = log?.failure?.message ?? null;
      const told = application?.leader ?? null;
      const facts = { leader, told, nextOffset, highWatermark, deliveredOffset, failure };
      return `${key.nodeId}: ${JSON.stringify(facts)} ${refusal instanceof Error ? refusal.message : ""}`;
    });
    return lines.join("\n");
  }

  #newDisk(name: string): SimDisk {
    return new SimDisk(
      { clock: this.clock, random: this.random.fork(`disk-${name}`) },
      { directories: [LOG_DIRECTORY], writebackAgeMs: 1_000 },
    );
  }
}

function epochOf({ process }: Machine): number {
  return process?.driver?.leader.leaderEpoch ?? 0;
}

/** As if it had been sent: nobody shares memory with the sender. */
function copyOf(message: RaftMessage): RaftMessage {
  if (message.kind !== "fetchAnswer" || message.outcome.kind !== "records") return { ...message };
  const batches = message.outcome.batches.map((batch) => ({
    ...batch,
    bytes: Buffer.from(batch.bytes),
  }));
  return { ...message, outcome: { kind: "records", batches } };
}
