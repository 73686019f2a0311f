export type Labels = Readonly<Record<string, string | number>>;

/** Metrics in the text form that Prometheus reads. */
export class MetricsText {
  readonly #lines: string[] = [];

  /** Begins a metric; its samples follow, each by `sample`. */
  family(name: string, kind: "counter" | "gauge", help: string): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
  }

  sample(name: string, value: number, labels: Labels = {}): void {
    const pairs = Object.entries(labels).map(
      ([key, label]) => `${key}="${escaped(String(label))}"`,
    );
    this.#lines.push(`${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`);
  }

  /** A metric of one sample. */
  single(name: string, kind: "counter" | "gauge", help: string, value: number): void {
    this.family(name, kind, help);
    this.sample(name, value);
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

function escaped(label: string): string {
  return label.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
