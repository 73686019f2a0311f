import { auditChanges } from "./audit.ts";
import { KafkaJsAdmin, WireAdmin } from "./admins.ts";
import { Changes } from "./changes.ts";
import type { Nodes } from "./nodes.ts";

export interface RoundsReport {
  readonly rounds: number;
  readonly answered: number;
  readonly unknown: readonly string[];
  /** All that was wrong, in an answer or in what a node served later. */
  readonly faults: readonly string[];
  /** Of each round: the longest time without an answer to anybody, from the kill to the next one. */
  readonly gapsMs: ReadonlyMap<KillKind, readonly number[]>;
  /** Topics that are there at the end, and were there at some time. */
  readonly kept: number;
  readonly made: number;
}

/** Whom a round kills. */
export type KillKind = "active" | "follower" | "two" | "all";

/** Answers between a start and the next kill, and between a kill and the next start. */
const BETWEEN = 12;
/** Kills nodes round by round while six clients change topics over all of them, and looks at what is left. */
export async function killRounds(nodes: Nodes, kinds: readonly KillKind[]): Promise<RoundsReport> {
  await nodes.start();
  const changes = new Changes();
  const places = nodes.bootstrap.split(",");
  for (const n of places.keys()) {
    const inTurn = [...places.slice(n), ...places.slice(0, n)];
    changes.begin(`kafkajs-${n}`, await KafkaJsAdmin.open(inTurn));
    changes.begin(`wire-${n}`, new WireAdmin(nodes, n));
  }
  const faults: string[] = [];
  const kills: { readonly kind: KillKind; readonly atMs: number }[] = [];
  for (const kind of kinds) {
    await changes.more(BETWEEN);
    const targets = await targetsOf(nodes, kind);
    kills.push({ kind, atMs: performance.now() });
    await nodes.kill9(targets);
    const hasQuorum = nodes.runningIds.length > nodes.ids.length / 2;
    if (hasQuorum) await changes.more(BETWEEN);
    await nodes.start(targets);
  }
  await changes.more(BETWEEN);
  await changes.end();
  faults.push(...(await auditChanges(nodes, changes)));
  await nodes.kill9(nodes.ids);
  await nodes.start();
  faults.push(...(await auditChanges(nodes, changes)).map((fault) => `after a restart: ${fault}`));
  return {
    rounds: kinds.length,
    answered: changes.answeredAtMs.length,
    unknown: changes.unknown,
    faults: [...changes.wrong, ...faults],
    gapsMs: gapsOf(kills, changes.answeredAtMs),
    kept: [...changes.topics.values()].filter((each) => each.isCreated && !each.isDoomed).length,
    made: changes.topics.size,
  };
}

async function targetsOf(nodes: Nodes, kind: KillKind): Promise<readonly number[]> {
  if (kind === "all") return nodes.ids;
  const active = await nodes.activeController();
  const followers = nodes.ids.filter((nodeId) => nodeId !== active);
  if (kind === "active") return [active];
  return kind === "follower" ? followers.slice(0, 1) : [active, ...followers.slice(0, 1)];
}

function gapsOf(
  kills: readonly { readonly kind: KillKind; readonly atMs: number }[],
  answeredAtMs: readonly number[],
): Map<KillKind, readonly number[]> {
  const gaps = new Map<KillKind, number[]>();
  for (const [n, { kind, atMs }] of kills.entries()) {
    const endMs = kills[n + 1]?.atMs ?? Infinity;
    const before = Math.max(...answeredAtMs.filter((each) => each <= atMs));
    const times = [before, ...answeredAtMs.filter((each) => each > atMs && each <= endMs)];
    const longest = Math.max(...times.slice(1).map((each, index) => each - times[index]!));
    gaps.set(kind, [...(gaps.get(kind) ?? []), longest]);
  }
  return gaps;
}
