import type { Clock, Timer } from "../base/clock.ts";
import { type Disk, DiskError } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import { offsetFileName } from "../storage/file-names.ts";
import { listUnlessMissing } from "../storage/log-files.ts";
import { isSameReplica, type ReplicaKey } from "./core/voters.ts";
import { Formation, type FormationEffect, type FormationEvent } from "./formation.ts";
import { readFormationState, writeFormationState } from "./formation-state.ts";
import { METADATA_PARTITION } from "./metadata-log.ts";
import { QuorumStateError, readQuorumState, START_ANEW, writeQuorumState } from "./quorum-state.ts";
import { snapshotIdOf } from "./snapshot-file.ts";
import type { RaftMessage, RaftTransport } from "./transport.ts";

export interface FormQuorumPorts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Its listener is this one's until the promise settles. */
  readonly transport: RaftTransport;
}

export interface FormQuorumOptions {
  /** The first of the log directories. */
  readonly logDirectory: string;
  readonly self: ReplicaKey;
  readonly clusterId: string;
  /** controller.quorum.voters; this node may be none of them. */
  readonly voterIds: readonly number[];
}

/** What was lost on the way is said again after so long. */
const INTERVAL_MS = 500;
/** How often the log says whom it waits for. */
const INTERVALS_PER_LINE = 60;
/** Others that are started beside this one are there by then; whoever waits longer is to know for whom. */
const INTERVALS_BEFORE_FIRST = 6;

/** Nobody has been in a quorum before; the state that is then of one who has promised nothing in it. */
const NEW_VOTER = { leaderEpoch: 0, leaderId: null, voted: null, hasOthers: true } as const;

/**
 * Resolves with the voters that the cluster began with, when this node belongs to one (R14): at once if it
 * did before. Otherwise it waits for the others as long as it takes, or for the signal. `RaftDriver.open`
 * comes next. Throws QuorumStateError, DiskError, and the signal's reason.
 */
export async function formQuorum(
  ports: FormQuorumPorts,
  options: FormQuorumOptions,
  signal: AbortSignal,
): Promise<readonly ReplicaKey[]> {
  const { disk, logger } = ports;
  const { logDirectory, self, voterIds } = options;
  const metadataDirectory = `${logDirectory}/${METADATA_PARTITION}`;
  const state = await readFormationState(disk, logDirectory);
  if (state.kind === "formed") {
    await checkVote(disk, metadataDirectory, state.voters, self);
    return state.voters;
  }
  // A lone node that others have been added to: its log says who votes.
  if (await hasLog(disk, metadataDirectory)) return [self];
  const formation = new Formation({ ...options, state });
  logger.info({ voterIds, isFounder: formation.isFounder }, "the quorum is not formed yet");
  const voters = await new Forming(ports, options, formation).run(signal);
  logger.info({ voters }, "the quorum is formed");
  if (voterIds.includes(self.nodeId) && !voters.some((voter) => isSameReplica(voter, self))) {
    logger.warn(
      { ...self },
      "this node is an observer: the quorum has begun without this directory, so it does not vote; an " +
        "operator takes its old directory out and adds this one (kafka-metadata-quorum)",
    );
  }
  return voters;
}

/** A formed voter has a vote, and must know whom it was given to. Throws QuorumStateError (K18). */
async function checkVote(
  disk: Disk,
  directory: string,
  voters: readonly ReplicaKey[],
  self: ReplicaKey,
): Promise<void> {
  if (!voters.some((voter) => isSameReplica(voter, self))) return;
  if ((await readQuorumState(disk, directory)) !== null) return;
  throw new QuorumStateError(
    `${directory}/quorum-state is missing, and this node must not vote without it (K18): ` +
      `restore the directory, or ${START_ANEW}`,
  );
}

