import { must } from "../../base/assert.ts";
import { type Random, randomBelow } from "../../base/random.ts";
import type { NewFaultRule } from "../../storage/fault-rules.ts";
import type { QuorumPlan } from "./plan.ts";
import type { QuorumNode } from "./quorum-node.ts";
import type { QuorumSimWorld } from "./world.ts";

type Fault = (schedule: FaultSchedule) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  "kill -9": (it) => it.reboot(it.any(), (node) => node.kill()),
  "kill of the leader": (it) => it.reboot(it.leader(), (node) => node.kill()),
  "power cut of one": (it) => it.reboot(it.any(), (node) => node.cutPower()),
  "power cut of a majority": (it) => it.rebootSeveral(it.majority()),
  "power cut of all": (it) => it.rebootSeveral(it.world.nodes),
  "crash at an await": (it) => it.crashInside(it.any()),
  "clean restart": (it) => it.restart(it.any()),
  "fast reboot": (it) => it.fastReboot(it.any()),
  "one-way cut": (it) => it.cutOneWay(),
  "ring partition": (it) => it.cutRing(),
  partition: (it) => it.partition(),
  "leader cut off": (it) => it.isolate(it.leader()),
  flapping: (it) => it.flap(),
  "broken connections": (it) => it.breakConnections(),
  "slow links": (it) => it.slowDown(),
  pause: (it) => it.pause(it.any(), 100 + it.below(8_000)),
  "loop stalls": (it) => it.stallLoop(it.any()),
  "disk stall": (it) => it.disturb(it.any(), it.stall(), 500 + it.below(8_000)),
  EIO: (it) => it.breakDisk(it.any()),
  ENOSPC: (it) => it.disturb(it.any(), FULL, 500 + it.below(4_000)),
  "bit flip": (it) => it.flipBit(it.any()),
  "clock jump": (it) => it.jumpClock(it.any()),
  "wiped disk": (it) => it.wipe(),
  "damaged vote file": (it) => it.damageVote(),
};

const FULL: readonly NewFaultRule[] = [
  {
    operations: ["create", "writev"],
    times: Infinity,
    fault: { kind: "error", code: "ENOSPC" },
  },
];
const BROKEN: readonly NewFaultRule[] = [
  { operations: ["datasync"], times: Infinity, fault: { kind: "error", code: "EIO" } },
];

/** What goes wrong in a run, one after the other and several at once; and how it ends. */
export class FaultSchedule {
  readonly world: QuorumSimWorld;
  readonly counts = new Map<string, number>();
  readonly #plan: QuorumPlan;
  readonly #random: Random;
  /** What must still be undone. */
  readonly #pending = new Set<Promise<void>>();
  /** A process whose disk was full, or has failed. */
  readonly #brokenDisks = new Set<QuorumNode>();
  #lostVoters = 0;

  constructor(world: QuorumSimWorld, plan: QuorumPlan, random: Random) {
    this.world = world;
    this.#plan = plan;
    this.#random = random;
  }

