import { NO_LEADER, type PartitionImage } from "./image.ts";

/** Who has what is committed, and who may have it: the three never meet. */
export type Members = Pick<PartitionImage, "isr" | "eligibleLeaderReplicas" | "lastKnownElr">;

/** Whether the broker can lead the partition now. */
export type CanLead = (brokerId: number) => boolean;

export type Election =
  /** Whoever leads stays if it may; otherwise another that has all that is committed. */
  | { readonly kind: "online" }
  /** The first replica, if it has all that is committed. */
  | { readonly kind: "preferred" }
  /** Somebody wants a leader at once, whatever it lacks (R7). */
  | { readonly kind: "unclean" }
  /** As `online`, but nobody who may lack something, whatever the topic's settings are. */
  | { readonly kind: "clean" }
  /** The best log that was found among the last known members (R11); exposed: not all were heard. */
  | { readonly kind: "bestLog"; readonly leader: number; readonly isExposed: boolean };

/** Kafka's LeaderRecoveryState of a leader that may lack committed records. */
export const RECOVERING = 1;

export interface Elected extends Members {
  /** NO_LEADER: nobody may. */
  readonly leader: number;
  /** undefined: stays. */
  readonly recoveryState?: number;
}

export interface ElectionTerms {
  readonly replicas: PartitionImage["replicas"];
  readonly election: Election;
  readonly isUncleanElectionEnabled: boolean;
  readonly canLead: CanLead;
}

/**
 * Who leads: a member of the ISR; when that is empty, of the ELR; then, by R11, the best of the last known
 * members, without a question if there is only one; then, where that is allowed, anybody.
 */
export function electLeader(
  { leader }: PartitionImage,
  members: Members,
  terms: ElectionTerms,
): Elected {
  const { replicas, election, canLead } = terms;
  const { isr, eligibleLeaderReplicas: elr } = members;
  const isValid = (id: number): boolean =>
    (isr.includes(id) || (isr.length === 0 && elr.includes(id))) && canLead(id);
  const [preferred] = replicas;
  const inOrder =
    election.kind === "preferred" && preferred !== undefined
      ? [preferred, leader, ...replicas]
      : [leader, ...replicas];
  const clean = inOrder.find(isValid);
  if (clean !== undefined) return cleanly(members, clean);
  return byLastKnown(members, terms) ?? uncleanly(members, terms) ?? leaderless(members);
}

function cleanly(members: Members, leader: number): Elected {
  if (members.isr.includes(leader)) return { ...members, leader };
  const eligibleLeaderReplicas = members.eligibleLeaderReplicas.filter((id) => id !== leader);
  return { ...members, isr: [leader], eligibleLeaderReplicas, leader };
}

/** R11, with no member of ISR or ELR left, up or down: those are waited for. */
function byLastKnown(members: Members, { election, canLead }: ElectionTerms): Elected | null {
  const { isr, eligibleLeaderReplicas, lastKnownElr } = members;
  if (isr.length + eligibleLeaderReplicas.length > 0) return null;
  const [only, ...others] = lastKnownElr;
  const sole = others.length === 0 ? only : undefined;
  const leader = election.kind === "bestLog" ? election.leader : sole;
  if (leader === undefined || !lastKnownElr.includes(leader) || !canLead(leader)) return null;
  const isExposed = election.kind === "bestLog" && election.isExposed;
  return {
    isr: [leader],
    eligibleLeaderReplicas: [],
    // Should it fail before anybody has followed it, the others' logs count again.
    lastKnownElr: lastKnownElr.filter((id) => id !== leader),
    leader,
    ...(isExposed ? { recoveryState: RECOVERING } : {}),
  };
}

function uncleanly(
  { isr, eligibleLeaderReplicas, lastKnownElr }: Members,
  { replicas, election, isUncleanElectionEnabled, canLead }: ElectionTerms,
): Elected | null {
  const isAwaited = isr.length + eligibleLeaderReplicas.length === 0 && lastKnownElr.length > 0;
  const isAllowed =
    election.kind === "unclean" ||
    // The best of the last known logs is still being looked for (R11).
    (isUncleanElectionEnabled && election.kind === "online" && !isAwaited);
  if (!isAllowed) return null;
  const leader = [...lastKnownElr, ...replicas].find(canLead);
  if (leader === undefined) return null;
  return {
    isr: [leader],
    eligibleLeaderReplicas: [],
    lastKnownElr: [],
    leader,
    recoveryState: RECOVERING,
  };
}

function leaderless(members: Members): Elected {
  return { ...members, leader: NO_LEADER };
}
