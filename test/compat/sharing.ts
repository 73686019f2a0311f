import { expect } from "vitest";

/** What a member of a group has, what was given to it and taken from it, and what it has read. */
export interface MemberFacts {
  readonly own: readonly number[];
  readonly events: readonly string[];
  readonly read: readonly string[];
}

/** One member alone, then with a second, then the second alone. */
export interface SharingFacts {
  readonly alone: MemberFacts;
  readonly firstOfTwo: MemberFacts;
  readonly secondOfTwo: MemberFacts;
  readonly left: MemberFacts;
}

/**
 * Four partitions got "a" while the first member was alone, "b" while the two shared them and "c" after
 * the first had left: each record was read once, by who had its partition. A cooperative member gives
 * up nothing but what another gets.
 */
export function expectSharing(facts: SharingFacts, rebalance: "cooperative" | "eager"): void {
  const all = [0, 1, 2, 3];
  const { alone, firstOfTwo, secondOfTwo, left } = facts;
  const [ofFirst, ofSecond] = [firstOfTwo.own, secondOfTwo.own];
  expect([ofFirst.length, ofSecond.length]).toEqual([2, 2]);
  expect([...ofFirst, ...ofSecond].sort()).toEqual(all);
  expect(left.own).toEqual(all);

  const isEager = rebalance === "eager";
  expect(alone.events).toEqual(["assigned 0,1,2,3"]);
  expect(firstOfTwo.events).toEqual([
    "assigned 0,1,2,3",
    ...(isEager
      ? ["revoked 0,1,2,3", `assigned ${ofFirst.join()}`]
      : [`revoked ${ofSecond.join()}`]),
  ]);
  expect(secondOfTwo.events).toEqual([`assigned ${ofSecond.join()}`]);
  expect(left.events).toEqual([
    `assigned ${ofSecond.join()}`,
    ...(isEager
      ? [`revoked ${ofSecond.join()}`, "assigned 0,1,2,3"]
      : [`assigned ${ofFirst.join()}`]),
  ]);

  expect(alone.read).toEqual(records(all, "a"));
  expect(firstOfTwo.read).toEqual([...records(all, "a"), ...records(ofFirst, "b")].sort());
  expect(secondOfTwo.read).toEqual(records(ofSecond, "b"));
  expect(left.read).toEqual([...records(ofSecond, "b"), ...records(all, "c")].sort());
}

function records(partitions: readonly number[], value: string): string[] {
  return partitions.map((partition) => `${partition}:${value}`);
}
