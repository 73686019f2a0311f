import { assert } from "../base/assert.ts";
import { isSameReplica, type ReplicaKey } from "./core/voters.ts";
import type { FormationMessage } from "./formation-messages.ts";

/** What a node has made durable about the cluster that it belongs to (R14). */
export type FormationState =
  /** It has promised nothing. */
  | { readonly kind: "empty" }
  /** It will join the cluster that this replica founds, and no other's. */
  | { readonly kind: "promised"; readonly founder: ReplicaKey }
  /** It belongs to a cluster that had these voters at first. It may be none of them. */
  | { readonly kind: "formed"; readonly voters: readonly ReplicaKey[] };

export interface FormationOptions {
  readonly self: ReplicaKey;
  readonly clusterId: string;
  /** controller.quorum.voters; the node may be none of them. */
  readonly voterIds: readonly number[];
  /** As it was read from the disk. */
  readonly state: FormationState;
}

export type FormationEvent =
  /** At the start, and whenever `intervalMs` has passed: what was lost is said again. */
  | { readonly kind: "tick" }
  | { readonly kind: "message"; readonly from: ReplicaKey; readonly message: FormationMessage }
  /** The state of the `persist` effect survives a power cut now. */
  | { readonly kind: "persisted" };

export type FormationEffect =
  /** Make it durable, then `persisted`. One at a time. */
  | { readonly kind: "persist"; readonly state: FormationState }
  | { readonly kind: "send"; readonly to: number; readonly message: FormationMessage }
  /** The node belongs to a cluster from now on, and this is over. */
  | { readonly kind: "formed"; readonly voters: readonly ReplicaKey[] };

/**
 * How configured nodes become one cluster, as a pure function (R14). Only the lowest configured voter may
 * found, and only when every other one has promised to join it and nobody else, durably; a promise is
 * never taken back. So there is one founder: whoever else would be one, a wiped disk of the same node
 * above all, lacks the promise of those who have given it away. All others learn the voters from whoever
 * has them; a directory that is not among them has no vote.
 */
export class Formation {
  readonly #options: FormationOptions;
  readonly #voterIds: readonly number[];
  #state: FormationState;
  #persisting: FormationState | null = null;
  /** For a founder: who has promised it to join, by node id. */
  readonly #promises = new Map<number, ReplicaKey>();
  #effects: FormationEffect[] = [];
  #isOver = false;

  constructor(options: FormationOptions) {
    const { state } = options;
    assert(state.kind !== "formed", "what is formed needs no formation");
    this.#options = options;
    this.#voterIds = [...options.voterIds].sort((a, b) => a - b);
    this.#state = state;
  }

  /** Those whom a founder still waits for, for the log. */
  get missingIds(): readonly number[] {
    return this.#otherIds.filter((id) => !this.#promises.has(id));
  }

  /** Only the lowest id: two that found at once would be two clusters. */
  get isFounder(): boolean {
    return this.#voterIds[0] === this.#options.self.nodeId;
  }

  step(event: FormationEvent): readonly FormationEffect[] {
    if (!this.#isOver) this.#on(event);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  get #otherIds(): readonly number[] {
    return this.#voterIds.filter((id) => id !== this.#options.self.nodeId);
  }

  #on(event: FormationEvent): void {
    switch (event.kind) {
      case "tick":
        this.#ask();
        break;
      case "message":
        if (event.message.clusterId === this.#options.clusterId) {
          this.#onMessage(event.from, event.message);
        }
        break;
      case "persisted":
        this.#onPersisted();
        break;
    }
  }

  #ask(): void {
    const { clusterId } = this.#options;
    for (const to of this.#otherIds) {
      // One that has a cluster answers either with it.
      this.#send(
        to,
        this.isFounder
          ? { kind: "askPromise", clusterId, voterIds: this.#voterIds }
          : { kind: "askFormed", clusterId },
      );
    }
  }

  #onMessage(from: ReplicaKey, message: FormationMessage): void {
    switch (message.kind) {
      case "askPromise":
        this.#onAskPromise(from, message.voterIds);
        break;
      case "promised":
        this.#onPromised(from, message.founder);
        break;
      case "formed":
        this.#persist({ kind: "formed", voters: message.voters.map(keyOf) });
        break;
      case "askFormed":
        // There is none yet.
        break;
    }
  }

  #onAskPromise(founder: ReplicaKey, voterIds: readonly number[]): void {
    const { self } = this.#options;
    const isSameConfiguration =
      voterIds.length === this.#voterIds.length &&
      this.#voterIds.every((id, index) => id === voterIds[index]);
    const isRightful = founder.nodeId === this.#voterIds[0] && founder.nodeId !== self.nodeId;
    if (!isSameConfiguration || !isRightful || !this.#voterIds.includes(self.nodeId)) return;
    if (this.#state.kind === "promised") this.#sendPromise(founder.nodeId, this.#state.founder);
    else this.#persist({ kind: "promised", founder });
  }

  #onPromised(from: ReplicaKey, founder: ReplicaKey): void {
    // Promised to a disk that this node has lost, perhaps: that one may have founded.
    if (!isSameReplica(founder, this.#options.self) || !this.isFounder) return;
    if (!this.#otherIds.includes(from.nodeId)) return;
    this.#promises.set(from.nodeId, from);
    if (this.missingIds.length > 0) return;
    const voters = [this.#options.self, ...this.#promises.values()]
      .map(keyOf)
      .sort((a, b) => a.nodeId - b.nodeId);
    this.#persist({ kind: "formed", voters });
  }

  /** The first that is asked for stands: a founder's own cluster, or the first that it hears of. */
  #persist(state: FormationState): void {
    if (this.#persisting !== null) return;
    this.#persisting = state;
    this.#effects.push({ kind: "persist", state });
  }

  /** Nothing is said before it is durable: a crash in between must not let it be said twice. */
  #onPersisted(): void {
    assert(this.#persisting !== null, "something was being written");
    this.#state = this.#persisting;
    this.#persisting = null;
    switch (this.#state.kind) {
      case "empty":
        break;
      case "promised":
        this.#sendPromise(this.#state.founder.nodeId, this.#state.founder);
        break;
      case "formed": {
        const { voters } = this.#state;
        const { clusterId } = this.#options;
        for (const to of this.#otherIds) this.#send(to, { kind: "formed", clusterId, voters });
        this.#effects.push({ kind: "formed", voters });
        this.#isOver = true;
        break;
      }
    }
  }

  #sendPromise(to: number, founder: ReplicaKey): void {
    this.#send(to, { kind: "promised", clusterId: this.#options.clusterId, founder });
  }

  #send(to: number, message: FormationMessage): void {
    this.#effects.push({ kind: "send", to, message });
  }
}

function keyOf({ nodeId, directoryId }: ReplicaKey): ReplicaKey {
  return { nodeId, directoryId };
}
