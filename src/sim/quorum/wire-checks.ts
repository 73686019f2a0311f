import { ZERO_UUID } from "../../base/ids.ts";
import type { Rpc, RpcService, RpcStream, RpcStreamListener } from "../../base/rpc.ts";
import { type Hello, judgeHello } from "../../protocol/peers/hello.ts";
import type { ReplicaKey } from "../../raft/core/voters.ts";
import { isSameReplica, replicaText } from "../../raft/core/voters.ts";
import { RAFT_SERVICE } from "../../raft/peer-transport.ts";
import { decodeRaftMessage } from "../../raft/raft-codec.ts";
import type { RaftMessage } from "../../raft/transport.ts";
import type { NodeProcess, QuorumNode } from "./quorum-node.ts";
import type { Verdict } from "./verdict.ts";

type Vote = Extract<RaftMessage, { kind: "vote" }>;

/** The rules of the quorum on what its nodes say to each other, and have on their platters as they say it. */
export class WireChecks {
  readonly #verdict: Verdict;
  readonly #clusterId: string;
  /** Who the cluster was founded with; null: nobody has said so yet. */
  voters: readonly ReplicaKey[] | null = null;
  /** By epoch. */
  readonly #leaders = new Map<number, number>();
  /** By replica and epoch. */
  readonly #votes = new Map<string, number>();
  readonly #saidEpochs = new Map<string, { process: number; before: number; greatest: number }>();
  /** Who has granted a process pre-votes since it last stood for election. */
  readonly #preVotes = new WeakMap<NodeProcess, Set<number>>();
  /** When a process has heard a fetch of each voter. */
  readonly heardAtMs = new WeakMap<NodeProcess, Map<number, number>>();
  readonly #nowMs: () => number;

  constructor(verdict: Verdict, clusterId: string, nowMs: () => number) {
    this.#verdict = verdict;
    this.#clusterId = clusterId;
    this.#nowMs = nowMs;
  }

  watch(node: QuorumNode, rpc: Rpc): Rpc {
    const { process } = node;
    if (process === null) return rpc;
    const tap = (stream: RpcStream, to: () => number | null): RpcStream => ({
      remote: stream.remote,
      get queuedBytes() {
        return stream.queuedBytes;
      },
      send: (message) => {
        const target = to();
        // What a process still does in the turn of its death reaches nobody.
        if (node.process === process && target !== null) {
          this.#onSaid(node, process, target, decodeRaftMessage(message));
        }
        stream.send(message);
      },
      end: () => stream.end(),
      destroy: () => stream.destroy(),
    });
    const hear = (listener: RpcStreamListener, from: () => number | null): RpcStreamListener => ({
      onOpen: (answer) => listener.onOpen?.(answer),
      onMessage: (message) => {
        const sender = from();
        if (sender !== null) this.#onHeard(process, sender, decodeRaftMessage(message));
        listener.onMessage(message);
      },
      onDrain: () => listener.onDrain?.(),
      onEnd: (end) => listener.onEnd(end),
    });
    const service =
      (inner: RpcService): RpcService =>
      (opening) => {
        const admission = inner(opening);
        if (admission.kind === "rejected") return admission;
        this.#learn(node, admission.answer);
        const peer = this.#helloOf(opening.bytes)?.nodeId ?? null;
        return {
          ...admission,
          onStream: (stream) => hear(admission.onStream(tap(stream, () => peer)), () => peer),
        };
      };
    return {
      listen: (address, services) =>
        rpc.listen(
          address,
          new Map(
            [...services].map(([name, inner]) => [
              name,
              name === RAFT_SERVICE ? service(inner) : inner,
            ]),
          ),
        ),
      open: (address, name, opening, listener) => {
        if (name !== RAFT_SERVICE) return rpc.open(address, name, opening, listener);
        this.#learn(node, opening);
        const peer = (): number => Number(address.host.slice(1));
        return tap(rpc.open(address, name, opening, hear(listener, peer)), peer);
      },
    };
  }

  /** K1, wherever it is said or believed. */
  onLeader(teller: string, leaderId: number, epoch: number): void {
    const known = this.#leaders.get(epoch) ?? leaderId;
    this.#verdict.that(
      "K1",
      known === leaderId,
      () => `${teller}: ${leaderId} leads ${epoch}, not ${known}`,
    );
    if (!this.#leaders.has(epoch)) this.#verdict.tell(`node ${leaderId} leads epoch ${epoch}`);
    this.#leaders.set(epoch, known);
  }

  get epochCount(): number {
    return this.#leaders.size;
  }

  isVoter({ id, directoryId }: QuorumNode): boolean {
    if (directoryId === null) return false;
    return this.voters?.some((voter) => isSameReplica(voter, { nodeId: id, directoryId })) ?? false;
  }

