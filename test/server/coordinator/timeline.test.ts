import fc from "fast-check";
import { expect, test } from "vitest";
import { Timeline, TimelineMap } from "../../../src/server/coordinator/timeline.ts";

test("what is not committed can be read, but not as committed, and can be taken back", () => {
  const timeline = new Timeline();
  const map = new TimelineMap<string, number>(timeline);
  map.set("loaded", 1);
  timeline.advance(1);
  map.set("loaded", 2);
  map.set("new", 3);
  expect([map.get("loaded"), map.getCommitted("loaded")]).toEqual([2, 1]);
  expect([map.get("new"), map.getCommitted("new")]).toEqual([3, undefined]);
  timeline.advance(2);
  map.delete("loaded");
  expect([...map.committedEntries()]).toEqual([["loaded", 1]]);
  timeline.commit(1);
  expect([...map.committedEntries()].sort()).toEqual([
    ["loaded", 2],
    ["new", 3],
  ]);
  timeline.rollback(1);
  expect([...map.entries()].sort()).toEqual([
    ["loaded", 2],
    ["new", 3],
  ]);
});

test("commit and rollback agree with a map that is copied at every position", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant("set"), fc.nat(4), fc.nat(9)) },
    { weight: 3, arbitrary: fc.tuple(fc.constant("delete"), fc.nat(4), fc.nat(0)) },
    { weight: 2, arbitrary: fc.tuple(fc.constant("commit"), fc.nat(6), fc.nat(0)) },
    { weight: 2, arbitrary: fc.tuple(fc.constant("rollback"), fc.nat(6), fc.nat(0)) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const timeline = new Timeline();
      const map = new TimelineMap<number, number>(timeline);
      /** The whole map after each position; the first is the committed one. */
      let copies: { position: number; content: Map<number, number> }[] = [
        { position: 0, content: new Map() },
      ];
      for (const [kind, a, b] of steps) {
        const latest = copies.at(-1)!;
        if (kind === "set" || kind === "delete") {
          const position = timeline.position + 1;
          timeline.advance(position);
          const content = new Map(latest.content);
          if (kind === "set") {
            map.set(a, b);
            content.set(a, b);
          } else {
            map.delete(a);
            content.delete(a);
          }
          copies.push({ position, content });
        } else {
          const target = copies[Math.max(0, copies.length - 1 - a)]!;
          if (kind === "commit") {
            timeline.commit(target.position);
            copies = copies.slice(copies.indexOf(target));
          } else {
            timeline.rollback(target.position);
            copies = copies.slice(0, copies.indexOf(target) + 1);
          }
        }
        expect(new Map(map.entries())).toEqual(copies.at(-1)!.content);
        expect(new Map(map.committedEntries())).toEqual(copies[0]!.content);
      }
    }),
  );
});
