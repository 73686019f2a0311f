import { must } from "../../src/base/assert.ts";
import { DiskError, isOutOfSpace } from "../../src/base/disk.ts";
import type { FaultRule } from "../../src/storage/fault-rules.ts";
import type { DiskCall, FaultyDisk } from "../../src/storage/faulty-disk.ts";
import { DIRECTORIES, Machine } from "./machine.ts";
import { type Stage, Workload } from "./workload.ts";

/** A call site of ours, and the kind of file that it is called for. */
export interface Target {
  readonly site: string;
  readonly operation: FaultRule["operations"][number];
  /** A pattern of FaultRule; it names the directory that is to suffer. */
  readonly path: string;
  /** The part of the workload in which it happens. */
  readonly stage: Stage;
  /** That is, when the power has come so often, after so many of these calls. */
  readonly boot: number;
  readonly after: number;
}

export const FAULTS = ["EIO once", "EIO always", "ENOSPC", "short write"] as const;
export type FaultName = (typeof FAULTS)[number];

export interface Verdict {
  readonly outcome: string;
  readonly violations: readonly string[];
}

/** How many steps of the script follow the fault. */
const STEPS_AFTER = 12;
const ROOM_COMES_AFTER_MS = 3_000;
/** Within so long after room has come all is served. */
const HEALS_WITHIN_MS = 5_000;
/** What it takes to try every partition once. */
const SERVES_WITHIN_MS = 1_000;

/** One run of the workload, with one fault. */
export class FaultRun {
  readonly #target: Target;
  readonly #fault: FaultName;
  readonly #machine: Machine;
  readonly #workload: Workload;
  readonly #violations: string[] = [];
  /** Syncs that have failed, by process and path. */
  readonly #failedSyncs = new Set<string>();
  #firedCount = 0;
  #stepsAfter = 0;
  /** When room came; null: it is not there yet, or is not what is missing. */
  #roomMs: number | null = null;
  #outcome = "borne";

  constructor(target: Target, fault: FaultName) {
    this.#target = target;
    this.#fault = fault;
    this.#machine = new Machine();
    this.#workload = new Workload(this.#machine, () => this.#afterStep());
  }

