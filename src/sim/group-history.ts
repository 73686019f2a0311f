/** What a group's partition is made to show: an offset's id, or nothing (a deletion). */
export interface Write {
  readonly id: string | null;
  readonly sentAt: number;
  readonly sentMs: number;
  /** After this it takes effect no more: it was answered, or the process it was sent to is gone. */
  endedAt: number | null;
  outcome: "open" | "acked" | "refused";
  readonly run: number;
}

/** Something that a member was told, and in which run of the broker. */
export interface Told {
  readonly groupId: string;
  readonly memberId: string;
  readonly generationId: number;
  /** When the request was sent: see `GroupHistory.tick`. */
  readonly sentAt: number;
  readonly run: number;
}

interface Generation {
  readonly leader: string;
  readonly run: number;
  /** Some member has its assignment: then the generation is in the log. */
  isDurable: boolean;
  /** By whom: what they were assigned. */
  readonly shares: Map<string, string>;
}

interface Seen {
  readonly at: number;
  readonly run: number;
  readonly generationId: number;
  readonly isDurable: boolean;
}

interface GroupFacts {
  readonly generations: Map<number, Generation>;
  readonly seen: Seen[];
  /** When somebody was first answered by the group in the current run, besides to a heartbeat. */
  loadedAt: number;
  /** The newest member id of each static instance, since when, and those that have left. */
  readonly current: Map<string, { readonly memberId: string; readonly at: number }>;
  readonly left: Map<string, number>;
}

export interface GroupHistoryOptions {
  readonly report: (rule: string, detail: string) => void;
  /** A power cut may take what was acked. */
  readonly mayLose: boolean;
  readonly nowMs: () => number;
  /** How long an offset is kept at least. */
  readonly retentionMs: number;
}

/**
 * What the clients of groups have done, been promised, and seen, and the rules of reliability.md that
 * it must keep: G1, G2, G3, G4, G7, G9, G10, G11. Times are ticks: each thing that a client does or
 * learns has its own, so that "before" is what every client would agree on.
 */
export class GroupHistory {
  readonly #options: GroupHistoryOptions;
  readonly #registers = new Map<string, Write[]>();
  readonly #groups = new Map<string, GroupFacts>();
  #tick = 0;
  /** Starts of the broker so far. */
  #run = 0;
  readonly counts = { acked: 0, refused: 0, reads: 0, generations: 0 };

  constructor(options: GroupHistoryOptions) {
    this.#options = options;
  }

  get run(): number {
    return this.#run;
  }

  /** Nothing that was acked may be gone. */
  get keepsAll(): boolean {
    return !this.#options.mayLose;
  }

  /** Now, in the order of what clients do and learn. */
  tick(): number {
    this.#tick += 1;
    return this.#tick;
  }

