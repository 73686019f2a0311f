import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { assert } from "../../../src/base/assert.ts";
import type { LogView } from "../../../src/raft/core/log-view.ts";
import type { RaftNode } from "../../../src/raft/core/node.ts";
import type { NodeFactory } from "./model-cluster.ts";

/** A mistake that somebody could make: a change of one place in one file of the core. */
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Issue 6's list, as far as it is about the core as it stands, and more. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "vote not persisted",
    file: "state.ts",
    from: "if (this.#voted === null || voted === null) return this.#voted === voted;",
    to: "if (this.#voted === null || voted === null) return true;",
  },
  {
    name: "vote persisted after the answer",
    file: "election.ts",
    from: 'state.send(from.nodeId, { kind: "voteAnswer", epoch, leaderId, isPreVote, isGranted });',
    to:
      'const message = { kind: "voteAnswer", epoch, leaderId, isPreVote, isGranted } as const;' +
      'state.do({ kind: "send", to: from.nodeId, message });',
  },
  {
    name: "second vote in an epoch",
    file: "election.ts",
    from: "return state.leaderId === null && (voted === null || isSameReplica(voted, candidate));",
    to: "if (state.role.kind === 'unattached') state.forgetVote(); return state.leaderId === null;",
  },
  {
    name: "vote for a shorter log",
    file: "election.ts",
    from: "request.endOffset >= log.endOffset",
    to: "request.endOffset >= 0",
  },
  {
    name: "wiped voter votes",
    file: "election.ts",
    from: "if (!isSameReplica(request.voter, state.self)) return;",
    to: "",
  },
  {
    name: "epoch goes back after a crash",
    file: "state.ts",
    from: "if (leaderEpoch !== this.#epoch) return false;",
    to: "if (leaderEpoch !== this.#epoch) return this.#voted === null;",
  },
  {
    name: "a restarted leader leads on in its epoch",
    file: "node.ts",
    from: "else if (state.isElectable) becomeUnattached(state);",
    to: "else if (leaderId !== null) becomeLeader(state, [state.self]); else if (state.isElectable) becomeUnattached(state);",
  },
  {
    name: "commit of an old epoch's record by count",
    file: "leader.ts",
    from: "if (role.epochStartOffset === null || endOffset <= role.epochStartOffset) return;",
    to: "if (role.epochStartOffset === null) return;",
  },
  {
    name: "leader counts itself before its sync",
    file: "leader.ts",
    from: "? log.flushedEndOffset",
    to: "? log.endOffset",
  },
  {
    name: "follower promises what it has not synced",
    file: "follower.ts",
    from: "if (role.fetch !== null || role.snapshot !== null || !state.log.isFlushed) return;",
    to: "if (role.fetch !== null || role.snapshot !== null) return;",
  },
  {
    name: "observer counted",
    file: "leader.ts",
    from: "  if (role.epochStartOffset === null || endOffset <= role.epochStartOffset) return;\n  if (endOffset <= state.highWatermark) return;\n  state.commit(endOffset);",
    to:
      "  const ends = [log.flushedEndOffset, ...[...role.replicas.values()].map((each) => each.endOffset)];\n" +
      "  const counted = Math.max(endOffset, ends.sort((a, b) => b - a)[voters.majority - 1] ?? 0);\n" +
      "  if (role.epochStartOffset === null || counted <= role.epochStartOffset) return;\n" +
      "  if (counted <= state.highWatermark) return;\n  state.commit(counted);",
  },
  {
    name: "divergence not seen by the leader",
    file: "leader.ts",
    from: "shared.epoch !== lastFetchedEpoch || shared.endOffset < fetchOffset",
    to: "shared.endOffset < fetchOffset",
  },
  {
    name: "divergence not truncated",
    file: "follower.ts",
    from: "truncate(state, answer.outcome.epoch, answer.outcome.endOffset);",
    to: "",
  },
  {
    name: "follower cuts to the leader's end, not its own epoch's",
    file: "follower.ts",
    from: "const cutOffset = own.epoch === epoch ? Math.min(own.endOffset, endOffset) : own.endOffset;",
    to: "const cutOffset = Math.min(log.endOffset - 1, Math.max(own.endOffset, endOffset));",
  },
  {
    name: "late answer to a fetch is taken",
    file: "follower.ts",
    from: "    answer.fetchOffset === log.endOffset &&\n    answer.lastFetchedEpoch === log.lastEpoch;",
    to: "    answer.fetchOffset >= 0;",
  },
  {
    name: "timer reset by a stale leader",
    file: "node.ts",
    from: "    if (epoch < state.epoch) {\n      this.#refuse(from);",
    to: "    if (epoch < state.epoch) {\n      if (state.role.kind === 'follower') state.role.heardAtMs = state.nowMs;\n      this.#refuse(from);",
  },
  {
    name: "no resignation without a quorum",
    file: "leader.ts",
    from: "const CHECK_QUORUM_FACTOR = 1.5;",
    to: "const CHECK_QUORUM_FACTOR = Infinity;",
  },
  {
    name: "a leader that has resigned says that it leads",
    file: "state.ts",
    from: "return role.fallbackLeaderId;",
    to: "return this.#leaderId;",
  },
  {
    name: "no resignation when the disk stalls",
    file: "leader.ts",
    from: "(role.unflushedSinceMs ?? Infinity)",
    to: "Infinity",
  },
  {
    name: "no pre-vote",
    file: "election.ts",
    from: '  state.role = { kind: "prospective", fallbackLeaderId, ...ballot(state) };\n  askForVotes(state, true);',
    to: "  becomeCandidate(state);",
  },
  {
    name: "one vote counted twice",
    file: "election.ts",
    from: "role.granted.set(replicaText(from), from);",
    to: "role.granted.set(`${replicaText(from)}/${role.granted.size}`, from);",
  },
  {
    name: "two voter changes at once",
    file: "leader.ts",
    from: 'if (highWatermark < log.votersEndOffset) return "changeNotCommitted";',
    to: "",
  },
  {
    name: "voters changed before the epoch's first record is committed",
    file: "leader.ts",
    from: 'if (highWatermark <= (role.epochStartOffset ?? Infinity)) return "epochNotCommitted";',
    to: "",
  },
  {
    name: "voter added that does not fetch",
    file: "leader.ts",
    from: '? "notCaughtUp" : null',
    to: "? null : null",
  },
  {
    name: "voters not taken back by a cut",
    file: "log-view.ts",
    from: "this.#voterHistory = this.#voterHistory.filter((entry) => entry.endOffset <= endOffset);",
    to: "",
  },
  {
    name: "removed leader goes on counting itself",
    file: "leader.ts",
    from: "const endOffset = voters.reachedByMajority((voter) =>",
    to:
      "const ends = voters.others(self).map((each) => role.replicas.get(replicaText(each)).endOffset);\n" +
      "  const sorted = [...ends, log.flushedEndOffset].sort((a, b) => b - a);\n" +
      "  const endOffset = sorted[voters.majority - 1] ?? voters.reachedByMajority((voter) =>",
  },
  {
    name: "removed leader leads on",
    file: "leader.ts",
    from: "if (!state.isVoter && endOffset >= log.votersEndOffset) resign(state, role);",
    to: "if (false) resign(state, role);",
  },
  {
    name: "nobody stands for election who has the record of its own removal",
    file: "state.ts",
    from: "return log.votersEndOffset > this.#highWatermark && log.previousVoters?.has(self) === true;",
    to: "return false;",
  },
  {
    name: "snapshot newer than what is committed",
    file: "snapshots.ts",
    from: "|| endOffset > highWatermark) return null;",
    to: "|| endOffset > log.endOffset) return null;",
  },
  {
    name: "snapshot does not carry the voters",
    file: "log-view.ts",
    from: "this.#voterHistory = [{ endOffset: id.endOffset, voters }];",
    to: "this.#voterHistory = [{ endOffset: id.endOffset, voters: this.voters }];",
  },
  {
    name: "fetch below the log's start answered with records",
    file: "leader.ts",
    from: "if (isBeforeStart(state, request)) {",
    to: "if (false) {",
  },
  {
    name: "a snapshot is loaded by whoever leads, or looks for a leader, by then",
    file: "node.ts",
    from: 'if (state.role.kind === "follower") onSnapshotFetched(state, state.role, event);',
    to:
      'if (state.role.kind === "follower") onSnapshotFetched(state, state.role, event);\n' +
      'else if (event.kind === "snapshotLoaded") {\n' +
      "  state.log.resetTo(event.id, new Voters(event.voters));\n" +
      '  state.do({ kind: "resetLog", id: event.id });\n}',
  },
];

