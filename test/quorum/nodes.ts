import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { must } from "../../src/base/assert.ts";
import { BrokerProcess } from "../support/broker-process.ts";
import { until } from "../support/until.ts";

export type Overrides = Readonly<Record<string, string | number>>;

/** One process, as its file and these settings have it. */
export interface NodeOptions {
  readonly nodeId: number;
  readonly file: string;
  readonly dataDirectory: string;
  readonly overrides: Overrides;
}

/** Several processes of one cluster, each in a folder of its own, on ports that were free at the beginning. */
export class Nodes {
  readonly #options: ReadonlyMap<number, NodeOptions>;
  readonly #running = new Map<number, BrokerProcess>();
  /** All that ended processes had printed. */
  readonly #past = new Map<number, string>();

  constructor(options: readonly NodeOptions[]) {
    this.#options = new Map(options.map((each) => [each.nodeId, each]));
  }

  /** `config/node-{1,2,3}.properties` in the folder, one copy of each partition; nothing is started. */
  static async three(folder: string, overrides: Overrides = {}): Promise<Nodes> {
    const ports = await freePorts(6);
    const voters = [1, 2, 3].map((nodeId) => `${nodeId}@127.0.0.1:${ports[2 * nodeId - 1]!}`);
    return new Nodes(
      [1, 2, 3].map((nodeId) => ({
        nodeId,
        file: `config/node-${nodeId}.properties`,
        dataDirectory: join(folder, `node-${nodeId}`),
        overrides: {
          listeners:
            `PLAINTEXT://127.0.0.1:${ports[2 * nodeId - 2]!},` +
            `CONTROLLER://127.0.0.1:${ports[2 * nodeId - 1]!}`,
          "controller.quorum.voters": voters.join(","),
          "default.replication.factor": 1,
          "min.insync.replicas": 1,
          ...overrides,
        },
      })),
    );
  }

  get ids(): readonly number[] {
    return [...this.#options.keys()];
  }

  /** Those whose process runs. */
  get runningIds(): readonly number[] {
    return [...this.#running.keys()];
  }

  optionsOf(nodeId: number): NodeOptions {
    return must(this.#options.get(nodeId), "it is one of these");
  }

  node(nodeId: number): BrokerProcess {
    return must(this.#running.get(nodeId), "it runs");
  }

  /** Of the clients' listener, whether the process runs or not. */
  portOf(nodeId: number): number {
    const listeners = String(this.optionsOf(nodeId).overrides["listeners"]);
    return Number(must(/^\w+:\/\/127\.0\.0\.1:(\d+)/.exec(listeners)?.[1], "it has a port"));
  }

  get bootstrap(): string {
    return this.ids.map((nodeId) => `127.0.0.1:${this.portOf(nodeId)}`).join(",");
  }

  /** All that the node has printed, in all its processes. */
  outputOf(nodeId: number): string {
    return (this.#past.get(nodeId) ?? "") + (this.#running.get(nodeId)?.output ?? "");
  }

  /** Starts a process; it need not be able to serve yet. */
  spawn(nodeId: number, overrides: Overrides = {}): BrokerProcess {
    const { file, dataDirectory, overrides: own } = this.optionsOf(nodeId);
    const all = { "node.id": nodeId, ...own, ...overrides };
    const process = BrokerProcess.spawn({ file, dataDirectory, overrides: all });
    this.#running.set(nodeId, process);
    return process;
  }

  /** Starts these at once; resolves when each of them serves. */
  async start(nodeIds: readonly number[] = this.ids): Promise<void> {
    await Promise.all(nodeIds.map((nodeId) => this.spawn(nodeId).listening()));
  }

  /** SIGKILL, to all of them at the same moment. */
  async kill9(nodeIds: readonly number[]): Promise<void> {
    await Promise.all(nodeIds.map((nodeId) => this.#end(nodeId, "kill9")));
  }

  /** SIGTERM; resolves with the exit code. */
  stop(nodeId: number): Promise<number | string> {
    return this.#end(nodeId, "stop");
  }

  /** Ends what runs, in order. */
  async close(): Promise<void> {
    await Promise.all(this.runningIds.map((nodeId) => this.stop(nodeId)));
  }

  /** Resolves with the active controller that a majority of all nodes has written down. */
  async activeController(): Promise<number> {
    const found: number[] = [];
    await until(async () => {
      const leaderId = await this.#leaderOfMost();
      if (leaderId !== null) found.push(leaderId);
      return leaderId !== null;
    }, "most nodes know one active controller that runs");
    return must(found[0], "there is one");
  }

  async #leaderOfMost(): Promise<number | null> {
    const states = await Promise.all(this.ids.map((nodeId) => this.#quorumState(nodeId)));
    const epoch = Math.max(...states.map((state) => state?.leaderEpoch ?? 0));
    const newest = states.flatMap((each) => (each?.leaderEpoch === epoch ? [each.leaderId] : []));
    const leaderId = newest.find((each) => each !== -1);
    if (leaderId === undefined || !this.#running.has(leaderId)) return null;
    return newest.filter((each) => each === leaderId).length > states.length / 2 ? leaderId : null;
  }

  async #quorumState(nodeId: number): Promise<QuorumStateFile | null> {
    const { dataDirectory } = this.optionsOf(nodeId);
    const path = join(dataDirectory, "__cluster_metadata-0", "quorum-state");
    try {
      return JSON.parse(await readFile(path, "utf8")) as QuorumStateFile;
    } catch {
      // No controller, or not yet.
      return null;
    }
  }

  async #end(nodeId: number, how: "kill9" | "stop"): Promise<number | string> {
    const process = this.node(nodeId);
    this.#running.delete(nodeId);
    if (how === "kill9") await process.kill9();
    else await process.stop();
    this.#past.set(nodeId, (this.#past.get(nodeId) ?? "") + process.output);
    return process.exited;
  }
}

interface QuorumStateFile {
  readonly leaderId: number;
  readonly leaderEpoch: number;
}

/** Ports that nobody listened on a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