  async run(): Promise<Verdict> {
    const onRejection = (reason: unknown): void => {
      this.#violations.push(`the process died: ${String(reason)}`);
    };
    process.on("unhandledRejection", onRejection);
    try {
      this.#breakSoon(this.#machine.disk);
      this.#machine.onBoot = (disk) => this.#breakSoon(disk);
      await this.#workload.run();
      await this.#judge();
    } catch (error) {
      this.#violations.push(
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
    } finally {
      process.off("unhandledRejection", onRejection);
    }
    if (this.#firedCount === 0) this.#violations.push("the fault never happened");
    return { outcome: this.#outcome, violations: this.#violations };
  }

  #breakSoon(disk: FaultyDisk): void {
    const isTime = this.#machine.bootCount === this.#target.boot && this.#firedCount === 0;
    disk.setRules(isTime ? [this.#rule()] : []);
    disk.setFaultListener((_rule, call) => this.#onFault(call));
  }

  #rule(): FaultRule {
    const { site, operation, path, after } = this.#target;
    const isOnce = this.#fault === "EIO once";
    const code = this.#fault.startsWith("EIO") ? "EIO" : "ENOSPC";
    return {
      name: this.#fault,
      at: "call",
      operations: [operation],
      path,
      callSite: site,
      after,
      times: isOnce ? 1 : Infinity,
      fault:
        this.#fault === "short write"
          ? { kind: "shortWrite", bytes: 10, code }
          : { kind: "error", code },
    };
  }

  #onCall(call: DiskCall): void {
    const key = `${this.#machine.processCount} ${call.path}`;
    const isSync = call.operation === "datasync" || call.operation === "syncDir";
    if (isSync && this.#failedSyncs.has(key)) {
      this.#violations.push(`a failed sync was tried again: ${call.path} by ${call.callSite}`);
    }
  }

  #onFault({ operation, path }: DiskCall): void {
    this.#firedCount += 1;
    if (operation === "datasync" || operation === "syncDir") {
      this.#failedSyncs.add(`${this.#machine.processCount} ${path}`);
      if (this.#failedSyncs.size === 1) this.#machine.record((call) => this.#onCall(call));
    }
    if (this.#firedCount > 1 || !this.#heals()) return;
    const { clock } = this.#machine;
    clock.after(ROOM_COMES_AFTER_MS, () => {
      this.#machine.disk.setRules([]);
      this.#roomMs = clock.nowMs();
    });
  }

  /** What a sync was to keep is gone, whatever its reason (R9). */
  #heals(): boolean {
    const { fault } = this.#rule();
    const code = fault.kind === "error" || fault.kind === "shortWrite" ? fault.code : "";
    return isOutOfSpace(new DiskError(code, "", this.#target.operation));
  }

  async #afterStep(): Promise<void> {
    if (this.#firedCount === 0) return;
    this.#stepsAfter += 1;
    if (this.#stepsAfter === 1) await this.#afterFault();
    if (this.#stepsAfter === STEPS_AFTER / 2) await this.#othersServe();
    if (this.#stepsAfter === STEPS_AFTER) this.#workload.isOver = true;
  }

  async #afterFault(): Promise<void> {
    if (this.#heals()) {
      await this.#healing();
      return;
    }
    const { life } = this.#workload;
    if (life === null) {
      if (this.#workload.refusedStartCount === 0) return;
      // The metadata's directory is broken. Whoever supervises the process starts it again.
      this.#outcome = "start refused";
      this.#machine.disk.setRules([]);
      await this.#workload.start();
      return;
    }
    const offline = life.manager.directories.filter(({ isOnline }) => !isOnline);
    // Not only the log that was refused: nothing in the directory can be trusted any more (R9).
    const broken = DIRECTORIES.find((each) => isIn(this.#target.path, each));
    if (broken !== undefined && !offline.some(({ path }) => path === broken)) {
      this.#violations.push(`${broken} is online after ${this.#fault}`);
    }
    const paths = offline.map(({ path }) => path).join(", ");
    // One that was broken when it was opened waits for the next start (Kafka, too).
    const isUnusable = offline.some(({ directoryId }) => directoryId === null);
    if (offline.length > 0) this.#outcome = isUnusable ? `${paths} not opened` : `${paths} offline`;
  }

  /** Room comes after a while, and so long after it everything is served, by the same process. */
  async #healing(): Promise<void> {
    const machine = this.#machine;
    if (this.#roomMs === null) await machine.pass(ROOM_COMES_AFTER_MS);
    const roomMs = must(this.#roomMs, "room has come");
    if (this.#workload.refusedStartCount > 0) {
      this.#violations.push("no room refused the start");
      return;
    }
    // A stop that was refused leaves nobody to serve.
    if (this.#workload.life === null) return;
    await machine.pass(Math.max(0, roomMs + HEALS_WITHIN_MS - machine.clock.nowMs()));
    const offline = this.#workload.life.manager.directories.filter(({ isOnline }) => !isOnline);
    for (const { path } of offline) this.#violations.push(`no room keeps ${path} offline`);
    const why = await this.#workload.serves();
    if (why !== null) this.#violations.push(`not healed within ${HEALS_WITHIN_MS} ms: ${why}`);
    const tookMs = machine.clock.nowMs() - roomMs;
    if (tookMs > HEALS_WITHIN_MS + SERVES_WITHIN_MS) {
      this.#violations.push(`healed only ${tookMs} ms after there was room`);
    }
    this.#outcome = "healed";
  }

  /** R9: a directory that has failed takes no other with it. */
  async #othersServe(): Promise<void> {
    const { path } = this.#target;
    const other = DIRECTORIES.find((each) => !isIn(path, each));
    const { life } = this.#workload;
    if (other === undefined || life === null) return;
    const state = life.manager.directories.find((each) => each.path === other);
    if (state?.isOnline !== true) this.#violations.push(`${other} is offline as well`);
    const why = await this.#workload.serves(other);
    if (why !== null) this.#violations.push(`the other directory does not serve: ${why}`);
  }

  /** After the power has gone, on a disk that is well: all that was acknowledged is there. */
  async #judge(): Promise<void> {
    const workload = this.#workload;
    for (const bug of workload.bugs) {
      this.#violations.push(bug instanceof Error ? (bug.stack ?? bug.message) : String(bug));
    }
    await workload.cutPower();
    this.#machine.disk.setRules([]);
    await workload.start();
    for (const shelf of workload.shelves) await workload.open(shelf);
    const missing = await workload.missing();
    if (missing.length > 0) this.#violations.push(`acknowledged and lost: ${missing.join(", ")}`);
    const why = await workload.serves();
    if (why !== null) this.#violations.push(`not well after a restart: ${why}`);
  }
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
