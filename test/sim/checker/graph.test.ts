import fc from "fast-check";
import { expect, test } from "vitest";
import { Edges, shortestPath } from "../../../src/sim/checker/graph.ts";

const NODES = 9;
const edge = fc
  .tuple(fc.nat(NODES - 1), fc.nat(NODES - 1), fc.constantFrom(1, 2))
  .filter(([from, to]) => from !== to);
const edgeLists = fc.array(edge, { maxLength: 30 });
type EdgeList = readonly (readonly [from: number, to: number, kind: number])[];

function graphOf(list: EdgeList) {
  const edges = new Edges();
  for (const [from, to, kind] of list) edges.add(from, to, kind);
  return edges.toGraph(NODES);
}

/** By trying: what can be reached from a node. */
function reach(list: EdgeList, from: number, mask: number): Set<number> {
  const reached = new Set<number>();
  const queue = [from];
  for (const node of queue) {
    for (const [start, to, kind] of list) {
      if (start !== node || (kind & mask) === 0 || reached.has(to)) continue;
      reached.add(to);
      queue.push(to);
    }
  }
  return reached;
}

test("components are what can reach each other", () => {
  fc.assert(
    fc.property(edgeLists, fc.constantFrom(1, 2, 3), (list, mask) => {
      const nodes = [...Array(NODES).keys()];
      const expected = new Set(
        nodes
          .map((node) =>
            nodes.filter(
              (other) => reach(list, node, mask).has(other) && reach(list, other, mask).has(node),
            ),
          )
          .filter((component) => component.length > 1)
          .map((component) => component.join()),
      );
      const found = graphOf(list).components(mask, nodes, () => true);
      expect(new Set(found.map((each) => each.sort((a, b) => a - b).join()))).toEqual(expected);
      expect(found).toHaveLength(expected.size);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test("components stay among the nodes that they are looked for in", () => {
  const graph = graphOf([
    [0, 1, 1],
    [1, 2, 1],
    [2, 0, 1],
    [1, 0, 1],
  ]);
  expect(graph.components(1, [0, 1], (node) => node < 2)).toEqual([[0, 1]]);
});

test("a path is one, the shortest, over what it may use, and passes no node twice", () => {
  const query = fc.record({
    list: edgeLists,
    from: fc.nat(NODES - 1),
    to: fc.nat(NODES - 1),
    mask: fc.constantFrom(1, 2, 3),
  });
  fc.assert(
    fc.property(query, ({ list, from, to, mask }) => {
      fc.pre(from !== to);
      const graph = graphOf(list);
      const path = shortestPath(graph, { from, to }, mask, () => true);
      expect(path !== null).toBe(reach(list, from, mask).has(to));
      if (path === null) return;
      let node = from;
      for (const hop of path) {
        expect(list).toContainEqual([node, hop.node, hop.kind]);
        expect(hop.kind & mask).not.toBe(0);
        node = hop.node;
      }
      expect(node).toBe(to);
      expect(new Set([from, ...path.map((hop) => hop.node)]).size).toBe(path.length + 1);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test("a path keeps to the nodes that it may pass", () => {
  const graph = graphOf([
    [0, 2, 1],
    [2, 1, 1],
  ]);
  const ends = { from: 0, to: 1 };
  expect(shortestPath(graph, ends, 1, () => true)).toHaveLength(2);
  expect(shortestPath(graph, ends, 1, (node) => node !== 2)).toBeNull();
});

test("nothing comes before itself, and the list of edges grows", () => {
  const edges = new Edges();
  expect(() => {
    edges.add(3, 3, 1);
  }).toThrow("before itself");
  const count = 5_000;
  for (let node = 0; node < count; node += 1) edges.add(node, (node + 1) % count, 2);
  const graph = edges.toGraph(count);
  expect([...graph.hops(4_999, 2)]).toEqual([{ node: 0, kind: 2 }]);
  expect(graph.components(2, [0], () => true)[0]).toHaveLength(count);
});
