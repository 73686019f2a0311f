import { must } from "../../src/base/assert.ts";
import { type Random, randomBelow, randomUuid, SeededRandom } from "../../src/base/random.ts";
import type { ReplicaKey } from "../../src/raft/core/voters.ts";
import {
  Formation,
  type FormationEffect,
  type FormationEvent,
  type FormationOptions,
  type FormationState,
} from "../../src/raft/formation.ts";
import type { FormationMessage } from "../../src/raft/formation-messages.ts";

export type FormationFactory = (options: FormationOptions) => Pick<Formation, "step">;

interface Node {
  key: ReplicaKey;
  /** What its process believes; null: it is down. */
  process: Pick<Formation, "step"> | null;
  disk: FormationState;
  writing: FormationState | null;
}

const VOTER_IDS = [1, 2, 3];
const CLUSTER_ID = "model";

/** Voters of one founding, by directory: two different ones are two clusters. */
function nameOf(voters: readonly ReplicaKey[]): string {
  return voters.map(({ nodeId, directoryId }) => `${nodeId}:${directoryId}`).join();
}

/**
 * Three configured voters and an observer form a cluster, while messages are lost, late, doubled and out
 * of order, processes die and disks are wiped (or come back after they were taken out). Throws when two
 * clusters are formed, a wiped disk is a voter, or nothing is formed although nothing hinders it.
 */
export function runFormation(newFormation: FormationFactory, seed: number): void {
  new Model(newFormation, seed).run();
}

class Model {
  readonly #newFormation: FormationFactory;
  readonly #chance: Random;
  readonly #nodes: Node[];
  readonly #inFlight: { from: ReplicaKey; to: number; message: FormationMessage }[] = [];
  /** Disks that were taken out: they may be put back. */
  readonly #removed: Pick<Node, "key" | "disk">[] = [];
  readonly #clusters = new Set<string>();
  #wipeCount = 0;

  constructor(newFormation: FormationFactory, seed: number) {
    this.#newFormation = newFormation;
    this.#chance = new SeededRandom(`formation-${seed}`);
    this.#nodes = [...VOTER_IDS, 4].map((nodeId) => ({
      key: { nodeId, directoryId: randomUuid(this.#chance) },
      process: null,
      disk: { kind: "empty" },
      writing: null,
    }));
  }

  run(): void {
    for (let count = 0; count < 400; count += 1) this.#fault();
    for (let count = 0; count < 600; count += 1) this.#goOn();
    // Whatever was wiped may wait for an operator; what was not must have found a cluster.
    if (this.#wipeCount === 0 && this.#nodes.some(({ disk }) => disk.kind !== "formed")) {
      throw new Error("progress: the cluster was not formed");
    }
  }

  #fault(): void {
    const node = this.#any();
    switch (randomBelow(this.#chance, 60)) {
      case 0:
        this.#kill(node);
        break;
      case 1:
        this.#wipe(node);
        break;
      case 2:
        this.#putBack();
        break;
      case 3:
        this.#inFlight.splice(0, randomBelow(this.#chance, 1 + this.#inFlight.length));
        break;
      default:
        this.#goOn();
    }
  }

  #goOn(): void {
    const node = this.#any();
    switch (randomBelow(this.#chance, 4)) {
      case 0:
        this.#start(node);
        break;
      case 1:
        this.#persisted(node);
        break;
      case 2:
        this.#step(node, { kind: "tick" });
        break;
      default:
        this.#deliver();
    }
  }

  #start(node: Node): void {
    if (node.process !== null || node.disk.kind === "formed") return;
    const { key: self, disk: state } = node;
    node.process = this.#newFormation({ self, clusterId: CLUSTER_ID, voterIds: VOTER_IDS, state });
  }

  #kill(node: Node): void {
    // The rename may have happened or not.
    if (node.writing !== null && randomBelow(this.#chance, 2) === 0)
      this.#write(node, node.writing);
    node.writing = null;
    node.process = null;
  }

  #wipe(node: Node): void {
    if (this.#wipeCount >= 3) return;
    this.#wipeCount += 1;
    this.#kill(node);
    this.#removed.push({ key: node.key, disk: node.disk });
    node.key = { nodeId: node.key.nodeId, directoryId: randomUuid(this.#chance) };
    node.disk = { kind: "empty" };
  }

  #putBack(): void {
    const old = this.#removed.shift();
    if (old === undefined) return;
    const node = must(
      this.#nodes.find(({ key }) => key.nodeId === old.key.nodeId),
      "it was a node's",
    );
    this.#kill(node);
    this.#removed.push({ key: node.key, disk: node.disk });
    node.key = old.key;
    node.disk = old.disk;
  }

  #persisted(node: Node): void {
    if (node.writing === null || node.process === null) return;
    const state = node.writing;
    node.writing = null;
    this.#write(node, state);
    this.#step(node, { kind: "persisted" });
  }

  #write(node: Node, state: FormationState): void {
    node.disk = state;
    if (state.kind !== "formed") return;
    this.#clusters.add(nameOf(state.voters));
    if (this.#clusters.size > 1) throw new Error("R14: two clusters formed");
    const votes = state.voters.filter(({ nodeId }) => VOTER_IDS.includes(nodeId));
    if (votes.length !== VOTER_IDS.length) throw new Error("R14: not all were asked");
  }

  #deliver(): void {
    const index = randomBelow(this.#chance, Math.max(1, this.#inFlight.length));
    const sent = this.#inFlight[index];
    if (sent === undefined) return;
    // Now and then it comes twice.
    if (randomBelow(this.#chance, 10) > 0) this.#inFlight.splice(index, 1);
    const { from, to, message } = sent;
    const node = this.#nodes.find(({ key }) => key.nodeId === to);
    if (node === undefined) return;
    if (node.disk.kind === "formed") this.#answerFormed(node, from, message);
    else this.#step(node, { kind: "message", from, message });
  }

  /** As RaftDriver does. */
  #answerFormed({ key, disk }: Node, to: ReplicaKey, { kind }: FormationMessage): void {
    if (disk.kind !== "formed" || kind === "formed" || kind === "promised") return;
    const { voters } = disk;
    const message = { kind: "formed", clusterId: CLUSTER_ID, voters } as const;
    this.#inFlight.push({ from: key, to: to.nodeId, message });
  }

  #step(node: Node, event: FormationEvent): void {
    for (const effect of node.process?.step(event) ?? []) this.#do(node, effect);
  }

  #do(node: Node, effect: FormationEffect): void {
    switch (effect.kind) {
      case "persist":
        if (node.writing !== null) throw new Error("one write at a time");
        node.writing = effect.state;
        break;
      case "send":
        this.#inFlight.push({ from: node.key, to: effect.to, message: effect.message });
        break;
      case "formed":
        if (node.disk.kind !== "formed") throw new Error("R14: formed, and not on the disk");
        break;
    }
  }

  #any(): Node {
    return must(this.#nodes[randomBelow(this.#chance, this.#nodes.length)], "a node");
  }
}
