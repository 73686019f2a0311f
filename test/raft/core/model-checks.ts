import type { Effect, RaftEvent } from "../../../src/raft/core/events.ts";
import type { Batch, Message } from "../../../src/raft/core/messages.ts";
import type { RaftNode } from "../../../src/raft/core/node.ts";
import { DEFAULT_TIMING as TIMING } from "../../../src/raft/core/state.ts";
import {
  isSameReplica,
  type ReplicaKey,
  replicaText,
  VoterSet,
} from "../../../src/raft/core/voters.ts";
import { isSameBatch, type ModelDisk } from "./model-disk.ts";
import { CommittedLog, type Snapshot, type State, votersIn } from "./model-state.ts";

/** A rule of reliability.md, section 3, that does not hold. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: string;

  constructor(rule: string, message: string) {
    super(`${rule}: ${message}`);
    this.rule = rule;
  }
}

export interface CheckedReplica {
  readonly key: ReplicaKey;
  readonly disk: ModelDisk;
  /** What it had before it was wiped: as a voter it promised it, and kept it until then. */
  readonly lost: { readonly key: ReplicaKey; readonly disk: ModelDisk } | null;
  readonly watch: Watch;
}

/** What the checks remember of one process. */
export class Watch {
  role: RaftNode["role"] = "unattached";
  epoch = 0;
  leaderId: number | null = null;
  highWatermark: number;
  /** When the leader's answer, or the node's own disk, was heard of last. */
  heardAtMs = 0;
  /** Voters that have said that they would elect this node, since it began to ask. */
  readonly preVotes = new Set<string>();
  /** When each voter's fetch came last, since the node leads. */
  readonly fetchedAtMs = new Map<string, number>();
  ledSinceMs = 0;
  /** How often the leader has said in vain that the logs part. */
  diverging = { atOffset: 0, count: 0 };
  /** Since when nothing of what the log's end is ahead by was synced. */
  unflushedSinceMs: number | null = null;

  constructor(highWatermark: number) {
    this.highWatermark = highWatermark;
  }
}

/** A voter set that some leader appended. */
export interface AppendedVoters {
  readonly endOffset: number;
  readonly voters: VoterSet;
}

const ANSWERS: ReadonlySet<Message["kind"]> = new Set([
  "fetchAnswer",
  "snapshotChunk",
  "snapshotGone",
]);
/** Late and doubled answers may come while there is something else to do. */
const MAX_DIVERGING = 10;
const CHECK_QUORUM_MS = 1.5 * TIMING.fetchTimeoutMs;

/** K1 to K15, looked at after every step of every node. Throws Violation. */
export class Checks {
  readonly #replicas: readonly CheckedReplica[];
  readonly #leaders = new Map<number, string>();
  readonly #votes = new Map<string, string>();
  readonly #appended = new Map<string, { batch: Batch; previousEpoch: number }>();
  readonly committed = new CommittedLog();
  readonly #saidEpochs = new Map<string, number>();
  /** Every set of voters that was ever appended; the first is whom the cluster was founded by. */
  readonly appendedVoters: AppendedVoters[];
  readonly #everVoters = new Set<string>();

  constructor(firstVoters: VoterSet, replicas: readonly CheckedReplica[]) {
    this.#replicas = replicas;
    this.appendedVoters = [];
    this.#noteVoters(0, firstVoters);
  }

  /** The voter sets that may still be in force somewhere, or come to be. */
  get possibleVoters(): readonly VoterSet[] {
    const { appendedVoters: all, committed } = this;
    const last = all.findLast(({ endOffset, voters }) => {
      const batch = committed.batches.find((each) => each.endOffset === endOffset);
      const named = batch === undefined ? null : votersIn(batch.bytes);
      return named !== null && isSameSet(new VoterSet(named), voters);
    });
    const fromOffset = last?.endOffset ?? 0;
    return all.filter(({ endOffset }) => endOffset >= fromOffset).map(({ voters }) => voters);
  }

