import type { Effect, RaftEvent } from "../../../src/raft/core/events.ts";
import type { Batch, Message } from "../../../src/raft/core/messages.ts";
import type { RaftNode } from "../../../src/raft/core/node.ts";
import { type ReplicaKey, replicaText, type VoterSet } from "../../../src/raft/core/voters.ts";
import { isSameBatch, type ModelDisk } from "./model-disk.ts";
import { DEFAULT_TIMING as TIMING } from "../../../src/raft/core/state.ts";

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
  readonly isVoter: boolean;
  readonly disk: ModelDisk;
  /** What it had as a voter before it was wiped: a promise that was kept until then. */
  readonly lostDisk: ModelDisk | null;
  readonly watch: Watch;
}

/** What the checks remember of one process. */
export class Watch {
  role: RaftNode["role"] = "unattached";
  epoch = 0;
  leaderId: number | null = null;
  highWatermark = 0;
  /** When the leader's answer, or the node's own disk, was heard of last. */
  heardAtMs = 0;
  /** Voters that have said that they would elect this node, since it began to ask. */
  readonly preVotes = new Set<string>();
  /** When each voter's fetch came last, since the node leads. */
  readonly fetchedAtMs = new Map<string, number>();
  ledSinceMs = 0;
  /** Since when nothing of what the log's end is ahead by was synced. */
  unflushedSinceMs: number | null = null;
}

const CHECK_QUORUM_MS = 1.5 * TIMING.fetchTimeoutMs;

/** K1 to K10, K14 and K15, looked at after every step of every node. Throws Violation. */
export class Checks {
  readonly #voters: VoterSet;
  readonly #replicas: readonly CheckedReplica[];
  readonly #leaders = new Map<number, string>();
  readonly #votes = new Map<string, string>();
  readonly #appended = new Map<string, { batch: Batch; previousEpoch: number }>();
  /** Never forgotten, whatever happens to the nodes. */
  readonly committed: Batch[] = [];
  /** The epoch in which each of them was committed. */
  readonly #committedInEpochs: number[] = [];
  readonly #saidEpochs = new Map<string, number>();

  constructor(voters: VoterSet, replicas: readonly CheckedReplica[]) {
    this.#voters = voters;
    this.#replicas = replicas;
  }

  /** Before the node hears of it. */
  onEvent(replica: CheckedReplica, node: RaftNode, event: RaftEvent, nowMs: number): void {
    const { watch } = replica;
    if (event.kind === "flushed") {
      watch.heardAtMs = nowMs;
      watch.unflushedSinceMs = event.endOffset < node.endOffset ? nowMs : null;
    }
    if (event.kind !== "message" || event.message.epoch !== node.epoch) return;
    const { from, message } = event;
    if (message.kind === "fetch" && node.role === "leader") {
      watch.fetchedAtMs.set(replicaText(from), nowMs);
    }
    if (message.kind === "fetchAnswer" && from.nodeId === node.leaderId) watch.heardAtMs = nowMs;
    const isPreVote = message.kind === "voteAnswer" && message.isPreVote && message.isGranted;
    if (isPreVote && this.#voters.has(from)) watch.preVotes.add(replicaText(from));
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
      const index = this.#committedIndex(batch.baseOffset);
      const isCommitted = isSameBatch(this.committed[index], batch);
      this.#that(!isCommitted, "K10", `${replica.key.nodeId} cut ${batch.baseOffset}, committed`);
    }
  }

  #checkRole({ key, isVoter, disk, watch }: CheckedReplica, node: RaftNode, nowMs: number): void {
    const isNewEpoch = node.epoch !== watch.epoch;
    this.#that(node.epoch >= watch.epoch, "K7", `${key.nodeId} fell back to ${node.epoch}`);
    const isPassive = node.role === "unattached" || node.role === "follower";
    this.#that(isVoter || isPassive, "K14", `observer ${key.nodeId} is ${node.role}`);
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
      const count = watch.preVotes.size + 1;
      const message = `${key.nodeId} raised the epoch with ${count} pre-votes`;
      this.#that(count >= this.#voters.majority, "K15", message);
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
    const missing = this.committed.find(
      (batch, index) =>
        (this.#committedInEpochs[index] ?? 0) < epoch && !isSameBatch(disk.cached[index], batch),
    );
    const message = `${key.nodeId} leads without ${missing?.baseOffset ?? "?"}`;
    this.#that(missing === undefined, "K4", message);
  }

