import { assert, must } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { CompressionType, Offload } from "../../base/offload.ts";
import type { TimerQueue } from "../../base/timer-queue.ts";
import { KafkaError, ProtocolError } from "../../protocol/errors.ts";
import { loadCodec } from "../../protocol/records/compression.ts";
import { BatchInProgress, type StagedCommand } from "./batch-in-progress.ts";
import type { CoordinatorLog } from "./coordinator-log.ts";
import type { CoordinatorCore, KeyValue, Outcome, Reply } from "./core.ts";
import { loadShard } from "./loader.ts";
import { ShardTimers } from "./shard-timers.ts";
import { Timeline } from "./timeline.ts";

export interface ShardOptions {
  /** Largest batch that the coordinator's topic takes. */
  readonly maxBatchBytes: number;
  /** How batches of records are kept (`offsets.topic.compression.codec`). */
  readonly compression: CompressionType;
  /** How long an answer waits for the high watermark (`offsets.commit.timeout.ms`). */
  readonly writeTimeoutMs: number;
}

export interface ShardDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly offload: Offload;
  readonly timers: TimerQueue;
}

export interface ShardPlace {
  readonly partitionIndex: number;
  readonly leaderEpoch: number;
  readonly log: CoordinatorLog;
}

/** Requests that may wait in one shard: parked joins and syncs, and answers waiting for the log. */
const MAX_WAITING_REQUESTS = 100_000;
/** Commands that may wait for a shard to load (topic deletions). */
const MAX_QUEUED_COMMANDS = 10_000;

interface Waiting {
  readonly resolve: (response: unknown) => void;
  readonly reject: (error: KafkaError) => void;
}

/** Records that the log has taken and the high watermark has not passed. */
interface InFlight {
  /** The last command that rests on it. */
  lastPosition: number;
  readonly replies: Reply[];
  isCommitted: boolean;
}

/**
 * One partition's coordinator, in one leader epoch. Commands are handled at once, one after the other;
 * their records go to the log together, at the end of the turn of the event loop (one append a turn).
 * Every answer waits until all that was handled before it is committed, so that nobody is told what a
 * failover could take back (G3, G8). What happens when the log refuses or fails: docs/decisions/0002.
 */
export class Shard<State, Command, Rec> {
  readonly leaderEpoch: number;
  readonly #dependencies: ShardDependencies;
  readonly #options: ShardOptions;
  readonly #core: CoordinatorCore<State, Command, Rec>;
  readonly #log: CoordinatorLog;
  readonly #logger: Logger;
  #phase: "loading" | "active" | "closed" = "loading";
  #loading: Promise<void> = Promise.resolve();
  #timeline = new Timeline();
  #state: State;
  #timers: ShardTimers<Command>;
  #batch: BatchInProgress<Command> | null = null;
  /** In order of the log. Bounded by MAX_WAITING_REQUESTS, as every append has a waiting request or a timer. */
  #inFlight: InFlight[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #lastTicket = 0;
  #queued: Command[] = [];

