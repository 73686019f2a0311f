/** What a client of groups (group_clients.py) tried, and what came of it. */
export interface Attempt {
  /** Unique; what was committed carries it as its metadata. */
  readonly id: string;
  readonly groupId: string;
  readonly triedNs: bigint;
  /** Null: a deletion of the group. */
  readonly offsets: ReadonlyMap<number, number> | null;
  outcome: "unknown" | "acked" | "refused";
  /** When the client knew; null while nobody does. */
  settledNs: bigint | null;
}

/** What the broker said that a group has committed for a partition; an id of null: nothing. */
export interface Look {
  readonly when: string;
  readonly groupId: string;
  readonly partition: number;
  readonly id: string | null;
  readonly offset: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
}

export interface GroupReport {
  readonly acked: number;
  readonly refused: number;
  readonly deleted: number;
  readonly looks: number;
  /** Looks that showed less than had been acknowledged before they began. */
  readonly lost: readonly string[];
  /** Looks that showed what was refused, deleted, or never committed like that. */
  readonly revived: readonly string[];
}

/**
 * Holds each look against the attempts for its partition. These come one after the other: a group's partition has
 * one committer at a time. So what a look shows is the last that was acknowledged before it began, or one
 * that was tried after that and whose fate is open.
 */
export function auditGroups(attempts: readonly Attempt[], looks: readonly Look[]): GroupReport {
  const byId = new Map(attempts.map((attempt) => [attempt.id, attempt]));
  const lost: string[] = [];
  const revived: string[] = [];
  for (const look of looks) {
    const known = lastAcked(attempts, look);
    const shown = look.id === null ? lastDeletion(attempts, look) : byId.get(look.id);
    const text = `${look.when}: ${look.groupId} ${look.partition} shows ${look.id} ${look.offset}, acked ${known?.id}`;
    if (look.id === null && shown === undefined) {
      if (known !== undefined) lost.push(text);
    } else if (shown === undefined || !isTrue(shown, look)) {
      revived.push(text);
    } else if (known !== undefined && shown.triedNs < known.triedNs) {
      (known.offsets === null ? revived : lost).push(text);
    }
  }
  const acked = attempts.filter(({ outcome }) => outcome === "acked");
  return {
    acked: acked.filter(({ offsets }) => offsets !== null).length,
    refused: attempts.filter(({ outcome }) => outcome === "refused").length,
    deleted: acked.filter(({ offsets }) => offsets === null).length,
    looks: looks.length,
    lost,
    revived,
  };
}

/** The attempt can have been in force at the look, as the look shows it. */
function isTrue(attempt: Attempt, look: Look): boolean {
  const isSame = attempt.offsets === null || attempt.offsets.get(look.partition) === look.offset;
  return isSame && attempt.outcome !== "refused" && attempt.triedNs < look.endNs;
}

function lastAcked(attempts: readonly Attempt[], look: Look): Attempt | undefined {
  return attempts.findLast(
    (attempt) =>
      concerns(attempt, look) &&
      attempt.outcome === "acked" &&
      attempt.settledNs !== null &&
      attempt.settledNs < look.startNs,
  );
}

function lastDeletion(attempts: readonly Attempt[], look: Look): Attempt | undefined {
  return attempts.findLast(
    (attempt) =>
      concerns(attempt, look) &&
      attempt.offsets === null &&
      attempt.outcome !== "refused" &&
      attempt.triedNs < look.endNs,
  );
}

function concerns({ groupId, offsets }: Attempt, look: Look): boolean {
  return groupId === look.groupId && (offsets === null || offsets.has(look.partition));
}