  /** When its timer has run, a node that was left alone for too long has drawn the conclusion. */
  #checkSilence({ key, watch }: CheckedReplica, node: RaftNode, nowMs: number): void {
    if (node.role === "follower") {
      const silentMs = nowMs - watch.heardAtMs;
      const message = `${key.nodeId} follows a leader that was silent for ${silentMs} ms`;
      this.#that(silentMs <= TIMING.fetchTimeoutMs, "K15", message);
    }
    if (node.role !== "leader") return;
    const contactMs = this.#voters.reachedByMajority((voter) => {
      const text = replicaText(voter);
      return text === replicaText(key) ? nowMs : (watch.fetchedAtMs.get(text) ?? watch.ledSinceMs);
    });
    const message = `${key.nodeId} leads without a majority since ${contactMs}`;
    this.#that(nowMs - contactMs < CHECK_QUORUM_MS, "K15", message);
    if (this.#voters.all.length === 1) return;
    const stalledMs = nowMs - (watch.unflushedSinceMs ?? nowMs);
    const stall = `${key.nodeId} leads with a disk that was silent for ${stalledMs} ms`;
    this.#that(stalledMs < 2 * TIMING.diskStallTimeoutMs, "R13", stall);
  }

  #checkEffect(replica: CheckedReplica, node: RaftNode, effect: Effect): void {
    const { key } = replica;
    switch (effect.kind) {
      case "append":
        this.#checkAppended(replica, [effect.batch]);
        break;
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
      const index = disk.cached.findLastIndex(({ baseOffset }) => baseOffset === batch.baseOffset);
      const previousEpoch = disk.cached[index - 1]?.leaderEpoch ?? 0;
      const name = `${batch.baseOffset}/${batch.leaderEpoch}`;
      const known = this.#appended.get(name) ?? { batch, previousEpoch };
      const isMatching = isSameBatch(known.batch, batch) && known.previousEpoch === previousEpoch;
      this.#that(isMatching, "K3", `two logs differ at ${name}`);
      this.#appended.set(name, known);
    }
  }

  /** The epoch start is made by the driver, so it is checked as that has made it. */
  onEpochStart(replica: CheckedReplica, batch: Batch): void {
    this.#checkAppended(replica, [batch]);
  }

  /** Nothing is said in an epoch, and no vote is given, that a power cut could take back. */
  #checkSaid({ key, isVoter, disk }: CheckedReplica, message: Message, to: number): void {
    const durable = disk.quorumState;
    const durableEpoch = durable?.leaderEpoch ?? 0;
    const isDurable = durableEpoch >= message.epoch;
    this.#that(isDurable, "K7", `${key.nodeId} says ${message.epoch}, its disk ${durableEpoch}`);
    const said = this.#saidEpochs.get(replicaText(key)) ?? 0;
    this.#saidEpochs.set(replicaText(key), Math.max(said, message.epoch));
    if (message.kind === "fetch") {
      const syncedEndOffset = disk.durable.at(-1)?.endOffset ?? 0;
      const isSynced = syncedEndOffset >= message.fetchOffset;
      this.#that(isSynced, "K9", `${key.nodeId} promised ${message.fetchOffset} unsynced`);
    }
    const isVote = message.kind === "voteAnswer" && !message.isPreVote && message.isGranted;
    const isCandidacy = message.kind === "vote" && !message.isPreVote;
    if (!isVote && !isCandidacy) return;
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
    const lastIndex = disk.cached.findIndex(({ endOffset }) => endOffset === highWatermark);
    const last = disk.cached[lastIndex];
    if (last === undefined) throw new Violation("K9", `${key.nodeId}: no batch ends there`);
    if (node.role === "leader") {
      const message = `leader of ${node.epoch} counted a record of ${last.leaderEpoch}`;
      this.#that(last.leaderEpoch === node.epoch, "K8", message);
      const synced = this.#replicas.filter((voter) => {
        const votersDisk = voter.isVoter ? voter.disk : voter.lostDisk;
        return isSameBatch(votersDisk?.durable[lastIndex], last);
      });
      const isMajority = synced.length >= this.#voters.majority;
      this.#that(isMajority, "K9", `${highWatermark} is synced by ${synced.length}`);
    }
    for (let index = 0; index <= lastIndex; index += 1) {
      const batch = disk.cached[index]!;
      if (batch.endOffset <= watch.highWatermark) continue;
      const known = this.committed[index] ?? batch;
      this.#that(isSameBatch(known, batch), "K5", `${key.nodeId} differs at ${batch.baseOffset}`);
      this.committed[index] = known;
      this.#committedInEpochs[index] = Math.min(
        this.#committedInEpochs[index] ?? node.epoch,
        node.epoch,
      );
    }
    watch.highWatermark = highWatermark;
  }

  #committedIndex(baseOffset: number): number {
    return this.committed.findIndex((batch) => batch.baseOffset === baseOffset);
  }

  #that(condition: boolean, rule: string, message: string): void {
    if (!condition) throw new Violation(rule, message);
  }
}
