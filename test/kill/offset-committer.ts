import { setTimeout as pause } from "node:timers/promises";
import { APIS } from "../../src/protocol/apis.ts";
import type { Nodes } from "../quorum/nodes.ts";
import { TcpClient } from "../server/support/tcp-client.ts";

const GROUP = "committers";
const GROUP_TYPE = 0;
const BACKOFF_MS = 20;

/** Commits 0, 1, 2, … for one partition, each until it is acknowledged; asks for its coordinator whenever it must. */
export class OffsetCommitter {
  readonly #nodes: Nodes;
  readonly #topic: string;
  /** -1: none yet. */
  #acked = -1;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(nodes: Nodes, topic: string) {
    this.#nodes = nodes;
    this.#topic = topic;
    this.#done = this.#run();
  }

  get ackedCount(): number {
    return this.#acked + 1;
  }

  stop(): void {
    this.#isOver = true;
  }

  async end(): Promise<void> {
    this.stop();
    await this.#done;
  }

  /** G3: what was acknowledged last is what the group has. */
  async audit(): Promise<string[]> {
    const client = await this.#untilDone(() => this.#coordinator());
    try {
      const answer = await this.#untilDone(async () => {
        const { groups } = await client.ask(APIS.offsetFetch, 8, {
          groups: [
            {
              ...{ groupId: GROUP, memberId: null, memberEpoch: -1 },
              topics: [{ name: this.#topic, partitionIndexes: [0] }],
            },
          ],
          requireStable: false,
        });
        const [group] = groups;
        return group?.errorCode === 0 ? group : null;
      });
      const found = answer.topics[0]?.partitions[0]?.committedOffset ?? -1;
      return found === this.#acked ? [] : [`committed ${found}, acknowledged ${this.#acked}`];
    } finally {
      client.close();
    }
  }

  async #run(): Promise<void> {
    let client: TcpClient | null = null;
    while (!this.#isOver) {
      try {
        client ??= await this.#coordinator();
        const isDone = client !== null && (await this.#commit(client, this.#acked + 1));
        if (isDone) {
          this.#acked += 1;
          continue;
        }
      } catch {
        // The node is gone.
      }
      client?.close();
      client = null;
      await pause(BACKOFF_MS);
    }
    client?.close();
  }

  async #commit(client: TcpClient, committedOffset: number): Promise<boolean> {
    const { topics } = await client.ask(APIS.offsetCommit, 8, {
      ...{ groupId: GROUP, generationIdOrMemberEpoch: -1, memberId: "", groupInstanceId: null },
      topics: [
        {
          name: this.#topic,
          partitions: [
            {
              ...{ partitionIndex: 0, committedOffset, committedLeaderEpoch: -1 },
              committedMetadata: null,
            },
          ],
        },
      ],
    });
    return topics[0]?.partitions[0]?.errorCode === 0;
  }

  /** null: nobody knows it now. */
  async #coordinator(): Promise<TcpClient | null> {
    for (const nodeId of this.#nodes.runningIds) {
      const client = await TcpClient.open(this.#nodes.portOf(nodeId)).catch(() => null);
      if (client === null) continue;
      try {
        const { coordinators } = await client.ask(APIS.findCoordinator, 4, {
          ...{ keyType: GROUP_TYPE, coordinatorKeys: [GROUP] },
        });
        const [found] = coordinators;
        if (found?.errorCode === 0) return await TcpClient.open(found.port);
      } catch {
        // It is just being killed.
      } finally {
        client.close();
      }
    }
    return null;
  }

  async #untilDone<T>(attempt: () => Promise<T | null>): Promise<T> {
    for (;;) {
      const result = await attempt().catch(() => null);
      if (result !== null) return result;
      await pause(BACKOFF_MS);
    }
  }
}