  /** The process is gone, another starts: what was under way has happened by now, or never will. */
  onStart(): void {
    this.#run += 1;
    const at = this.tick();
    for (const writes of this.#registers.values()) {
      for (const write of writes) {
        write.endedAt ??= at;
        if (this.#options.mayLose && write.outcome === "acked") write.outcome = "open";
      }
    }
    for (const group of this.#groups.values()) {
      group.loadedAt = Infinity;
      group.current.clear();
      group.left.clear();
    }
  }

  startWrite(register: string, id: string | null): Write {
    const write: Write = {
      id,
      sentAt: this.tick(),
      sentMs: this.#options.nowMs(),
      endedAt: null,
      outcome: "open",
      run: this.#run,
    };
    const writes = this.#registers.get(register) ?? [];
    writes.push(write);
    this.#registers.set(register, writes);
    return write;
  }

  onAck(write: Write): void {
    this.counts.acked += 1;
    write.endedAt ??= this.tick();
    // An ack of a run that has ended since came late; what it promised may be gone.
    if (!this.#options.mayLose || write.run === this.#run) write.outcome = "acked";
  }

  onRefusal(write: Write): void {
    this.counts.refused += 1;
    write.outcome = "refused";
  }

  /**
   * A read that began at `startedAt` showed this (G3, G4): the last that was acked before it began, or
   * what was written while or after that. Where it may have expired (G10), nothing is right as well.
   */
  onRead(
    register: string,
    id: string | null,
    startedAt: number,
    { mayExpire }: { readonly mayExpire: boolean },
  ): void {
    this.counts.reads += 1;
    const writes = this.#registers.get(register) ?? [];
    const candidates = writes.filter((write) => write.id === id && write.outcome !== "refused");
    const begin = id === null ? [{ endedAt: 0 }] : [];
    const blockers = writes.filter(
      ({ outcome, endedAt }) => outcome === "acked" && (endedAt ?? Infinity) < startedAt,
    );
    const isShowable = [...begin, ...candidates].some(
      ({ endedAt }) => !blockers.some(({ sentAt }) => sentAt > (endedAt ?? Infinity)),
    );
    if (isShowable) return;
    if (id === null && mayExpire && blockers.every((write) => this.#isExpired(write))) return;
    const last = blockers.at(-1)?.id;
    const known = writes.some((write) => write.id === id);
    const why = known || id === null ? `${last} was acked later` : "nobody committed it";
    this.#options.report("G3", `${register} shows ${id}: ${why}`);
  }

  #isExpired({ sentMs }: Write): boolean {
    return this.#options.nowMs() - sentMs >= this.#options.retentionMs;
  }

  /** The group answered something that it cannot while it loads. */
  onServed({ groupId, run }: Pick<Told, "groupId" | "run">): void {
    const group = this.#group(groupId);
    if (run === this.#run && group.loadedAt === Infinity) group.loadedAt = this.tick();
  }

  /** A JoinGroup was answered: the member is in this generation (G1, G7). */
  onJoined(told: Told, leaderId: string, isNewInstance: boolean): void {
    // Of a run that has ended since, nothing follows for the one that is.
    if (told.run !== this.#run) return;
    this.onServed(told);
    const { groupId, generationId, memberId, run } = told;
    const group = this.#group(groupId);
    const newest = this.#newestKnown(told);
    if (generationId < newest) {
      this.#options.report("G1", `${groupId}: generation ${generationId} after ${newest}`);
    }
    const leader = ownerOf(leaderId);
    const existing = group.generations.get(generationId);
    const isSame = existing !== undefined && this.#holds(existing);
    if (isSame && existing.leader !== leader) {
      const both = `${existing.leader} and ${leader}`;
      this.#options.report("G7", `${groupId}: ${both} lead generation ${generationId}`);
    }
    if (!isSame) {
      this.counts.generations += 1;
      const fresh = { leader, run, isDurable: false, shares: new Map<string, string>() };
      group.generations.set(generationId, fresh);
    }
    const at = this.tick();
    group.seen.push({ at, run, generationId, isDurable: false });
    if (isNewInstance) group.current.set(ownerOf(memberId), { memberId, at });
  }

  /** A SyncGroup was answered: this is the member's share of the generation (G7, G9). */
  onSynced(told: Told, assignment: string): void {
    if (told.run !== this.#run) return;
    const { groupId, generationId, memberId, run } = told;
    const group = this.#group(groupId);
    const generation = group.generations.get(generationId);
    if (generation === undefined) {
      this.#options.report("G7", `${groupId}: nobody joined generation ${generationId}`);
      return;
    }
    generation.isDurable = true;
    group.seen.push({ at: this.tick(), run, generationId, isDurable: true });
    const owner = ownerOf(memberId);
    const [author] = assignment.split(" ");
    for (const [other, share] of generation.shares) {
      const isRight = other === owner ? share === assignment : share.split(" ", 1)[0] === author;
      if (isRight) continue;
      const rule = other === owner ? "G9" : "G7";
      const text = `"${assignment}" for ${owner} after "${share}" for ${other}`;
      this.#options.report(rule, `${groupId}, generation ${generationId}: ${text}`);
    }
    if (assignment.split(" ")[1] !== owner) {
      this.#options.report("G7", `${groupId}: ${owner} was given "${assignment}"`);
    }
    generation.shares.set(owner, assignment);
  }

  /** The member was told that it is out. */
  onLeft(told: Told): void {
    if (told.run === this.#run) this.#group(told.groupId).left.set(told.memberId, this.tick());
  }

  /** A commit or a heartbeat of a member was taken (G2, G11). */
  onAccepted(told: Told, what: string): void {
    if (told.run !== this.#run) return;
    const { groupId, generationId, memberId, sentAt } = told;
    const group = this.#group(groupId);
    // A group that loads takes all heartbeats.
    if (what === "heartbeat" && !(sentAt > group.loadedAt)) return;
    if (what !== "heartbeat") this.onServed(told);
    const complain = (rule: string, why: string): void => {
      this.#options.report(rule, `${groupId}: ${what} of ${memberId} was taken, ${why}`);
    };
    const newest = this.#newestKnown(told);
    if (generationId < newest) complain("G2", `generation ${generationId} after ${newest}`);
    if ((group.left.get(memberId) ?? Infinity) < sentAt) complain("G11", "which had left");
    const current = group.current.get(ownerOf(memberId));
    if (current !== undefined && current.memberId !== memberId && current.at < sentAt) {
      complain("G2", `which ${current.memberId} had fenced`);
    }
  }

  /** The newest generation that was known to be when the request was sent, and holds still. */
  #newestKnown({ groupId, sentAt }: Told): number {
    const { seen } = this.#group(groupId);
    const known = seen.filter((each) => each.at < sentAt && this.#holds(each));
    return known.reduce((newest, { generationId }) => Math.max(newest, generationId), 0);
  }

  /** A generation that is not in the log ends with the process that made it. */
  #holds({ run, isDurable }: { readonly run: number; readonly isDurable: boolean }): boolean {
    return run === this.#run || (isDurable && !this.#options.mayLose);
  }

  #group(groupId: string): GroupFacts {
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = {
        generations: new Map(),
        seen: [],
        loadedAt: Infinity,
        current: new Map(),
        left: new Map(),
      };
      this.#groups.set(groupId, group);
    }
    return group;
  }
}

/** Who stands behind a member id: its instance, if it has one, whose ids change. */
export function ownerOf(memberId: string): string {
  return /^(static-\d+)-/.exec(memberId)?.[1] ?? memberId;
}
