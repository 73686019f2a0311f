import type { Outcome, TopicAdmin } from "./admins.ts";

/** All that is known of a topic's life. Names are never used again. */
export interface TopicHistory {
  /** Whether its creation was answered; it may exist all the same. */
  isCreated: boolean;
  /** Where the answer named it. */
  topicId: string | null;
  isDeleted: boolean;
  /** Whether a deletion was tried: without an answer, both is right. */
  isDoomed: boolean;
  /** The last that was answered. */
  retentionMs: string | null;
  /** What was tried after it, without an answer. */
  readonly maybeRetentionMs: Set<string>;
}

/** What many clients were told, in one place. */
export class Changes {
  readonly topics = new Map<string, TopicHistory>();
  /** When each answer came. */
  readonly answeredAtMs: number[] = [];
  /** Names whose creation was refused for good. */
  readonly refused = new Set<string>();
  readonly unknown: string[] = [];
  /** Answers that cannot be right. */
  readonly wrong: string[] = [];
  #isOver = false;
  readonly #workers: Promise<void>[] = [];
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  /** Lets an admin make changes one after another, until the end. */
  begin(name: string, admin: TopicAdmin): void {
    this.#workers.push(this.#work(name, admin));
  }

  /** Resolves when so many more have been answered. */
  async more(count: number): Promise<void> {
    const target = this.answeredAtMs.length + count;
    await Promise.race([
      new Promise<void>((resolve) => this.#waiting.push({ count: target, resolve })),
      // A client that failed is the end of the test.
      Promise.all(this.#workers),
    ]);
  }

  /** Lets each come to the end of its change. */
  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#workers);
  }

  async #work(name: string, admin: TopicAdmin): Promise<void> {
    for (let n = 0; !this.#isOver; n += 1) {
      const topic = `${name}-${n}`;
      const { isCreated } = await this.#create(admin, topic);
      await this.#setRetention(admin, topic, String(3_600_000 + n));
      if (n % 4 === 0 && isCreated) await this.#createAgain(admin, topic);
      if (n % 4 === 1) await this.#refusals(admin, topic);
      // One in four is kept to the end.
      if (n % 4 !== 0) await this.#remove(admin, topic);
      else await this.#setRetention(admin, topic, String(7_200_000 + n));
    }
    await admin.close();
  }

  async #create(admin: TopicAdmin, topic: string): Promise<TopicHistory> {
    const history: TopicHistory = {
      ...{ isCreated: false, isDeleted: false, isDoomed: false },
      ...{ topicId: null, retentionMs: null, maybeRetentionMs: new Set() },
    };
    this.topics.set(topic, history);
    const outcome = this.#note(`create ${topic}`, await admin.create(topic, 1), [
      "TOPIC_ALREADY_EXISTS",
    ]);
    // Sent twice, since the first answer was lost: the second says that the first has done it.
    if (outcome.kind !== "unknown") history.isCreated = true;
    if (outcome.kind === "done") history.topicId = outcome.topicId;
    return history;
  }

  async #createAgain(admin: TopicAdmin, topic: string): Promise<void> {
    const outcome = this.#note(`create ${topic} again`, await admin.create(topic, 1), [
      "TOPIC_ALREADY_EXISTS",
    ]);
    if (outcome.kind === "done") this.wrong.push(`${topic} was created twice`);
  }

  async #setRetention(admin: TopicAdmin, topic: string, retentionMs: string): Promise<void> {
    const history = this.topics.get(topic)!;
    history.maybeRetentionMs.add(retentionMs);
    const expected = history.isCreated ? [] : ["UNKNOWN_TOPIC_OR_PARTITION"];
    const change = await admin.setRetention(topic, retentionMs);
    const outcome = this.#note(`retention.ms of ${topic}`, change, expected);
    if (outcome.kind !== "done") return;
    history.retentionMs = retentionMs;
    history.maybeRetentionMs.clear();
  }

  async #remove(admin: TopicAdmin, topic: string): Promise<void> {
    const history = this.topics.get(topic)!;
    history.isDoomed = true;
    // Gone already: done by the first of two requests, whose answer was lost.
    const expected = ["UNKNOWN_TOPIC_OR_PARTITION"];
    const outcome = this.#note(`delete ${topic}`, await admin.remove(topic), expected);
    if (outcome.kind !== "unknown") history.isDeleted = true;
  }

  /** What is refused for good, and must never be there: a topic without partitions, a wrong value. */
  async #refusals(admin: TopicAdmin, topic: string): Promise<void> {
    const refused = `${topic}-refused`;
    this.refused.add(refused);
    const created = await admin.create(refused, 0);
    if (this.#note(`create ${refused}`, created, ["INVALID_PARTITIONS"]).kind === "done") {
      this.wrong.push(`${refused} was created`);
    }
    const changed = await admin.setRetention(topic, "-5");
    if (this.#note(`-5 for ${topic}`, changed, ["INVALID_CONFIG"]).kind === "done") {
      this.wrong.push(`${topic} took a wrong value`);
    }
  }

  #note(what: string, outcome: Outcome, expected: readonly string[]): Outcome {
    if (outcome.kind === "unknown") {
      this.unknown.push(`${what}: ${outcome.error}`);
      return outcome;
    }
    if (outcome.kind === "refused" && !expected.includes(outcome.error)) {
      this.wrong.push(`${what}: ${outcome.error}`);
    }
    this.answeredAtMs.push(performance.now());
    const count = this.answeredAtMs.length;
    for (const each of this.#waiting) if (each.count <= count) each.resolve();
    this.#waiting = this.#waiting.filter((each) => each.count > count);
    return outcome;
  }
}