  get count(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  below(bound: number): number {
    return randomBelow(this.#random, bound);
  }

  /** Until `isEnough`. */
  async run(isEnough: () => boolean): Promise<void> {
    const names = Object.keys(FAULTS);
    while (!isEnough()) {
      await this.world.sleep(300 + this.below(4_000));
      const name = must(names[this.below(names.length)], "a fault");
      this.world.verdict.tell(name);
      this.world.trace.add("fault", name);
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      const undone = must(FAULTS[name], "a fault")(this);
      this.#pending.add(undone);
      void undone.then(() => this.#pending.delete(undone));
      // Now and then all of it heals, so that the cluster gets on.
      if (this.below(4) === 0) await this.#allUndone();
    }
  }

  /** Nothing goes wrong any more: all is whole, and every node runs. */
  async mend(): Promise<void> {
    await this.#allUndone();
    const { rpc, nodes, verdict } = this.world;
    rpc.links.mendAll();
    for (const node of nodes) {
      node.process?.faults.setRules([]);
      node.process?.gate.open();
      // A disk that has failed stays so for the process (R9): whoever runs the node starts it anew.
      if (this.#brokenDisks.delete(node)) node.kill();
      if (this.world.damaged.delete(node.id)) node.wipe();
      this.world.start(node);
    }
    verdict.tell("nothing goes wrong any more");
  }

  any(): QuorumNode {
    return must(this.world.nodes[this.below(this.world.nodes.length)], "a node");
  }

  leader(): QuorumNode {
    return this.world.leader ?? this.any();
  }

  majority(): readonly QuorumNode[] {
    const { controllers } = this.world;
    return this.#shuffled(controllers).slice(0, Math.floor(controllers.length / 2) + 1);
  }

  async reboot(node: QuorumNode, end: (node: QuorumNode) => void): Promise<void> {
    this.#tell(node);
    end(node);
    await this.world.sleep(this.below(12_000));
    this.world.start(node);
  }

  async rebootSeveral(nodes: readonly QuorumNode[]): Promise<void> {
    for (const node of nodes) node.cutPower();
    await Promise.all(
      this.#shuffled(nodes).map(async (node) => {
        await this.world.sleep(this.below(5_000));
        this.world.start(node);
      }),
    );
  }

  /** Before some call of the disk, wherever the program then is. */
  async crashInside(node: QuorumNode): Promise<void> {
    this.#tell(node);
    const { process } = node;
    let left = this.below(60);
    process?.faults.setRecorder(() => {
      left -= 1;
      if (left < 0 && node.process === process) node.kill();
    });
    await this.world.sleep(2_000 + this.below(3_000));
    process?.faults.setRecorder(null);
    this.world.start(node);
  }

  async restart(node: QuorumNode): Promise<void> {
    this.#tell(node);
    const { process } = node;
    await Promise.race([node.stop(), this.world.sleep(20_000)]);
    if (node.process === process) node.kill();
    await this.world.sleep(this.below(3_000));
    this.world.start(node);
  }

  /** Back before anybody has missed it (E4), twice. */
  async fastReboot(node: QuorumNode): Promise<void> {
    this.#tell(node);
    for (let round = 0; round < 2; round += 1) {
      node.cutPower();
      this.world.start(node);
      await this.world.sleep(this.below(1_500));
    }
  }

  cutOneWay(): Promise<void> {
    const [from, to] = this.#two();
    this.world.rpc.links.cut(from, to);
    return this.#mendLater(() => this.world.rpc.links.mend(from, to));
  }

  /** Each node reaches its two neighbours only: every one sees another majority. */
  cutRing(): Promise<void> {
    const names = this.#shuffled(this.world.nodes).map(({ machine }) => machine);
    const cuts = names.flatMap((from, index) =>
      names.flatMap((to, at) => {
        const distance = (at - index + names.length) % names.length;
        return distance > 1 && distance < names.length - 1 ? [[from, to] as const] : [];
      }),
    );
    // Of three nodes, one link is missing.
    const [a = "", b = ""] = names;
    const all = names.length > 3 ? cuts : [[a, b] as const, [b, a] as const];
    for (const [from, to] of all) this.world.rpc.links.cut(from, to);
    return this.#mendLater(() => {
      for (const [from, to] of all) this.world.rpc.links.mend(from, to);
    });
  }

  partition(): Promise<void> {
    const names = this.#shuffled(this.world.nodes).map(({ machine }) => machine);
    const at = 1 + this.below(names.length - 1);
    return this.#part([names.slice(0, at), names.slice(at)]);
  }

  isolate(node: QuorumNode): Promise<void> {
    this.#tell(node);
    const others = this.world.nodes.filter((other) => other !== node);
    return this.#part([[node.machine], others.map(({ machine }) => machine)]);
  }

  async flap(): Promise<void> {
    const [from, to] = this.#two();
    const { links } = this.world.rpc;
    for (let round = 0; round < 15; round += 1) {
      links.cut(from, to);
      links.cut(to, from);
      await this.world.sleep(200);
      links.mend(from, to);
      links.mend(to, from);
      await this.world.sleep(200);
    }
  }

  breakConnections(): Promise<void> {
    const [a, b] = this.#two();
    this.world.rpc.breakConnections(a, b);
    return Promise.resolve();
  }

