import { must } from "../../base/assert.ts";
import type { Uuid } from "../../base/ids.ts";
import { type Random, randomBelow, SeededRandom } from "../../base/random.ts";
import { type BrokerImage, type MetadataImage, UNASSIGNED_DIRECTORY } from "./image.ts";

/** Replicas of each partition, the preferred leader first. */
export type Placements = readonly (readonly number[])[];

export interface PlacementTerms {
  readonly partitionCount: number;
  readonly replicationFactor: number;
  /** Where it begins follows from the topic, so that topics of one partition do not all begin alike. */
  readonly topicId: Uuid;
  /** The partitions that the topic has: it goes on behind them. */
  readonly existing: Placements;
}

/** Either a placement for each partition, or why there is none (Kafka's words). */
export type PlacementResult =
  | { readonly kind: "placed"; readonly placements: Placements }
  | { readonly kind: "impossible"; readonly reason: string };

/** Brokers that may lead now, by id. */
export function activeBrokers(image: MetadataImage): BrokerImage[] {
  return [...image.brokers.values()]
    .filter((broker) => !broker.isFenced && !broker.isInControlledShutdown)
    .sort((a, b) => a.brokerId - b.brokerId);
}

/**
 * Places replicas as Kafka's StripedReplicaPlacer does: over the racks first, then evenly over the brokers of
 * each, leaders too. A fenced broker is taken only where its rack has no other left, and never as
 * a leader; one that is shutting down is not taken at all.
 */
export function placeReplicas(image: MetadataImage, terms: PlacementTerms): PlacementResult {
  const { partitionCount, replicationFactor } = terms;
  const usable = [...image.brokers.values()]
    .filter((broker) => !broker.isInControlledShutdown)
    .sort((a, b) => a.brokerId - b.brokerId);
  if (!usable.some(({ isFenced }) => !isFenced)) {
    const reason = "All brokers are currently fenced, or have all their log directories cordoned.";
    return { kind: "impossible", reason };
  }
  if (replicationFactor > usable.length) {
    return {
      kind: "impossible",
      reason:
        `The target replication factor of ${replicationFactor} cannot be reached because only ` +
        `${usable.length} broker(s) are registered or some brokers have all their log ` +
        "directories cordoned.",
    };
  }
  const stripes = new Stripes(usable, terms);
  const placements = Array.from({ length: partitionCount }, () => stripes.next(replicationFactor));
  return { kind: "placed", placements };
}

/** Racks in a ring, and brokers in each: a partition begins one rack further, a round one broker further. */
class Stripes {
  readonly #random: Random;
  readonly #racks: Rack[];
  readonly #activeCount: number;
  #firstRack: number;
  #placedCount = 0;

  constructor(brokers: readonly BrokerImage[], { topicId, existing }: PlacementTerms) {
    this.#random = new SeededRandom(topicId);
    this.#activeCount = brokers.filter(({ isFenced }) => !isFenced).length;
    const rackOf = new Map(brokers.map(({ brokerId, rack }) => [brokerId, rack ?? ""]));
    const names = [...new Set(rackOf.values())].sort();
    this.#racks = names.map((name) => {
      const members = brokers.filter(({ brokerId }) => rackOf.get(brokerId) === name);
      const lastUsed = existing.at(-1)?.find((brokerId) => rackOf.get(brokerId) === name);
      return new Rack(members, lastUsed, this.#random);
    });
    const lastLeader = existing.at(-1)?.[0];
    const lastRack = lastLeader === undefined ? -1 : names.indexOf(rackOf.get(lastLeader) ?? "");
    this.#firstRack =
      lastRack === -1 ? randomBelow(this.#random, names.length) : (lastRack + 1) % names.length;
  }

  next(replicationFactor: number): number[] {
    // The same stripes would come again and again.
    if (this.#placedCount > 0 && this.#placedCount % this.#activeCount === 0) this.#shuffle();
    const count = this.#racks.length;
    const round = Math.floor(this.#placedCount / count);
    this.#placedCount += 1;
    const inTurn = Array.from({ length: count }, (_, distance) => {
      const rack = must(this.#racks[(this.#firstRack + distance) % count], "within the ring");
      // Whoever leads next to each other has different followers.
      rack.begin(round + distance);
      return rack;
    });
    this.#firstRack = (this.#firstRack + 1) % count;
    const replicas: number[] = [];
    const leading = inTurn.findIndex((rack) => {
      const leader = rack.nextActive();
      if (leader !== null) replicas.push(leader);
      return leader !== null;
    });
    // The leader's rack has had its turn in the first round.
    for (let i = leading === 0 ? 1 : 0; replicas.length < replicationFactor; i += 1) {
      const isLeadersTurn = i === leading;
      const broker = isLeadersTurn ? null : inTurn[i % count]?.next();
      if (broker !== null && broker !== undefined) replicas.push(broker);
    }
    return replicas;
  }

  #shuffle(): void {
    shuffle(this.#racks, this.#random);
    for (const rack of this.#racks) rack.shuffle(this.#random);
  }
}

class Rack {
  readonly #active: Ring;
  readonly #fenced: Ring;

  constructor(brokers: readonly BrokerImage[], lastUsed: number | undefined, random: Random) {
    const idsOf = (isFenced: boolean) =>
      brokers.filter((broker) => broker.isFenced === isFenced).map(({ brokerId }) => brokerId);
    this.#active = new Ring(idsOf(false), lastUsed, random);
    this.#fenced = new Ring(idsOf(true), lastUsed, random);
  }

  begin(shift: number): void {
    this.#active.begin(shift);
    this.#fenced.begin(shift);
  }

  nextActive(): number | null {
    return this.#active.next();
  }

  next(): number | null {
    return this.#active.next() ?? this.#fenced.next();
  }

  shuffle(random: Random): void {
    this.#active.shuffle(random);
    this.#fenced.shuffle(random);
  }
}

/** Brokers that are given in turn, each once a partition. */
class Ring {
  readonly #ids: number[];
  readonly #start: number;
  #first = 0;
  #takenCount = 0;

  constructor(ids: number[], lastUsed: number | undefined, random: Random) {
    this.#ids = ids;
    const last = lastUsed === undefined ? -1 : ids.indexOf(lastUsed);
    this.#start = last === -1 && ids.length > 0 ? randomBelow(random, ids.length) : last + 1;
  }

  begin(shift: number): void {
    this.#first = this.#start + shift;
    this.#takenCount = 0;
  }

  next(): number | null {
    if (this.#takenCount === this.#ids.length) return null;
    const id = this.#ids[(this.#first + this.#takenCount) % this.#ids.length];
    this.#takenCount += 1;
    return must(id, "within the ring");
  }

  shuffle(random: Random): void {
    shuffle(this.#ids, random);
  }
}

function shuffle(items: unknown[], random: Random): void {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = randomBelow(random, last + 1);
    const [a, b] = [must(items[last], "within the list"), must(items[other], "within the list")];
    items[last] = b;
    items[other] = a;
  }
}

/** Where each replica lies: decided here if its broker has one directory, else by the broker. */
export function directoriesFor(image: MetadataImage, replicas: readonly number[]): Uuid[] {
  return replicas.map((brokerId) => {
    const [only, ...others] = image.brokers.get(brokerId)?.logDirs ?? [];
    return only === undefined || others.length > 0 ? UNASSIGNED_DIRECTORY : only;
  });
}