  /** Before the node hears of it. */
  onEvent(replica: CheckedReplica, node: RaftNode, event: RaftEvent, nowMs: number): void {
    const { watch } = replica;
    if (event.kind === "snapshotWritten" || event.kind === "snapshotRejected") {
      watch.heardAtMs = nowMs;
    }
    if (event.kind === "flushed") {
      watch.heardAtMs = nowMs;
      watch.unflushedSinceMs = event.endOffset < node.endOffset ? nowMs : null;
    }
    if (event.kind !== "message" || event.message.epoch !== node.epoch) return;
    const { from, message } = event;
    const isFetch = message.kind === "fetch" || message.kind === "fetchSnapshot";
    if (isFetch && node.role === "leader") watch.fetchedAtMs.set(replicaText(from), nowMs);
    const isAnswer = ANSWERS.has(message.kind);
    if (isAnswer && from.nodeId === node.leaderId) watch.heardAtMs = nowMs;
    if (isAnswer && from.nodeId === node.leaderId) this.#checkDiverging(replica, node, message);
    const isPreVote = message.kind === "voteAnswer" && message.isPreVote && message.isGranted;
    if (isPreVote && replica.disk.votersNow.voters.has(from)) watch.preVotes.add(replicaText(from));
  }

  #checkDiverging({ key, watch }: CheckedReplica, node: RaftNode, message: Message): void {
    const isDiverging = message.kind === "fetchAnswer" && message.outcome.kind === "diverging";
    if (!isDiverging || message.fetchOffset !== node.endOffset) return;
    const { atOffset, count } = watch.diverging;
    const next = { atOffset: node.endOffset, count: atOffset === node.endOffset ? count + 1 : 1 };
    watch.diverging = next;
    this.#that(next.count < MAX_DIVERGING, "K3", `${key.nodeId} keeps what its leader has not`);
  }

  onStart({ key, disk }: CheckedReplica, node: RaftNode): void {
    const said = this.#saidEpochs.get(replicaText(key)) ?? 0;
    this.#that(node.epoch >= said, "K7", `${key.nodeId} was in epoch ${said}, is in ${node.epoch}`);
    const { quorumState } = disk;
    const epoch = quorumState?.leaderEpoch ?? 0;
    this.#that(epoch >= said, "K7", `${key.nodeId} said ${said}, its disk says ${epoch}`);
  }

  /** After the step, when the log's effects have been done. */
  onStep(
    replica: CheckedReplica,
    node: RaftNode,
    step: {
      event: RaftEvent;
      effects: readonly Effect[];
      nowMs: number;
      removed: readonly Batch[];
    },
  ): void {
    if (node.flushedEndOffset < node.endOffset) replica.watch.unflushedSinceMs ??= step.nowMs;
    this.#checkRole(replica, node, step.nowMs);
    if (step.event.kind === "tick") this.#checkSilence(replica, node, step.nowMs);
    for (const effect of step.effects) this.#checkEffect(replica, node, effect);
    for (const batch of step.removed) {
      const isCommitted = this.committed.has(batch);
      this.#that(!isCommitted, "K10", `${replica.key.nodeId} cut ${batch.baseOffset}, committed`);
    }
    this.#checkVoters(replica, node);
  }

  /** They follow from the log, whatever was appended to it, cut, or loaded. */
  #checkVoters({ key, disk, watch }: CheckedReplica, node: RaftNode): void {
    const { voters, endOffset } = disk.votersNow;
    const message = `${key.nodeId} goes by ${namesOf(node.voters)}, its log says ${namesOf(voters)}`;
    this.#that(isSameSet(node.voters, voters), "K13", message);
    const isRemoved = !voters.has(key) && watch.highWatermark >= endOffset;
    const leads = `${key.nodeId} leads although its removal is committed`;
    this.#that(node.role !== "leader" || !isRemoved, "K13", leads);
  }

  /** What a snapshot says is what replaying all below its end comes to. */
  onSnapshot({ key }: CheckedReplica, { id, hash, voters }: Snapshot): void {
    const state = this.committed.stateAt(id.endOffset);
    const name = `the snapshot of ${key.nodeId} at ${id.endOffset}@${id.epoch}`;
    if (state === undefined) throw new Violation("K11", `${name} holds what is not committed`);
    const isSame = state.hash === hash && state.epoch === id.epoch;
    this.#that(isSame, "K11", `${name} is not what the log comes to`);
    const last = this.committed.batches.findLast(
      (batch) => batch.endOffset <= id.endOffset && votersIn(batch.bytes) !== null,
    );
    const expected = last === undefined ? null : votersIn(last.bytes);
    const isCarried = expected === null || isSameSet(new VoterSet(expected), new VoterSet(voters));
    this.#that(isCarried, "K11", `${name} has other voters than the log`);
  }

  /** After the state machine was given what is committed. */
  onState({ key }: CheckedReplica, { endOffset, hash }: State): void {
    const message = `the state of ${key.nodeId} at ${endOffset} is not what the log comes to`;
    this.#that(this.committed.stateAt(endOffset)?.hash === hash, "K5", message);
  }

  #checkRole({ key, disk, watch }: CheckedReplica, node: RaftNode, nowMs: number): void {
    const isNewEpoch = node.epoch !== watch.epoch;
    const { voters } = disk.votersNow;
    this.#that(node.epoch >= watch.epoch, "K7", `${key.nodeId} fell back to ${node.epoch}`);
    const isElecting = node.role === "prospective" || node.role === "candidate";
    // One that has removed itself leads on until that is committed.
    const isElected = node.role === "leader" && (watch.role !== "leader" || isNewEpoch);
    const { endOffset } = disk.votersNow;
    // Nor can anybody else be elected, perhaps, while it alone has the record that removes it.
    const isBeingRemoved =
      endOffset > watch.highWatermark && disk.voterHistory.at(-2)?.voters.has(key) === true;
    const isVoter = voters.has(key) || isBeingRemoved;
    this.#that(
      isVoter || !(isElecting || isElected),
      "K14",
      `observer ${key.nodeId} is ${node.role}`,
    );
    if (node.role === "leader") {
      const leader = this.#leaders.get(node.epoch) ?? replicaText(key);
      this.#that(leader === replicaText(key), "K1", `two leaders in ${node.epoch}`);
      this.#leaders.set(node.epoch, leader);
      if (watch.role !== "leader" || isNewEpoch) {
        watch.ledSinceMs = nowMs;
        watch.fetchedAtMs.clear();
        if (watch.unflushedSinceMs !== null) watch.unflushedSinceMs = nowMs;
        this.#checkCompleteness(key, disk, node.epoch);
      }
    }
    if (node.role === "candidate" && (watch.role !== "candidate" || isNewEpoch)) {
      const count = watch.preVotes.size + (voters.has(key) ? 1 : 0);
      const message = `${key.nodeId} raised the epoch with ${count} pre-votes`;
      this.#that(count >= voters.majority, "K15", message);
    }
    if (node.role === "prospective" && watch.role !== "prospective") watch.preVotes.clear();
    const isNewLeader = node.leaderId !== watch.leaderId || isNewEpoch;
    if (node.role === "follower" && (watch.role !== "follower" || isNewLeader)) {
      watch.heardAtMs = nowMs;
    }
    watch.role = node.role;
    watch.epoch = node.epoch;
    watch.leaderId = node.leaderId;
  }

  /** K4: what was committed in an earlier epoch is in the log of a later one's leader. */
  #checkCompleteness(key: ReplicaKey, disk: ModelDisk, epoch: number): void {
    const missing = this.committed.before(epoch).find((batch) => !disk.holds(batch));
    const message = `${key.nodeId} leads without ${missing?.baseOffset ?? "?"}`;
    this.#that(missing === undefined, "K4", message);
  }

  /** When its timer has run, a node that was left alone for too long has drawn the conclusion. */
  #checkSilence({ key, disk, watch }: CheckedReplica, node: RaftNode, nowMs: number): void {
    if (node.role === "follower") {
      const silentMs = nowMs - watch.heardAtMs;
      const message = `${key.nodeId} follows a leader that was silent for ${silentMs} ms`;
      this.#that(silentMs <= TIMING.fetchTimeoutMs, "K15", message);
    }
    if (node.role !== "leader") return;
    const { voters } = disk.votersNow;
    const contactMs = voters.reachedByMajority((voter) => {
      const text = replicaText(voter);
      return text === replicaText(key) ? nowMs : (watch.fetchedAtMs.get(text) ?? watch.ledSinceMs);
    });
    const message = `${key.nodeId} leads without a majority since ${contactMs}`;
    this.#that(nowMs - contactMs < CHECK_QUORUM_MS, "K15", message);
    if (voters.isOnly(key)) return;
    const stalledMs = nowMs - (watch.unflushedSinceMs ?? nowMs);
    const stall = `${key.nodeId} leads with a disk that was silent for ${stalledMs} ms`;
    this.#that(stalledMs < 2 * TIMING.diskStallTimeoutMs, "R13", stall);
  }

  #checkEffect(replica: CheckedReplica, node: RaftNode, effect: Effect): void {
    const { key, disk } = replica;
    switch (effect.kind) {
      case "append":
        this.#checkAppended(replica, [effect.batch]);
        break;
      case "sendRecords": {
        const { fetchOffset } = effect.position;
        const isThere = fetchOffset >= disk.log.start.endOffset;
        this.#that(isThere, "K11", `${key.nodeId} sends from ${fetchOffset}, which it has dropped`);
        break;
      }
      case "resetLog": {
        const isFollower = node.role === "follower";
        this.#that(isFollower, "K12", `${node.role} ${key.nodeId} loaded a snapshot`);
        const isAbove = effect.id.endOffset > replica.watch.highWatermark;
        this.#that(isAbove, "K10", `${key.nodeId} went back to ${effect.id.endOffset}`);
        break;
      }
      case "appendFetched":
        this.#that(node.role !== "leader", "K2", `leader ${key.nodeId} took another's records`);
        this.#checkAppended(replica, effect.batches);
        break;
      case "truncate": {
        this.#that(node.role !== "leader", "K2", `leader ${key.nodeId} cut its log`);
        const isAbove = effect.endOffset >= replica.watch.highWatermark;
        this.#that(isAbove, "K10", `${key.nodeId} cut to ${effect.endOffset}`);
        break;
      }
      case "send":
        this.#checkSaid(replica, effect.message, effect.to);
        break;
      case "leaderChange": {
        // Its controller would decide, and other nodes would turn to it.
        const isTrue = effect.leaderId !== key.nodeId || node.role === "leader";
        this.#that(isTrue, "K1", `${key.nodeId} says that it leads, and is ${node.role}`);
        break;
      }
      case "commit":
        this.#checkCommit(replica, node, effect.highWatermark);
        break;
      default:
        break;
    }
  }

  /** K3, by induction: one (offset, epoch) has one content, and one epoch before it. */
  #checkAppended({ disk }: CheckedReplica, batches: readonly Batch[]): void {
    for (const batch of batches) {
      const { start, batches: all } = disk.log;
      const previous = all.findLast(({ endOffset }) => endOffset === batch.baseOffset);
      const previousEpoch = previous?.leaderEpoch ?? start.epoch;
      const name = `${batch.baseOffset}/${batch.leaderEpoch}`;
      const known = this.#appended.get(name) ?? { batch, previousEpoch };
      const isMatching = isSameBatch(known.batch, batch) && known.previousEpoch === previousEpoch;
      this.#that(isMatching, "K3", `two logs differ at ${name}`);
      this.#appended.set(name, known);
    }
  }

  /** Control batches are made by the driver, so they are checked as that has made them. */
  onControlBatch(replica: CheckedReplica, batch: Batch): void {
    this.#checkAppended(replica, [batch]);
    const named = votersIn(batch.bytes);
    if (named !== null) this.#noteVoters(batch.endOffset, new VoterSet(named));
  }

  #noteVoters(endOffset: number, voters: VoterSet): void {
    this.appendedVoters.push({ endOffset, voters });
    for (const voter of voters.all) this.#everVoters.add(replicaText(voter));
  }

  /** Before it is appended: one at a time, each on top of a committed one, and of the epoch's own record. */
  onVoterChange(
    { key, disk, watch }: CheckedReplica,
    node: RaftNode,
    next: VoterSet,
    nowMs: number,
  ): void {
    const { voters, endOffset } = disk.votersNow;
    const name = `${key.nodeId} changes ${namesOf(voters)} to ${namesOf(next)}`;
    const both = voters.all.filter((voter) => next.has(voter)).length;
    const size = Math.max(voters.all.length, next.all.length);
    this.#that(both === size - 1, "K13", `${name}, more than one`);
    const isCommitted = watch.highWatermark >= endOffset;
    this.#that(isCommitted, "K13", `${name}, and the last change is not committed`);
    const isOwn = this.committed.hasEpoch(node.epoch);
    this.#that(isOwn, "K13", `${name}, and nothing of epoch ${node.epoch} is committed`);
    for (const added of next.others(key).filter((voter) => !voters.has(voter))) {
      const silentMs = nowMs - (watch.fetchedAtMs.get(replicaText(added)) ?? -Infinity);
      this.#that(silentMs <= TIMING.fetchTimeoutMs, "K13", `${name}, silent for ${silentMs} ms`);
    }
  }

  /** Nothing is said in an epoch, and no vote is given, that a power cut could take back. */
  #checkSaid({ key, disk }: CheckedReplica, message: Message, to: number): void {
    const durable = disk.quorumState;
    const durableEpoch = durable?.leaderEpoch ?? 0;
    const isDurable = durableEpoch >= message.epoch;
    this.#that(isDurable, "K7", `${key.nodeId} says ${message.epoch}, its disk ${durableEpoch}`);
    const said = this.#saidEpochs.get(replicaText(key)) ?? 0;
    this.#saidEpochs.set(replicaText(key), Math.max(said, message.epoch));
    if (message.kind === "fetch") {
      const isSynced = disk.durableEndOffset >= message.fetchOffset;
      this.#that(isSynced, "K9", `${key.nodeId} promised ${message.fetchOffset} unsynced`);
    }
    const isVote = message.kind === "voteAnswer" && !message.isPreVote && message.isGranted;
    const isCandidacy = message.kind === "vote" && !message.isPreVote;
    if (!isVote && !isCandidacy) return;
    // One that was added may not know it yet, when it is asked by one that does.
    const isVoter = this.#everVoters.has(replicaText(key));
    this.#that(isVoter, "K14", `observer ${key.nodeId} votes`);
    const candidateId = isVote ? to : key.nodeId;
    const vote = `${replicaText(key)}/${message.epoch}`;
    const first = this.#votes.get(vote) ?? String(candidateId);
    this.#that(first === String(candidateId), "K6", `${vote} voted twice`);
    this.#votes.set(vote, first);
    const isKept = durableEpoch > message.epoch || durable?.voted?.nodeId === candidateId;
    this.#that(isKept, "K6", `${vote} is not on the disk`);
  }

  #checkCommit(replica: CheckedReplica, node: RaftNode, highWatermark: number): void {
    const { key, disk, watch } = replica;
    this.#that(highWatermark > watch.highWatermark, "K9", `${key.nodeId}: fell`);
    const { batches } = disk.log;
    const last = batches.find(({ endOffset }) => endOffset === highWatermark);
    if (node.role === "leader") {
      if (last === undefined) throw new Violation("K9", `${key.nodeId}: no batch ends there`);
      const message = `leader of ${node.epoch} counted a record of ${last.leaderEpoch}`;
      this.#that(last.leaderEpoch === node.epoch, "K8", message);
      const { voters } = disk.votersNow;
      const synced = voters.all.filter((voter) => this.#diskOf(voter)?.holdsDurably(last) === true);
      const isMajority = synced.length >= voters.majority;
      this.#that(isMajority, "K9", `${highWatermark} is synced by ${synced.length}`);
    } else if (last === undefined) {
      const isSnapshot = highWatermark === disk.log.start.endOffset;
      this.#that(isSnapshot, "K9", `${key.nodeId}: nothing ends at ${highWatermark}`);
    }
    for (const batch of batches) {
      if (batch.endOffset > highWatermark) break;
      if (batch.endOffset <= watch.highWatermark) continue;
      const isSame = this.committed.commit(batch, node.epoch);
      this.#that(isSame, "K5", `${key.nodeId} differs at ${batch.baseOffset}`);
    }
    watch.highWatermark = highWatermark;
  }

  #diskOf(voter: ReplicaKey): ModelDisk | null {
    for (const { key, disk, lost } of this.#replicas) {
      if (isSameReplica(key, voter)) return disk;
      if (lost !== null && isSameReplica(lost.key, voter)) return lost.disk;
    }
    return null;
  }

  #that(condition: boolean, rule: string, message: string): void {
    if (!condition) throw new Violation(rule, message);
  }
}

function isSameSet(a: VoterSet, b: VoterSet): boolean {
  return a.all.length === b.all.length && a.all.every((voter) => b.has(voter));
}

function namesOf({ all }: VoterSet): string {
  return all.map(({ nodeId, directoryId }) => `${nodeId}:${directoryId.slice(0, 2)}`).join();
}
