import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fenceBroker, unfenceBroker } from "../../../src/server/metadata/broker-fencing.ts";
import { registerBroker } from "../../../src/server/metadata/broker-registration.ts";
import { EMPTY_IMAGE, type MetadataImage } from "../../../src/server/metadata/image.ts";
import { type PlacementTerms, placeReplicas } from "../../../src/server/metadata/placement.ts";
import { decide, DEFAULTS, registration, uuid } from "./cluster-image.ts";

/** Brokers from 1 on, each with the rack that stands in its place. */
function racked(...racks: (string | null)[]): MetadataImage {
  return decide(
    EMPTY_IMAGE,
    ...racks.flatMap((rack, index) => [
      (image: MetadataImage) =>
        registerBroker(image, registration(index + 1, { rack }), image.offset + 1),
      (image: MetadataImage) => unfenceBroker(image, index + 1, DEFAULTS.topicConfigs),
    ]),
  );
}

function place(image: MetadataImage, over: Partial<PlacementTerms>) {
  const terms = { partitionCount: 1, replicationFactor: 1, topicId: uuid(), existing: [], ...over };
  const result = placeReplicas(image, terms);
  return result.kind === "placed" ? result.placements : result.reason;
}

function placed(image: MetadataImage, over: Partial<PlacementTerms>) {
  const result = place(image, over);
  if (typeof result === "string") throw new Error(result);
  return result;
}

const counts = (ids: readonly number[]) =>
  [...new Set(ids)].sort().map((id) => ids.filter((each) => each === id).length);
const fenced = (image: MetadataImage, ...ids: number[]) =>
  decide(
    image,
    ...ids.map((id) => (each: MetadataImage) => fenceBroker(each, id, DEFAULTS.topicConfigs)),
  );

describe("placement", () => {
  test("no broker has two replicas of a partition, an active one leads, and each rack gets its share", () => {
    const racks = fc.array(fc.constantFrom("a", "b", "c", null), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(racks, fc.nat(), fc.nat(), fc.uint8Array(), (names, factor, count, bits) => {
        const whole = racked(...names);
        const down = names.map((_rack, i) => i + 1).filter((id) => (bits[id] ?? 0) % 3 === 1);
        if (down.length === names.length) return;
        const image = fenced(whole, ...down);
        const replicationFactor = 1 + (factor % names.length);
        for (const replicas of placed(image, {
          partitionCount: 1 + (count % 20),
          replicationFactor,
        })) {
          expect(new Set(replicas).size).toBe(replicationFactor);
          expect(down).not.toContain(replicas[0]);
          const rackOf = (id: number) => names[id - 1] ?? "";
          const used = new Set(replicas.map(rackOf)).size;
          expect(used).toBe(Math.min(replicationFactor, new Set(names.map((n) => n ?? "")).size));
        }
      }),
    );
  });

  test("leaders are even over equal racks, within a topic and over topics of one partition", () => {
    const image = racked("a", "a", "b", "b", "c", "c");
    const wide = placed(image, { partitionCount: 18, replicationFactor: 3 });
    expect(counts(wide.map(([leader]) => leader!))).toEqual([3, 3, 3, 3, 3, 3]);
    const small = Array.from(
      { length: 600 },
      () => placed(image, { replicationFactor: 3 })[0]![0]!,
    );
    const least = Math.min(...counts(small));
    expect(least).toBeGreaterThan(60);
  });

  test("who follows a leader differs, so that its partitions go to many when it fails", () => {
    const wide = placed(racked("a", "a", "a", "b", "b", "b"), {
      partitionCount: 60,
      replicationFactor: 2,
    });
    const followers = wide.filter(([leader]) => leader === 1).map(([, follower]) => follower);
    expect(new Set(followers).size).toBeGreaterThan(1);
  });

  test("fenced brokers are taken only where their rack has no other", () => {
    const image = fenced(racked("a", "a", "b"), 1);
    const wide = placed(image, { partitionCount: 9, replicationFactor: 2 });
    expect(wide.flat()).not.toContain(1);
    const all = placed(image, { partitionCount: 9, replicationFactor: 3 });
    expect(all.every(([leader]) => leader !== 1)).toBe(true);
  });

  test("partitions that are added go on behind those that there are", () => {
    const image = racked(null, null, null);
    const existing = [[2, 3]];
    const added = placed(image, { partitionCount: 3, replicationFactor: 2, existing });
    expect(added).toEqual([
      [3, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  test("a broker that is shutting down gets nothing, and counts for nothing", () => {
    const image = racked(null, null);
    const registered = [...image.brokers.values()].map((broker) => ({
      ...broker,
      isInControlledShutdown: broker.brokerId === 1,
    }));
    const leaving = { ...image, brokers: new Map(registered.map((each) => [each.brokerId, each])) };
    expect(placed(leaving, { partitionCount: 4 }).flat()).toEqual([2, 2, 2, 2]);
    expect(place(leaving, { replicationFactor: 2 })).toMatch(/^The target replication factor of 2/);
  });

  test("without an active broker there is none, in Kafka's words", () => {
    expect(place(fenced(racked(null), 1), {})).toBe(
      "All brokers are currently fenced, or have all their log directories cordoned.",
    );
  });
});
