import { decodeMetadataRecord } from "../../protocol/metadata-records.ts";
import type {
  CommittedBatch,
  RaftClient,
  RaftListener,
  SnapshotPart,
} from "../../raft/raft-client.ts";
import { type ReplicaKey, replicaText } from "../../raft/core/voters.ts";
import { EMPTY_IMAGE, type MetadataImage } from "../../server/metadata/image.ts";
import { ImageBuilder } from "../../server/metadata/image-builder.ts";
import { imageText } from "./image-text.ts";
import type { NodeProcess, QuorumNode } from "./quorum-node.ts";
import type { ReferenceLog } from "./reference-log.ts";
import type { Verdict } from "./verdict.ts";
import type { WireChecks } from "./wire-checks.ts";

/** A majority is asked for every second; so much later a leader without one must be gone (K15). */
const MAX_LONELY_MS = 4_500;

/** What is known of one process, as it was at the last look. */
interface Look {
  readonly highWatermark: number;
  readonly nextOffset: number;
  readonly epoch: number;
  readonly isLeader: boolean;
  /** Since when it leads, or its process goes on after a pause. */
  readonly sinceMs: number;
}

interface Dependencies {
  readonly verdict: Verdict;
  readonly wire: WireChecks;
  readonly reference: ReferenceLog;
  readonly nowMs: () => number;
  /** How many are configured: all of them found the cluster, or nobody. */
  readonly voterCount: number;
}

