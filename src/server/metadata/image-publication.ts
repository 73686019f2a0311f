import { must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import { KafkaError } from "../../protocol/errors.ts";
import { decodeMetadataRecord } from "../../protocol/metadata-records.ts";
import type { CommittedBatch, SnapshotPart } from "../../raft/raft-client.ts";
import { type ReplicaDirectory, replicaDirectory } from "./replica-directories.ts";
import { EMPTY_IMAGE, type MetadataImage } from "./image.ts";
import { deltaBetween, ImageBuilder, type MetadataDelta, wholeImage } from "./image-builder.ts";
import { OffsetWaiters } from "./offset-waiters.ts";
import type { MetadataPublisher } from "./publisher.ts";

type Listener = (image: MetadataImage, delta: MetadataDelta) => void;

interface Target {
  readonly publisher: MetadataPublisher;
  readonly directoryOf: (topic: string, partitionIndex: number) => Uuid | null;
  readonly assignDirectories: (replicas: readonly ReplicaDirectory[]) => Promise<void>;
}

/**
 * Brings what is committed to this node, one delta at a time; what is committed while one is applied
 * makes up the next. `image` moves when its delta has been applied, never before: it is what clients
 * are told, and they come back at once with what they were told.
 */
export class ImagePublication {
  readonly #nodeId: number;
  readonly #listeners = new Set<Listener>();
  readonly #waiters = new OffsetWaiters();
  readonly #committedWaiters = new OffsetWaiters();
  #image = EMPTY_IMAGE;
  /** The image of the last delta that was begun. */
  #begunImage = EMPTY_IMAGE;
  /** Everything committed after it; null: nothing. */
  #next: ImageBuilder | null = null;
  /** `#next` does not begin with `#begunImage`: its delta is found by comparing. */
  #isNextApart = false;
  /** A snapshot that is on its way. */
  #loading: ImageBuilder | null = null;
  #committedTimestampMs = -1;
  #target: Target | null = null;
  #running: Promise<void> | null = null;
  #isClosed = false;
  /** Topics that were deleted before the start: their directories may have outlived a crash. */
  #removedTopicIds: ReadonlySet<Uuid> = new Set();

  constructor(options: { readonly nodeId: number }) {
    this.#nodeId = options.nodeId;
  }

  get image(): MetadataImage {
    return this.#image;
  }

  /** Everything that is committed so far. */
  committedImage(): MetadataImage {
    if (this.#next === null) return this.#begunImage;
    const { image } = this.#takeNext();
    if (this.#target === null) {
      this.#begunImage = image;
    } else {
      // It is yet to be applied: what comes goes on top of it.
      this.#next = new ImageBuilder(image);
      this.#isNextApart = true;
    }
    return image;
  }

  /** Of the last batch that is committed; -1: there was none. */
  get committedTimestampMs(): number {
    return this.#committedTimestampMs;
  }

  /** Takes committed batches, in order. */
  add(batches: readonly CommittedBatch[]): void {
    this.#next ??= new ImageBuilder(this.#begunImage);
    for (const batch of batches) {
      this.#next.replayBatch(batch);
      this.#committedTimestampMs = batch.timestampMs;
      this.#committedWaiters.reach(batch.lastOffset);
    }
    if (this.#target !== null) this.#run(this.#target);
  }

  /** Takes the state of a snapshot in the place of all that was committed before. */
  load({ endOffset, leaderEpoch, timestampMs, records, isFirst, isLast }: SnapshotPart): void {
    if (isFirst) this.#loading = new ImageBuilder(EMPTY_IMAGE);
    const loading = must(this.#loading, "a snapshot begins with its first part");
    for (const value of records) loading.replay(decodeMetadataRecord(value));
    if (!isLast) return;
    this.#loading = null;
    loading.moveTo(endOffset - 1, leaderEpoch);
    this.#next = new ImageBuilder(loading.build().image);
    this.#isNextApart = true;
    this.#committedTimestampMs = timestampMs;
    this.#committedWaiters.reach(endOffset - 1);
    if (this.#target !== null) this.#run(this.#target);
  }

  /** Applies all that is committed, after `prepare`, and from now on all that comes. */
  async start(
    target: Target,
    prepare: (state: {
      readonly image: MetadataImage;
      readonly removedTopicIds: ReadonlySet<Uuid>;
    }) => Promise<void>,
  ): Promise<void> {
    const image = this.committedImage();
    await prepare({ image, removedTopicIds: this.#removedTopicIds });
    this.#removedTopicIds = new Set();
    await this.#apply(target, wholeImage(image));
    this.#target = target;
    if (this.#next !== null) this.#run(target);
  }

  /** Resolves when this node serves the offset. Rejects with what `fail` was told. */
  when(offset: number): Promise<void> {
    return this.#waiters.wait(offset);
  }

  /** Resolves when the offset is committed, as far as this node knows. Rejects as `when` does. */
  whenCommitted(offset: number): Promise<void> {
    return this.#committedWaiters.wait(offset);
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Nothing more will be committed, unless `resume` is called. */
  fail(error: KafkaError): void {
    this.#waiters.fail(error);
    this.#committedWaiters.fail(error);
  }

  /** The metadata log goes on. */
  resume(): void {
    this.#waiters.resume();
    this.#committedWaiters.resume();
  }

  /** Resolves when nothing is being applied; what is left is not begun. */
  async close(error: KafkaError): Promise<void> {
    this.#isClosed = true;
    this.fail(error);
    await this.#running;
  }

  #run(target: Target): void {
    this.#running ??= this.#applyAll(target).finally(() => {
      this.#running = null;
      // Committed after the last look, before this reaction.
      if (this.#next !== null && !this.#isClosed) this.#run(target);
    });
  }

  async #applyAll(target: Target): Promise<void> {
    while (this.#next !== null && !this.#isClosed) {
      const delta = this.#takeNext();
      this.#begunImage = delta.image;
      await this.#apply(target, delta);
    }
  }

  #takeNext(): MetadataDelta {
    const built = must(this.#next, "there is something to apply").build();
    const delta = this.#isNextApart ? deltaBetween(this.#begunImage, built.image) : built;
    this.#next = null;
    this.#isNextApart = false;
    if (this.#target === null) {
      this.#removedTopicIds = new Set([...this.#removedTopicIds, ...delta.removedTopicIds]);
    }
    return delta;
  }

  async #apply({ publisher, ...target }: Target, delta: MetadataDelta): Promise<void> {
    await publisher.apply(delta);
    await this.#assignDirectories(delta, target);
    this.#image = delta.image;
    for (const listener of this.#listeners) listener(delta.image, delta);
    this.#waiters.reach(delta.image.offset);
  }

  /**
   * With several directories the log manager chooses one. The choice is committed before anybody is
   * told of the partition: of a replica without one, a wiped disk would not be noticed (R5). So is what a
   * move between directories has left that did not come to its end.
   */
  async #assignDirectories(
    { changedTopics }: MetadataDelta,
    { directoryOf, assignDirectories }: Omit<Target, "publisher">,
  ): Promise<void> {
    const replicas: ReplicaDirectory[] = [];
    for (const { name, topicId, partitions } of changedTopics) {
      for (const partition of partitions) {
        if (!partition.replicas.includes(this.#nodeId)) continue;
        const directoryId = directoryOf(name, partition.partitionIndex);
        if (directoryId === null) continue;
        if (replicaDirectory(partition, this.#nodeId) === directoryId) continue;
        replicas.push({ topicId, partitionIndex: partition.partitionIndex, directoryId });
      }
    }
    if (replicas.length === 0) return;
    try {
      await assignDirectories(replicas);
    } catch (error) {
      // Handled: the log has failed or the node is closing, and both are told to all who wait.
      if (!(error instanceof KafkaError)) throw error;
    }
  }
}