async function hasLog(disk: Disk, directory: string): Promise<boolean> {
  const names = (await listUnlessMissing(disk, directory)) ?? [];
  if (names.some((name) => snapshotIdOf(name) !== null)) return true;
  const segments = names.filter((name) => name.endsWith(".log"));
  const [first] = segments;
  if (first === undefined) return false;
  if (segments.length > 1 || first !== offsetFileName(0, ".log")) return true;
  const file = await disk.open(`${directory}/${first}`);
  try {
    return (await file.size()) > 0;
  } finally {
    await file.close();
  }
}

/** Does what the formation says. */
class Forming {
  readonly #ports: FormQuorumPorts;
  readonly #options: FormQuorumOptions;
  readonly #formation: Formation;
  readonly #formed: Promise<readonly ReplicaKey[]>;
  #resolve: (voters: readonly ReplicaKey[]) => void = unset;
  #reject: (reason: unknown) => void = unset;
  #timer: Timer | null = null;
  #intervalCount = 0;
  #isOver = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(ports: FormQuorumPorts, options: FormQuorumOptions, formation: Formation) {
    this.#ports = ports;
    this.#options = options;
    this.#formation = formation;
    this.#formed = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  async run(signal: AbortSignal): Promise<readonly ReplicaKey[]> {
    const abort = (): void => {
      this.#reject(signal.reason);
    };
    signal.addEventListener("abort", abort);
    this.#ports.transport.setListener({
      onMessage: (from, message) => this.#onMessage(from, message),
      onUnreachable: () => undefined,
    });
    try {
      if (signal.aborted) abort();
      else this.#tick();
      return await this.#formed;
    } finally {
      this.#isOver = true;
      this.#timer?.cancel();
      this.#ports.transport.setListener(null);
      signal.removeEventListener("abort", abort);
      // Nothing of this may reach the disk when the next has begun.
      await this.#writing;
    }
  }

  #tick(): void {
    const { clock, logger } = this.#ports;
    const { isFounder, missingIds } = this.#formation;
    this.#intervalCount += 1;
    if (this.#intervalCount % INTERVALS_PER_LINE === INTERVALS_BEFORE_FIRST) {
      const waitsFor = isFounder ? missingIds : "the founder";
      logger.warn(
        { waitsFor },
        "the quorum is not formed yet: all configured voters must be there",
      );
    }
    this.#timer = clock.after(INTERVAL_MS, () => this.#tick());
    this.#step({ kind: "tick" });
  }

  #onMessage(from: ReplicaKey, message: RaftMessage): void {
    switch (message.kind) {
      case "askPromise":
      case "promised":
      case "askFormed":
      case "formed":
        this.#step({ kind: "message", from, message });
        break;
      default:
        // Of a quorum that this node does not belong to yet.
        break;
    }
  }

  #step(event: FormationEvent): void {
    if (this.#isOver) return;
    for (const effect of this.#formation.step(event)) this.#do(effect);
  }

  #do(effect: FormationEffect): void {
    switch (effect.kind) {
      case "send":
        this.#ports.transport.send(effect.to, effect.message);
        break;
      case "persist":
        this.#writing = this.#persist(effect);
        break;
      case "formed":
        this.#resolve(effect.voters);
        break;
    }
  }

  async #persist({ state }: Extract<FormationEffect, { kind: "persist" }>): Promise<void> {
    const { disk } = this.#ports;
    const { logDirectory } = this.#options;
    try {
      if (state.kind === "formed") await this.#prepareVote();
      await writeFormationState(disk, logDirectory, state);
    } catch (error) {
      if (!(error instanceof DiskError) && !(error instanceof QuorumStateError)) throw error;
      this.#reject(error);
      return;
    }
    this.#step({ kind: "persisted" });
  }

  /** Before the node is formed: from then on a missing quorum-state is a lost vote (K18). */
  async #prepareVote(): Promise<void> {
    const { disk } = this.#ports;
    const { logDirectory } = this.#options;
    const directory = `${logDirectory}/${METADATA_PARTITION}`;
    await disk.mkdir(directory);
    await disk.syncDir(logDirectory);
    if ((await readQuorumState(disk, directory)) !== null) return;
    await writeQuorumState(disk, directory, NEW_VOTER);
  }
}

function unset(): void {
  // The constructor sets it.
}