/** The rules of the quorum on what a node is given and does, and on how it stands after each event. */
export class RaftChecks {
  readonly #dependencies: Dependencies;
  readonly #looks = new WeakMap<NodeProcess, Look>();

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
  }

  /** Stands between a process and its log. */
  watch(node: QuorumNode, raft: RaftClient): RaftClient {
    const { verdict, reference } = this.#dependencies;
    return {
      get leader() {
        return raft.leader;
      },
      get nextOffset() {
        return raft.nextOffset;
      },
      get highWatermark() {
        return raft.highWatermark;
      },
      get quorum() {
        return raft.quorum;
      },
      start: (listener) => raft.start(this.#listener(node, raft, listener)),
      append: (leaderEpoch, values) => raft.append(leaderEpoch, values),
      changeVoters: (change) => raft.changeVoters(change),
      createSnapshot: (endOffset, timestampMs, records) => {
        const values = [...records];
        const expected = reference.imageAt(endOffset);
        verdict.that(
          "K11",
          imageText(replayed(values)) === imageText(expected),
          () => `node ${node.id} takes a snapshot to ${endOffset}`,
        );
        verdict.tell(`node ${node.id} takes a snapshot to ${endOffset}`);
        return raft.createSnapshot(endOffset, timestampMs, values);
      },
      close: () => raft.close(),
    };
  }

  #listener(node: QuorumNode, raft: RaftClient, listener: RaftListener): RaftListener {
    const { verdict, reference, wire } = this.#dependencies;
    const given = { offset: 0, leads: false };
    let parts: Buffer[] = [];
    return {
      onCommitted: (batches) => {
        for (const batch of batches) this.#onDelivered(node, raft, given, batch);
        listener.onCommitted(batches);
      },
      onSnapshot: (part) => {
        verdict.that("K12", !given.leads, () => `node ${node.id} leads, and loads a snapshot`);
        if (part.isFirst) parts = [];
        parts.push(...part.records.map((record) => Buffer.from(record)));
        if (part.isLast) {
          this.#onLoaded(node, given.offset, part, parts);
          given.offset = part.endOffset;
        }
        listener.onSnapshot?.(part);
      },
      onSnapshotDue: () => listener.onSnapshotDue?.(),
      onLeaderChange: (leader) => {
        const { leaderId, leaderEpoch } = leader;
        if (leaderId !== null) wire.onLeader(`node ${node.id}`, leaderId, leaderEpoch);
        given.leads = leaderId === node.id;
        if (given.leads) {
          const needed = reference.endBefore(leaderEpoch);
          verdict.that(
            "K4",
            given.offset >= needed,
            () => `node ${node.id} leads ${leaderEpoch}, was given ${given.offset} of ${needed}`,
          );
        }
        listener.onLeaderChange(leader);
      },
      onFailure: (error) => {
        given.leads = false;
        verdict.tell(`node ${node.id}: its log has failed: ${error.message}`);
        listener.onFailure(error);
      },
    };
  }

  #onDelivered(
    node: QuorumNode,
    raft: RaftClient,
    given: { offset: number },
    batch: CommittedBatch,
  ): void {
    const { verdict, reference } = this.#dependencies;
    verdict.that(
      "K17",
      batch.baseOffset === given.offset,
      () => `node ${node.id} was given ${batch.baseOffset} after ${given.offset}`,
    );
    given.offset = batch.lastOffset + 1;
    if (!reference.isNew(batch)) {
      verdict.that(
        "K5",
        reference.has(batch),
        () => `node ${node.id} was given another ${batch.baseOffset}`,
      );
      return;
    }
    const { leader, highWatermark } = raft;
    if (leader.leaderId === node.id && highWatermark === given.offset) {
      verdict.that(
        "K8",
        batch.leaderEpoch === leader.leaderEpoch,
        () =>
          `leader of ${leader.leaderEpoch} found ${batch.baseOffset}/${batch.leaderEpoch} committed`,
      );
    }
    reference.add(node, batch);
  }

  #onLoaded(node: QuorumNode, before: number, part: SnapshotPart, values: readonly Buffer[]): void {
    const { verdict, reference } = this.#dependencies;
    const { endOffset } = part;
    verdict.that("K17", endOffset >= before, () => `node ${node.id} went back to ${endOffset}`);
    const isSame = imageText(replayed(values)) === imageText(reference.imageAt(endOffset));
    verdict.that("K11", isSame, () => `node ${node.id} loads a snapshot to ${endOffset}`);
    verdict.tell(`node ${node.id} begins with the snapshot to ${endOffset}`);
  }

  /** After each event of the world. */
  look(nodes: readonly QuorumNode[]): void {
    for (const node of nodes) if (node.process?.raft) this.#lookAt(node, node.process);
  }

  #lookAt(node: QuorumNode, process: NodeProcess): void {
    const { raft } = process;
    if (raft === null) return;
    const { verdict, wire, nowMs } = this.#dependencies;
    const { leader, highWatermark, nextOffset } = raft;
    const before = this.#looks.get(process);
    const epoch = leader.leaderEpoch;
    const isLeader = leader.leaderId === node.id;
    const goesOn = before?.isLeader === isLeader && before.epoch === epoch && !process.gate.isShut;
    const sinceMs = goesOn ? before.sinceMs : nowMs();
    this.#looks.set(process, { highWatermark, nextOffset, epoch, isLeader, sinceMs });
    verdict.that(
      "K10",
      nextOffset >= highWatermark,
      () => `node ${node.id} has ${nextOffset}, committed is ${highWatermark}`,
    );
    if (before === undefined) {
      this.#lookAtVoters(node, raft);
      return;
    }
    verdict.that(
      "K9",
      highWatermark >= before.highWatermark,
      () =>
        `the high watermark of ${node.id} falls from ${before.highWatermark} to ${highWatermark}`,
    );
    verdict.that(
      "K7",
      epoch >= before.epoch,
      () => `node ${node.id} goes from epoch ${before.epoch} to ${epoch}`,
    );
    if (!isLeader) return;
    if (!before.isLeader || epoch !== before.epoch) wire.onLeader(node.machine, node.id, epoch);
    else
      verdict.that(
        "K2",
        nextOffset >= before.nextOffset,
        () => `leader ${node.id} cuts its log from ${before.nextOffset} to ${nextOffset}`,
      );
    if (!process.gate.isShut) this.#lookAtMajority(node, process, sinceMs);
  }

  /** K13: nobody changes the voters here. */
  #lookAtVoters(node: QuorumNode, raft: RaftClient): void {
    const { verdict, wire } = this.#dependencies;
    const { voters } = raft.quorum;
    if (voters.length === 0) return;
    wire.voters ??= voters;
    const textOf = (keys: readonly ReplicaKey[]): string => keys.map(replicaText).sort().join();
    const [known, said] = [textOf(wire.voters), textOf(voters)];
    verdict.that("K13", known === said, () => `node ${node.id} goes by ${said}, not ${known}`);
    verdict.that(
      "R14",
      voters.length === this.#dependencies.voterCount,
      () => `a cluster of ${said} alone was founded`,
    );
    verdict.that("R14", known === said, () => `node ${node.id} is of ${said}, not of ${known}`);
  }

  #lookAtMajority(node: QuorumNode, process: NodeProcess, sinceMs: number): void {
    const { verdict, wire, nowMs } = this.#dependencies;
    const heard = wire.heardAtMs.get(process) ?? new Map<number, number>();
    const others = (wire.voters ?? []).filter(({ nodeId }) => nodeId !== node.id);
    const times = others.map(({ nodeId }) => heard.get(nodeId) ?? 0).sort((a, b) => b - a);
    const needed = Math.floor((others.length + 1) / 2);
    const lastMs = Math.max(sinceMs, times[needed - 1] ?? nowMs());
    verdict.that(
      "K15",
      nowMs() - lastMs < MAX_LONELY_MS,
      () => `${node.id} leads, and has heard no majority since ${Math.round(lastMs)} ms`,
    );
  }
}

function replayed(values: readonly Buffer[]): MetadataImage {
  const builder = new ImageBuilder(EMPTY_IMAGE);
  for (const value of values) builder.replay(decodeMetadataRecord(value));
  return builder.build().image;
}
