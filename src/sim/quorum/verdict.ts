/** Rules of docs/reliability.md, section 3, and of issue 6 that this workload looks at. */
export const RULES = {
  K1: "an epoch has one leader, on the wire and in each process",
  K2: "a leader's log only grows while it leads",
  K3: "one (offset, epoch) has one content on all platters",
  K4: "who leads has been given all that was committed in earlier epochs",
  K5: "each offset is delivered with one content on all nodes",
  K6: "a vote that is sent is on the sender's platter, and is one in its epoch",
  K7: "no epoch is spoken in that is not on the platter, and none falls",
  K8: "the last record that a leader finds committed is of its own epoch",
  K9: "the high watermark never falls; what is committed is on a majority's platters; a fetch promises no more",
  K10: "nothing below the high watermark is cut",
  K11: "a snapshot that is taken or loaded is what replaying the prefix comes to",
  K12: "no leader loads a snapshot",
  K13: "all nodes go by the same voters, which nobody has changed",
  K14: "nobody but a voter votes, stands for election or leads",
  K15: "a candidate has a majority's pre-votes; a leader hears a majority",
  K16: "broker epochs are offsets of registrations, and all nodes fence the same brokers",
  K17: "what a node applies is the log without a gap, from its start",
  K18: "a node whose vote file is damaged does not vote",
  "R-6": "a leader is in the ISR and is not fenced when it is elected",
  "R-9": "leader epochs never fall, and rise with each new leader",
  "R-12": "who joins an ISR is there and not fenced",
  "R-13": "each change raises the partition's epoch",
  "R-16": "ISR and ELR share no member, and none comes into the ELR but from the ISR",
  "R-18": "no unclean election, where none is enabled",
  R5: "no broker is unfenced before an unclean restart has cost it its place in ISR and ELR",
  R14: "all nodes have one founder's cluster",
  X4: "no producer id is handed out twice",
  E15: "an answered change is committed when it is answered, and stays, on all nodes",
  E16: "no topic id comes twice, and what was deleted stays so",
} as const;

export type Rule = keyof typeof RULES | "crash" | "guard" | "convergence" | "workload";

export interface Finding {
  readonly rule: Rule;
  readonly detail: string;
}

/** What the checkers have looked at, and what they have found. */
export class Verdict {
  readonly findings: Finding[] = [];
  /** How often each rule was looked at. */
  readonly looks = new Map<Rule, number>();
  /** What happened, in short, for whoever looks for the cause. */
  readonly story: string[] = [];
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  that(rule: Rule, condition: boolean, detail: () => string): void {
    this.looks.set(rule, (this.looks.get(rule) ?? 0) + 1);
    if (!condition) this.report(rule, detail());
  }

  report(rule: Rule, detail: string): void {
    this.findings.push({ rule, detail: `${detail} (at ${Math.round(this.#nowMs())} ms)` });
  }

  tell(event: string): void {
    this.story.push(`${Math.round(this.#nowMs())} ms: ${event}`);
  }
}
