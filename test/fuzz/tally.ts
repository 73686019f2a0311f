/** What happened, counted, and every violation with what reproduces it. */
export class Tally {
  readonly outcomes = new Map<string, number>();
  readonly mutations = new Map<string, number>();
  readonly framesByGroup = new Map<string, number>();
  readonly violations: string[] = [];
  frames = 0;
  pastHeader = 0;

  outcome(name: string): void {
    add(this.outcomes, name);
  }

  frame(group: string, kinds: readonly string[]): void {
    this.frames += 1;
    add(this.framesByGroup, group);
    for (const kind of kinds) add(this.mutations, kind);
  }

  violation(text: string): void {
    this.violations.push(text);
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** `a 12  b 3`, the most frequent first. */
export function formatCounts(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${name} ${count}`)
    .join("  ");
}