  #helloOf(bytes: Buffer): Hello | null {
    const nobody = { nodeId: -1, directoryId: ZERO_UUID, brokerEpoch: null, address: null };
    const verdict = judgeHello(bytes, { ...nobody, clusterId: this.#clusterId });
    return verdict.kind === "peer" ? verdict.hello : null;
  }

  #learn(node: QuorumNode, hello: Buffer): void {
    node.directoryId = this.#helloOf(hello)?.directoryId ?? node.directoryId;
  }

  #onHeard(process: NodeProcess, from: number, message: RaftMessage): void {
    if (message.kind === "fetch" || message.kind === "fetchSnapshot") {
      const heard = this.heardAtMs.get(process) ?? new Map<number, number>();
      heard.set(from, this.#nowMs());
      this.heardAtMs.set(process, heard);
    }
    if (message.kind === "voteAnswer" && message.isPreVote && message.isGranted) {
      const granted = this.#preVotes.get(process) ?? new Set();
      this.#preVotes.set(process, granted.add(from));
    }
  }

  #onSaid(node: QuorumNode, process: NodeProcess, to: number, message: RaftMessage): void {
    if (!("epoch" in message) || node.directoryId === null) return;
    const key = replicaText({ nodeId: node.id, directoryId: node.directoryId });
    const { epoch } = message;
    const state = node.platter.state();
    const durable = state?.leaderEpoch ?? 0;
    this.#verdict.that(
      "K7",
      durable >= epoch,
      () => `${key} says ${message.kind} ${epoch}, its disk ${durable}`,
    );
    // Messages of one process may overtake each other; what an earlier one has said must hold for all.
    const said = this.#saidEpochs.get(key) ?? { process: 0, before: 0, greatest: 0 };
    if (said.process !== process.number) said.before = said.greatest;
    this.#verdict.that(
      "K7",
      epoch >= said.before,
      () => `${key} says ${message.kind} in ${epoch}, and has said ${said.before}`,
    );
    said.process = process.number;
    said.greatest = Math.max(said.greatest, epoch);
    this.#saidEpochs.set(key, said);
    this.#onRole(node, process, to, message);
  }

  #onRole(node: QuorumNode, process: NodeProcess, to: number, message: RaftMessage): void {
    const key = replicaText({ nodeId: node.id, directoryId: node.directoryId ?? ZERO_UUID });
    switch (message.kind) {
      case "beginQuorumEpoch":
        this.onLeader(`node ${node.id}`, node.id, message.epoch);
        this.#verdict.that(
          "K14",
          this.isVoter(node),
          () => `observer ${key} leads ${message.epoch}`,
        );
        break;
      case "fetch":
        this.#onPromise(node, message.fetchOffset);
        break;
      case "vote":
        if (!message.isPreVote) this.#onCandidacy(node, process, message);
        break;
      case "voteAnswer":
        if (!message.isPreVote && message.isGranted) {
          this.#onVote(node, { key, epoch: message.epoch, candidateId: to });
        }
        break;
      default:
        break;
    }
  }

  #onPromise(node: QuorumNode, fetchOffset: number): void {
    const synced = node.platter.endOffset();
    this.#verdict.that(
      "K9",
      synced >= fetchOffset,
      () => `${node.id} promised ${fetchOffset}, synced ${synced}`,
    );
  }

  #onCandidacy(node: QuorumNode, process: NodeProcess, { epoch }: Vote): void {
    const key = replicaText({ nodeId: node.id, directoryId: node.directoryId ?? ZERO_UUID });
    const vote = `${key}/${epoch}`;
    if (!this.#votes.has(vote)) {
      const granted = this.#preVotes.get(process)?.size ?? 0;
      const needed = Math.floor((this.voters?.length ?? 0) / 2);
      this.#verdict.that(
        "K15",
        granted >= needed,
        () => `${key} stands for ${epoch} with ${granted} pre-votes of others`,
      );
      this.#preVotes.delete(process);
      this.#verdict.tell(`node ${node.id} stands for election in epoch ${epoch}`);
    }
    this.#onVote(node, { key, epoch, candidateId: node.id });
  }

  #onVote(
    node: QuorumNode,
    vote: { readonly key: string; readonly epoch: number; readonly candidateId: number },
  ): void {
    const { key, epoch, candidateId } = vote;
    this.#verdict.that("K14", this.isVoter(node), () => `observer ${key} votes in ${epoch}`);
    this.#verdict.that("K18", !node.hasLostItsVote, () => `${key} votes in ${epoch}`);
    const name = `${key}/${epoch}`;
    const first = this.#votes.get(name) ?? candidateId;
    this.#verdict.that(
      "K6",
      first === candidateId,
      () => `${name} is given to ${first} and ${candidateId}`,
    );
    this.#votes.set(name, first);
    const state = node.platter.state();
    const isKept = (state?.leaderEpoch ?? 0) > epoch || state?.voted?.nodeId === candidateId;
    this.#verdict.that("K6", isKept, () => `${name} is not on the disk`);
  }
}
