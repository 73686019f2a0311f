import { must } from "../../base/assert.ts";
import { DIRTY, Dependencies, PROCESS, REALTIME, RW, WR, WW } from "./dependencies.ts";
import { shortestPath } from "./graph.ts";
import type { Graph, Hop } from "./graph.ts";
import type { IndexedHistory } from "./indexed-history.ts";
import type { DataEntry } from "./key-log.ts";
import type { CycleCase, CycleStep } from "./report.ts";

interface Family {
  readonly name: "G0" | "G1c" | "G2";
  /** Edges that its cycles consist of, besides the level's order; and of which one must be there. */
  readonly mask: number;
  readonly wanted: number;
  /** Families whose find in a component leaves nothing to add for this one. */
  readonly impliedBy: readonly number[];
}

/** The second is what read_committed excludes; the third may hold edges that it allows. */
const FAMILIES: readonly Family[] = [
  { name: "G0", mask: WW, wanted: WW, impliedBy: [0] },
  { name: "G1c", mask: WR, wanted: WR, impliedBy: [1] },
  { name: "G1c", mask: WW | WR | DIRTY, wanted: WR | DIRTY, impliedBy: [1, 2] },
  { name: "G2", mask: WW | WR | DIRTY | RW, wanted: RW, impliedBy: [3] },
];

/** From the worst: the less order a cycle needs, the worse. */
const LEVELS = [
  { suffix: "", order: 0 },
  { suffix: "-process", order: PROCESS },
  { suffix: "-realtime", order: REALTIME },
] as const;

/** Kafka isolates neither writes nor what is read uncommitted, and a poll need not show the newest. */
const ALLOWED = WW | DIRTY | RW;

/** A node, and the edge that leads on from it. */
interface Link {
  readonly node: number;
  readonly kind: number;
}

/**
 * Operations that each come before the other. One short cycle is shown of each strongly connected
 * component and family, under the worst name that it has.
 */
export function findCycles(
  history: IndexedHistory,
  options: { readonly antiDependencies: boolean },
): CycleCase[] {
  const dependencies = new Dependencies(history, options);
  const graph = dependencies.toGraph();
  // What one process did in turn is ordered in real time too: without a cycle here, there is none.
  const all = FAMILIES.reduce((mask, family) => mask | family.mask, REALTIME);
  const nodes = Array.from({ length: graph.nodeCount }, (_, node) => node);
  const regions = graph.components(all, nodes, () => true);
  if (regions.length === 0) return [];
  const labels = new Int32Array(graph.nodeCount);
  for (const [index, region] of regions.entries()) {
    for (const node of region) labels[node] = index + 1;
  }
  const search = new Search(dependencies, graph);
  // The moments of processes are in no region, yet between operations that are.
  const isInside = (node: number): boolean =>
    labels[node] !== 0 || dependencies.entry(node) === undefined;
  const members = regions.flat();
  return LEVELS.flatMap((level) =>
    FAMILIES.flatMap((family, index) => {
      const mask = family.mask | level.order;
      return graph
        .components(mask, members, isInside)
        .flatMap((component) => search.inside(component, index, level));
    }),
  );
}

class Search {
  readonly #dependencies: Dependencies;
  readonly #graph: Graph;
  /** By family: a node of each cycle that was found. */
  readonly #found = FAMILIES.map(() => new Set<number>());

  constructor(dependencies: Dependencies, graph: Graph) {
    this.#dependencies = dependencies;
    this.#graph = graph;
  }

  inside(
    component: readonly number[],
    index: number,
    { suffix, order }: (typeof LEVELS)[number],
  ): CycleCase[] {
    const family = must(FAMILIES[index], "a family");
    const known = family.impliedBy.map((other) => must(this.#found[other], "a family's finds"));
    if (component.some((node) => known.some((nodes) => nodes.has(node)))) return [];
    const cycle = this.#cycle(new Set(component), family, order);
    if (cycle === null) return [];
    must(this.#found[index], "a family's finds").add(must(cycle[0], "a link").node);
    return [this.#toCase(cycle, `${family.name}${suffix}`)];
  }

  /**
   * It begins with an edge that the family wants; null if there is none. It has an edge of the level's
   * order, because a cycle without one would have been found on an earlier level.
   */
  #cycle(component: ReadonlySet<number>, { mask, wanted }: Family, order: number): Link[] | null {
    const isInside = (node: number): boolean => component.has(node);
    for (const from of component) {
      for (const hop of this.#graph.hops(from, wanted)) {
        if (!isInside(hop.node)) continue;
        const ends = { from: hop.node, to: from };
        const back = shortestPath(this.#graph, ends, mask | order, isInside);
        return links(from, [hop, ...must(back, "a way back in a component")]);
      }
    }
    return null;
  }

  #toCase(cycle: readonly Link[], type: CycleCase["type"]): CycleCase {
    const entries: DataEntry[] = [];
    const kinds: number[] = [];
    for (const { node, kind } of cycle) {
      const entry = this.#dependencies.entry(node);
      // From moment to moment, and on to an operation, it is one step.
      if (entry === undefined) continue;
      entries.push(entry);
      kinds.push(kind);
    }
    const steps = entries.map((before, index): CycleStep => {
      const kind = must(kinds[index], "an edge");
      if (kind === PROCESS) return { kind: "process" };
      if (kind === REALTIME) return { kind: "realtime" };
      const after = must(entries[(index + 1) % entries.length], "an operation");
      return this.#dependencies.explain(kind, before, after);
    });
    const operations = entries.map(({ operation }) => operation);
    const isTolerated = kinds.some((kind) => (kind & ALLOWED) !== 0);
    return { type, isTolerated, steps, operations };
  }
}

/** Each node with the edge that leads on from it; the last hop leads to the first node. */
function links(from: number, hops: readonly Hop[]): Link[] {
  return hops.map(({ kind }, index) => ({ node: hops[index - 1]?.node ?? from, kind }));
}