const HELPERS = [
  { use: "becomeLeader(", line: 'import { becomeLeader } from "./leader.ts";' },
  { use: "new Voters(", line: 'import { VoterSet as Voters } from "./voters.ts";' },
];

const CORE = resolve("src/raft/core");

/** The core with the bug in it, in a directory of its own; `remove` it afterwards. */
export async function plant(
  bug: PlantedBug,
): Promise<{ readonly newNode: NodeFactory; remove(): void }> {
  const root = mkdtempSync(join(tmpdir(), "planted-"));
  const core = join(root, "src/raft/core");
  cpSync(CORE, core, { recursive: true });
  writeFileSync(join(root, "package.json"), '{ "type": "module" }');
  for (const layer of ["base", "protocol", "storage"]) {
    symlinkSync(resolve("src", layer), join(root, "src", layer));
  }
  const path = join(core, bug.file);
  const source = readFileSync(path, "utf8");
  assert(source.split(bug.from).length === 2, "a bug has one place", () => bug);
  writeFileSync(
    path,
    withHelpers(
      bug,
      source.replace(bug.from, () => bug.to),
    ),
  );
  if (bug.to.includes("forgetVote")) {
    const state = join(core, "state.ts");
    const text = readFileSync(state, "utf8");
    const place = "  follow(leaderId: number): void {";
    writeFileSync(
      state,
      text.replace(place, `  forgetVote(): void { this.#voted = null; }\n${place}`),
    );
  }
  const importFrom = (file: string): Promise<unknown> =>
    import(pathToFileURL(join(core, file)).href);
  const node = (await importFrom("node.ts")) as { readonly RaftNode: typeof RaftNode };
  const log = (await importFrom("log-view.ts")) as { readonly LogView: typeof LogView };
  return {
    newNode: (options) => new node.RaftNode({ ...options, log: new log.LogView(options.log) }),
    remove: () => rmSync(root, { recursive: true }),
  };
}

/** What the changed line needs and the file does not import. */
function withHelpers(bug: PlantedBug, source: string): string {
  const imports = HELPERS.filter(({ use }) => bug.file === "node.ts" && bug.to.includes(use));
  return [...imports.map(({ line }) => line), source].join("\n");
}