  slowDown(): Promise<void> {
    const { links } = this.world.rpc;
    const names = this.world.nodes.map(({ machine }) => machine);
    const delayMs = 20 + this.below(600);
    const directions = names.flatMap((from) => names.map((to) => [from, to] as const));
    for (const [from, to] of directions) links.delay(from, to, this.below(delayMs));
    return this.#mendLater(() => {
      for (const [from, to] of directions) links.delay(from, to, 0);
    });
  }

  async pause(node: QuorumNode, ms: number): Promise<void> {
    this.#tell(node);
    const { process } = node;
    process?.gate.shut();
    await this.world.sleep(ms);
    process?.gate.open();
  }

  async stallLoop(node: QuorumNode): Promise<void> {
    for (let round = 0; round < 10; round += 1) {
      await this.pause(node, this.below(700));
      await this.world.sleep(this.below(300));
    }
  }

  stall(): readonly NewFaultRule[] {
    const ms = 200 + this.below(6_000);
    return [{ operations: ["datasync"], times: Infinity, fault: { kind: "delay", ms } }];
  }

  async disturb(node: QuorumNode, rules: readonly NewFaultRule[], ms: number): Promise<void> {
    this.#tell(node);
    const { process } = node;
    process?.faults.setRules(rules);
    await this.world.sleep(ms);
    process?.faults.setRules([]);
    if (rules === FULL) this.#brokenDisks.add(node);
  }

  /** A failed sync is final (R9); the node is started again on another disk controller, so to say. */
  async breakDisk(node: QuorumNode): Promise<void> {
    await this.disturb(node, BROKEN, 1_000 + this.below(3_000));
    node.kill();
    await this.world.sleep(this.below(1_000));
    this.world.start(node);
  }

  /** One read of the metadata's log shows a bit that is not so: found by its checksum, read again, or left. */
  async flipBit(node: QuorumNode): Promise<void> {
    const fault = { kind: "flipBit", position: null, bit: this.below(8) } as const;
    const rule = { operations: ["read"], path: "*.log", times: 1, fault } as const;
    await this.disturb(node, [rule], 5_000);
  }

  jumpClock(node: QuorumNode): Promise<void> {
    this.#tell(node);
    const jumps = [3_600_000, -3_600_000, 86_400_000, 500, -500, 0];
    node.wallOffsetMs = must(jumps[this.below(jumps.length)], "a jump");
    return Promise.resolve();
  }

  /** At most one voter of a run, and not before its promises are others' as well. */
  async wipe(): Promise<void> {
    const node = this.any();
    if (node.options.isController && !this.#mayLoseVoter()) return;
    this.#tell(node);
    node.wipe();
    await this.world.sleep(this.below(5_000));
    this.world.start(node);
  }

  /** The file with its vote is damaged while the node is down (K18): it stays down until it is wiped. */
  async damageVote(): Promise<void> {
    const { controllers } = this.world;
    const node = must(controllers[this.below(controllers.length)], "a controller");
    if (!this.#mayLoseVoter()) return;
    this.#tell(node);
    node.cutPower();
    const isDamaged = node.damageVote(this.below(1_000));
    if (isDamaged) this.world.damaged.add(node.id);
    this.world.start(node);
    await this.world.sleep(3_000 + this.below(5_000));
    this.world.start(node);
  }

  #mayLoseVoter(): boolean {
    if (!this.#plan.mayWipe || this.#lostVoters > 0) return false;
    this.#lostVoters += 1;
    return true;
  }

  #part(groups: readonly (readonly string[])[]): Promise<void> {
    const { links } = this.world.rpc;
    links.partition(groups);
    return this.#mendLater(() => {
      for (const [index, group] of groups.entries()) {
        for (const other of groups.flatMap((names, at) => (at === index ? [] : names))) {
          for (const name of group) links.mend(name, other);
        }
      }
    });
  }

  async #mendLater(mend: () => void): Promise<void> {
    await this.world.sleep(500 + this.below(10_000));
    mend();
  }

  async #allUndone(): Promise<void> {
    await Promise.all(this.#pending);
  }

  #two(): readonly [string, string] {
    const [a, b] = this.#shuffled(this.world.nodes);
    return [must(a, "two nodes").machine, must(b, "two nodes").machine];
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const left = [...items];
    const shuffled: T[] = [];
    while (left.length > 0) shuffled.push(...left.splice(this.below(left.length), 1));
    return shuffled;
  }

  #tell(node: QuorumNode): void {
    this.world.verdict.tell(`  node ${node.id}`);
  }
}
