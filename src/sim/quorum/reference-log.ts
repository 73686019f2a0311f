import { must } from "../../base/assert.ts";
import { decodeMetadataRecord, type MetadataRecord } from "../../protocol/metadata-records.ts";
import type { CommittedBatch } from "../../raft/raft-client.ts";
import { EMPTY_IMAGE, type MetadataImage } from "../../server/metadata/image.ts";
import { ImageBuilder } from "../../server/metadata/image-builder.ts";
import type { QuorumNode } from "./quorum-node.ts";

/** A record that has just been committed, with the states before and after it. */
export interface CommittedRecord {
  readonly offset: number;
  readonly entry: MetadataRecord;
  readonly before: MetadataImage;
  readonly after: MetadataImage;
}

export interface ReferenceListener {
  onBatch(node: QuorumNode, batch: CommittedBatch): void;
  onRecord(record: CommittedRecord): void;
  /** After all records of the batch. */
  onApplied(before: MetadataImage, after: MetadataImage): void;
}

/** What the cluster has agreed on, by whoever learned of it first. */
export class ReferenceLog {
  readonly #listener: ReferenceListener;
  readonly #texts = new Map<number, string>();
  /** By the offset after the batch. */
  readonly #images = new Map<number, MetadataImage>([[0, EMPTY_IMAGE]]);
  /** Where the committed log ended when the last batch of an epoch was added. */
  readonly #endsOfEpochs = new Map<number, number>();
  #image: MetadataImage = EMPTY_IMAGE;
  #endOffset = 0;
  #commandCount = 0;

  constructor(listener: ReferenceListener) {
    this.#listener = listener;
  }

  get image(): MetadataImage {
    return this.#image;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  /** Batches that held records, one for each decision. */
  get commandCount(): number {
    return this.#commandCount;
  }

  imageAt(endOffset: number): MetadataImage {
    return must(this.#images.get(endOffset), "a snapshot ends where a batch does");
  }

  /** Where what was committed in epochs before this one ends. */
  endBefore(leaderEpoch: number): number {
    const ends = [...this.#endsOfEpochs].filter(([epoch]) => epoch < leaderEpoch);
    return Math.max(0, ...ends.map(([, end]) => end));
  }

  isNew({ baseOffset }: CommittedBatch): boolean {
    return baseOffset >= this.#endOffset;
  }

  has(batch: CommittedBatch): boolean {
    return this.#texts.get(batch.baseOffset) === textOf(batch);
  }

  add(node: QuorumNode, batch: CommittedBatch): void {
    this.#texts.set(batch.baseOffset, textOf(batch));
    this.#listener.onBatch(node, batch);
    if (batch.records.length > 0) this.#commandCount += 1;
    const beforeBatch = this.#image;
    for (const [index, value] of batch.records.entries()) {
      const entry = decodeMetadataRecord(value);
      const before = this.#image;
      const builder = new ImageBuilder(before);
      builder.replay(entry);
      this.#image = builder.build().image;
      const offset = batch.baseOffset + index;
      this.#listener.onRecord({ offset, entry, before, after: this.#image });
    }
    const builder = new ImageBuilder(this.#image);
    builder.moveTo(batch.lastOffset, batch.leaderEpoch);
    this.#image = builder.build().image;
    this.#endOffset = batch.lastOffset + 1;
    this.#images.set(this.#endOffset, this.#image);
    this.#endsOfEpochs.set(batch.leaderEpoch, this.#endOffset);
    this.#listener.onApplied(beforeBatch, this.#image);
  }
}

function textOf({ leaderEpoch, lastOffset, records }: CommittedBatch): string {
  return `${leaderEpoch}/${lastOffset}: ${records.map((record) => record.toString("hex")).join()}`;
}
