import { KafkaError } from "../../protocol/errors.ts";
import type { RaftAppend, RaftClient } from "../../raft/raft-client.ts";
import type { ControllerResult } from "./controller.ts";
import type { MetadataImage } from "./image.ts";
import { ImageBuilder } from "./image-builder.ts";
import { recordBatches } from "./record-batches.ts";

/** A decision that has its place in the log. */
export interface Decided<A> {
  readonly answer: A;
  /** Last offset of its records; null: it has none, nothing changed. */
  readonly lastOffset: number | null;
  /** Resolves when the records are durable and agreed on. Rejects with KafkaError. */
  readonly committed: Promise<void>;
}

/**
 * Runs the controller's decisions while this node leads the quorum, one after the other and without
 * waiting for the disk: each sees the records of those before it, committed or not, and all that came
 * meanwhile share one sync. Decisions and the append after them are synchronous.
 */
export class ActiveController {
  readonly #raft: RaftClient;
  #lead: { readonly leaderEpoch: number; image: MetadataImage } | null = null;

  constructor(raft: RaftClient) {
    this.#raft = raft;
  }

  /** What decisions are made on; null: this node does not lead. */
  get image(): MetadataImage | null {
    return this.#lead?.image ?? null;
  }

  /** This node leads from now on; `image` holds all that is committed. */
  activate(leaderEpoch: number, image: MetadataImage): void {
    this.#lead = { leaderEpoch, image };
  }

  /** Another node leads, or none. What was not committed may or may not survive. */
  deactivate(): void {
    this.#lead = null;
  }

  /** Decides and appends. Throws KafkaError: NOT_CONTROLLER, the log's, or the decision's own. */
  run<A>(decide: (image: MetadataImage, nextOffset: number) => ControllerResult<A>): Decided<A> {
    const lead = this.#lead;
    if (lead === null) throw new KafkaError("NOT_CONTROLLER");
    const { records, voterChange, answer } = decide(lead.image, this.#raft.nextOffset);
    let lastOffset: number | null = null;
    let committed = Promise.resolve();
    const appended = (append: RaftAppend, values: readonly Buffer[]): void => {
      const builder = new ImageBuilder(lead.image);
      const { leaderEpoch } = lead;
      builder.replayBatch({ ...append, leaderEpoch, timestampMs: 0, records: values });
      lead.image = builder.build().image;
      ({ lastOffset, committed } = append);
    };
    // A record of the quorum's own, which says nothing to the image.
    if (voterChange !== undefined) appended(this.#raft.changeVoters(voterChange), []);
    // One batch, except for what is as large as the cluster: the order is what counts there (R5).
    for (const values of recordBatches(records)) {
      appended(this.#raft.append(lead.leaderEpoch, values), values);
    }
    // Whoever waits for the outcome is told by another way as well, so nobody has to look at this one.
    committed.catch(ignore);
    return { answer, lastOffset, committed };
  }
}

function ignore(): void {
  // See above.
}
