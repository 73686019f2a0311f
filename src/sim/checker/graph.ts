import { assert, must } from "../../base/assert.ts";

/** Edges of a graph while it grows, in 9 bytes each. Nodes are small numbers; a kind is one bit. */
export class Edges {
  #from = new Int32Array(1024);
  #to = new Int32Array(1024);
  #kinds = new Uint8Array(1024);
  #count = 0;

  add(from: number, to: number, kind: number): void {
    assert(from !== to, "no operation comes before itself", () => ({ from, kind }));
    if (this.#count === this.#from.length) this.#grow();
    this.#from[this.#count] = from;
    this.#to[this.#count] = to;
    this.#kinds[this.#count] = kind;
    this.#count += 1;
  }

  toGraph(nodeCount: number): Graph {
    const starts = new Int32Array(nodeCount + 1);
    for (let edge = 0; edge < this.#count; edge += 1) bump(starts, at(this.#from, edge) + 1);
    for (let node = 0; node < nodeCount; node += 1) {
      starts[node + 1] = at(starts, node + 1) + at(starts, node);
    }
    const next = starts.slice();
    const targets = new Int32Array(this.#count);
    const kinds = new Uint8Array(this.#count);
    for (let edge = 0; edge < this.#count; edge += 1) {
      const place = bump(next, at(this.#from, edge));
      targets[place] = at(this.#to, edge);
      kinds[place] = at(this.#kinds, edge);
    }
    return new Graph(starts, targets, kinds);
  }

  #grow(): void {
    const size = 2 * this.#count;
    this.#from = grown(this.#from, new Int32Array(size));
    this.#to = grown(this.#to, new Int32Array(size));
    this.#kinds = grown(this.#kinds, new Uint8Array(size));
  }
}

/** An edge of a path: where it leads, and its kind. */
export interface Hop {
  readonly node: number;
  readonly kind: number;
}

/** The edges by the node from which they lead. */
export class Graph {
  readonly #starts: Int32Array;
  readonly #targets: Int32Array;
  readonly #kinds: Uint8Array;

  constructor(starts: Int32Array, targets: Int32Array, kinds: Uint8Array) {
    this.#starts = starts;
    this.#targets = targets;
    this.#kinds = kinds;
  }

  get nodeCount(): number {
    return this.#starts.length - 1;
  }

  *hops(node: number, mask: number): Generator<Hop> {
    for (let edge = at(this.#starts, node); edge < at(this.#starts, node + 1); edge += 1) {
      const kind = at(this.#kinds, edge);
      if ((kind & mask) !== 0) yield { node: at(this.#targets, edge), kind };
    }
  }

  /**
   * The strongly connected components of more than one node, over the edges of some kinds, among some
   * nodes. Tarjan's algorithm with a stack of its own: a history is deeper than the machine's.
   */
  components(
    mask: number,
    nodes: Iterable<number>,
    isInside: (node: number) => boolean,
  ): number[][] {
    const order = new Int32Array(this.nodeCount);
    const low = new Int32Array(this.nodeCount);
    const isOpen = new Uint8Array(this.nodeCount);
    /** The next edge of each node on the path. */
    const edges = this.#starts.slice(0, this.nodeCount);
    const open: number[] = [];
    const path: number[] = [];
    const found: number[][] = [];
    let count = 0;
    const enter = (node: number): void => {
      count += 1;
      order[node] = count;
      low[node] = count;
      isOpen[node] = 1;
      open.push(node);
      path.push(node);
    };
    const leave = (node: number): void => {
      path.pop();
      const parent = path.at(-1);
      if (parent !== undefined) low[parent] = Math.min(at(low, parent), at(low, node));
      if (at(low, node) !== at(order, node)) return;
      const component = open.splice(open.lastIndexOf(node));
      for (const member of component) isOpen[member] = 0;
      if (component.length > 1) found.push(component);
    };
    for (const root of nodes) {
      if (at(order, root) !== 0) continue;
      enter(root);
      for (let node = path.at(-1); node !== undefined; node = path.at(-1)) {
        const edge = bump(edges, node);
        if (edge >= at(this.#starts, node + 1)) {
          leave(node);
          continue;
        }
        const target = at(this.#targets, edge);
        if ((at(this.#kinds, edge) & mask) === 0 || !isInside(target)) continue;
        if (at(order, target) === 0) enter(target);
        else if (isOpen[target] === 1) low[node] = Math.min(at(low, node), at(order, target));
      }
    }
    return found;
  }
}

/** The shortest way from a node to another over edges of some kinds, among some nodes; null if none. */
export function shortestPath(
  graph: Graph,
  ends: { readonly from: number; readonly to: number },
  mask: number,
  isInside: (node: number) => boolean,
): Hop[] | null {
  const cameFrom = new Map<number, { readonly from: number; readonly hop: Hop }>();
  const queue = [ends.from];
  for (const from of queue) {
    for (const hop of graph.hops(from, mask)) {
      const { node } = hop;
      if (!isInside(node) || node === ends.from || cameFrom.has(node)) continue;
      cameFrom.set(node, { from, hop });
      if (node === ends.to) return walkBack(cameFrom, ends);
      queue.push(node);
    }
  }
  return null;
}

function walkBack(
  cameFrom: ReadonlyMap<number, { readonly from: number; readonly hop: Hop }>,
  { from, to }: { readonly from: number; readonly to: number },
): Hop[] {
  const hops: Hop[] = [];
  for (let node = to; node !== from;) {
    const step = must(cameFrom.get(node), "a node that was reached");
    hops.push(step.hop);
    node = step.from;
  }
  return hops.reverse();
}

/** In bounds, always: nodes and edges come from the graph itself. */
function at(array: Int32Array | Uint8Array, index: number): number {
  return must(array[index], "a node or an edge");
}

/** What was there before. */
function bump(array: Int32Array, index: number): number {
  const before = at(array, index);
  array[index] = before + 1;
  return before;
}

function grown<A extends Int32Array | Uint8Array>(old: A, larger: A): A {
  larger.set(old);
  return larger;
}