  constructor(
    dependencies: ShardDependencies,
    core: CoordinatorCore<State, Command, Rec>,
    place: ShardPlace,
    options: ShardOptions,
  ) {
    this.#dependencies = dependencies;
    this.#core = core;
    this.#options = options;
    this.#log = place.log;
    this.leaderEpoch = place.leaderEpoch;
    this.#logger = dependencies.logger.child({
      partitionIndex: place.partitionIndex,
      leaderEpoch: place.leaderEpoch,
    });
    this.#state = core.createState(this.#timeline);
    this.#timers = this.#newTimers();
  }

  /** Begins to load. Called once, by the runtime. */
  start(): void {
    this.#loading = this.#load();
  }

  /** Resolves when no load is running. */
  settled(): Promise<void> {
    return this.#loading;
  }

  /** Ends the shard: whatever waits is answered NOT_COORDINATOR, nothing is appended any more. */
  close(): void {
    this.#phase = "closed";
    this.#forget(new KafkaError("NOT_COORDINATOR"));
    this.#queued = [];
  }

  /** See CoordinatorRuntime.submit. */
  submit(command: Command): Promise<unknown> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(refusal);
    this.#lastTicket += 1;
    const ticket = this.#lastTicket;
    return new Promise((resolve, reject) => {
      this.#waiting.set(ticket, { resolve, reject });
      this.#run({ command, ticket, timerKey: null });
    });
  }

  /** Handles the command without an answer, after the load if one is running. */
  enqueue(command: Command): void {
    if (this.#phase === "active") {
      this.#runUntilTaken(command);
    } else if (this.#phase === "loading" && this.#queued.length < MAX_QUEUED_COMMANDS) {
      this.#queued.push(command);
    }
  }

  /** See CoordinatorRuntime.read. */
  read<T>(look: (state: State) => T): T {
    if (this.#phase !== "active") throw must(this.#refusal(), "a shard that is not active refuses");
    return look(this.#state);
  }

  #refusal(): KafkaError | null {
    switch (this.#phase) {
      case "loading":
        return new KafkaError("COORDINATOR_LOAD_IN_PROGRESS");
      case "closed":
        return new KafkaError("NOT_COORDINATOR");
      case "active":
        return this.#waiting.size < MAX_WAITING_REQUESTS
          ? null
          : new KafkaError("COORDINATOR_NOT_AVAILABLE", "too many requests wait here");
    }
  }

  async #load(): Promise<void> {
    const state = this.#state;
    const timeline = this.#timeline;
    const isCurrent = (): boolean => this.#phase === "loading" && this.#state === state;
    try {
      // Batches are packed at once when they are appended.
      await loadCodec(this.#options.compression);
      const { endOffset, count } = await loadShard(
        { ...this.#dependencies, log: this.#log },
        {
          isCurrent,
          onUncommitted: () => timeline.advance(timeline.position + 1),
          replay: ({ key, value }) => {
            const record = this.#core.decode(key, value);
            if (record !== null) this.#core.replay(state, record);
            return record !== null;
          },
        },
      );
      if (isCurrent()) this.#activate(endOffset, count);
    } catch (error) {
      if (!isCurrent()) return;
      if (!(error instanceof KafkaError)) throw error;
      // The partition cannot be read: another broker, or a repair, must serve it.
      this.#logger.error({ err: error }, "coordinator could not load");
      this.close();
    }
  }

  #activate(endOffset: number, recordCount: number): void {
    this.#phase = "active";
    // Not for every start's reader: there are 50 of them.
    this.#logger.debug({ recordCount, endOffset }, "coordinator loaded");
    if (this.#timeline.position > 0) {
      // Records above the high watermark are in the state: no answer may rest on them yet.
      this.#track(this.#timeline.position, [], this.#log.whenCommitted(endOffset));
    }
    this.#timeline.advance(this.#timeline.position + 1);
    const outcome = this.#core.onLoaded(this.#state, this.#dependencies.clock.wallMs());
    assert(outcome.records.length === 0, "loading writes nothing");
    this.#timers.apply(outcome.timers);
    this.#answerAfterLast(outcome.replies);
    const queued = this.#queued;
    this.#queued = [];
    for (const command of queued) this.#runUntilTaken(command);
  }

  /** A deadline that is due at once: what the log refuses comes again. */
  #runUntilTaken(command: Command): void {
    this.#lastTicket += 1;
    this.#run({ command, ticket: null, timerKey: `queued:${this.#lastTicket}` });
  }

  #run(staged: StagedCommand<Command>): void {
    const before = this.#timeline.position;
    this.#timeline.advance(before + 1);
    let outcome: Outcome<Command, Rec>;
    let records: KeyValue[];
    try {
      outcome = this.#core.handle(this.#state, staged.command, {
        nowMs: this.#dependencies.clock.wallMs(),
        ticket: staged.ticket,
      });
      records = outcome.records.map((record) => this.#core.encode(record));
    } catch (error) {
      this.#timeline.rollback(before);
      this.#refuse(staged, this.#refusalOf(error), null);
      return;
    }
    if (records.length === 0 && this.#batch === null) {
      this.#timers.apply(outcome.timers);
      this.#answerAfterLast(outcome.replies);
      return;
    }
    const batch = this.#batch ?? this.#openBatch(before);
    if (batch.add(staged, outcome, records)) return;
    this.#timeline.rollback(before);
    if (batch.isEmpty) {
      this.#batch = null;
      this.#refuse(staged, new KafkaError("MESSAGE_TOO_LARGE"), outcome.onRefused);
    } else {
      // Decided anew: if the log refuses the batch, this command must not rest on it.
      this.#flush(batch);
      this.#run(staged);
    }
  }

  /** What a throw of the core or of its encoder means for the client. A bug stays a bug. */
  #refusalOf(error: unknown): KafkaError {
    if (error instanceof KafkaError) return error;
    if (!(error instanceof ProtocolError)) throw error;
    this.#logger.warn({ err: error }, "a record cannot be written");
    return new KafkaError("UNKNOWN_SERVER_ERROR", error.message, { cause: error });
  }

  #openBatch(before: number): BatchInProgress<Command> {
    const batch = new BatchInProgress<Command>(before, this.#options.maxBatchBytes);
    this.#batch = batch;
    this.#dependencies.clock.afterPoll(() => {
      if (this.#batch === batch) this.#flush(batch);
    });
    return batch;
  }

  #flush(batch: BatchInProgress<Command>): void {
    this.#batch = null;
    let committed: Promise<void> | null = null;
    try {
      const bytes = batch.build(this.#dependencies.clock.wallMs(), this.#options.compression);
      if (bytes !== null) committed = this.#log.append(bytes).committed;
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      this.#timeline.rollback(batch.positionBefore);
      for (const { staged, onRefused } of batch.commands) this.#refuse(staged, error, onRefused);
      return;
    }
    this.#timers.apply(batch.timers);
    if (committed === null) this.#answerAfterLast(batch.replies);
    else this.#track(this.#timeline.position, batch.replies, committed);
  }

  /** The state is as if the command had not come. */
  #refuse(
    staged: StagedCommand<Command>,
    error: KafkaError,
    onRefused: Outcome<Command, Rec>["onRefused"],
  ): void {
    if (staged.ticket !== null) {
      this.#waiting.get(staged.ticket)?.reject(error);
      this.#waiting.delete(staged.ticket);
    }
    if (staged.timerKey !== null) this.#timers.retry(staged.timerKey, staged.command);
    if (onRefused === null || this.#phase !== "active") return;
    this.#run({ command: onRefused(error), ticket: null, timerKey: null });
  }

  /** Answers behind all that is in flight; at once when nothing is. */
  #answerAfterLast(replies: readonly Reply[]): void {
    const last = this.#inFlight.at(-1);
    if (last === undefined) {
      this.#timeline.commit(this.#timeline.position);
      this.#deliver(replies);
    } else {
      last.lastPosition = this.#timeline.position;
      last.replies.push(...replies);
    }
  }

  #track(lastPosition: number, replies: readonly Reply[], committed: Promise<void>): void {
    const entry: InFlight = { lastPosition, replies: [...replies], isCommitted: false };
    this.#inFlight.push(entry);
    const timeout = this.#dependencies.timers.after(this.#options.writeTimeoutMs, () => {
      this.#giveUp(entry);
    });
    committed.then(
      () => {
        timeout.cancel();
        entry.isCommitted = true;
        this.#settleCommitted();
      },
      (error: unknown) => {
        timeout.cancel();
        if (this.#inFlight.includes(entry)) this.#onLost(error);
      },
    );
  }

  #settleCommitted(): void {
    for (;;) {
      const first = this.#inFlight[0];
      if (first?.isCommitted !== true) return;
      this.#inFlight.shift();
      this.#timeline.commit(first.lastPosition);
      this.#deliver(first.replies);
    }
  }

  /** The high watermark does not move. The records may still be committed later: only the answer ends. */
  #giveUp(entry: InFlight): void {
    const error = new KafkaError("REQUEST_TIMED_OUT");
    for (const { ticket } of entry.replies) {
      this.#waiting.get(ticket)?.reject(error);
      this.#waiting.delete(ticket);
    }
    entry.replies.length = 0;
  }

  /**
   * Records were taken by the log and will not be reported committed. Whether they are in the log is
   * only known from the log: the state is built anew from it, if this broker may still read it.
   */
  #onLost(error: unknown): void {
    if (!(error instanceof KafkaError)) throw error;
    this.#logger.warn({ err: error }, "coordinator lost an append");
    this.#forget(error);
    if (error.errorName === "NOT_LEADER_OR_FOLLOWER" || error.errorName === "KAFKA_STORAGE_ERROR") {
      this.close();
      return;
    }
    this.#phase = "loading";
    this.#timeline = new Timeline();
    this.#state = this.#core.createState(this.#timeline);
    this.#timers = this.#newTimers();
    this.start();
  }

  #deliver(replies: readonly Reply[]): void {
    for (const { ticket, response } of replies) {
      this.#waiting.get(ticket)?.resolve(response);
      this.#waiting.delete(ticket);
    }
  }

  #forget(error: KafkaError): void {
    this.#timers.close();
    this.#batch = null;
    this.#inFlight = [];
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #newTimers(): ShardTimers<Command> {
    return new ShardTimers(this.#dependencies, {
      isTouched: (key) => this.#batch?.touchesTimer(key) ?? false,
      run: (timerKey, command) => this.#run({ command, ticket: null, timerKey }),
    });
  }
}
