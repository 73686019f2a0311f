import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { Random } from "../../base/random.ts";
import type { RpcAddress } from "../../base/rpc.ts";
import { errorName, type ErrorName, KafkaError } from "../../protocol/errors.ts";
import { FollowerStreams } from "../../replica/follower-streams.ts";
import type { AlterIsr, IsrChange } from "../../replica/isr-changes.ts";
import type { BrokerIncarnations } from "../../replica/isr-state.ts";
import { LeaderStreams } from "../../replica/leader-streams.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import type { Replication } from "../../replica/replication.ts";
import type { BrokerLifecycle } from "../metadata/broker-lifecycle.ts";
import type { AlterPartitionCommand } from "../metadata/alter-partition.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { PEER_ENDPOINT } from "../metadata/image-queries.ts";
import { ALTER_PARTITION } from "../metadata/partition-commands.ts";
import type { NodePeers } from "./node-peers.ts";

/** A leader learns of it by the metadata, so that nobody waits for the answer for long. */
const ALTER_PARTITION_TIMEOUT_MS = 10_000;
/** A leader stops before the controllers would let another lead (R15). */
const LEASE_MARGIN_MS = 2_000;

export interface NodeReplicationParts {
  readonly peers: NodePeers;
  readonly metadata: MetadataManager;
  readonly lifecycle: BrokerLifecycle;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface NodeReplicationOptions {
  readonly nodeId: number;
  readonly lagMaxMs: number;
  readonly sessionTimeoutMs: number;
}

/** What makes the partitions of a node one with those of the others: streams, ISR changes, the lease. */
export class NodeReplication {
  /** For the replica manager. */
  readonly replication: Replication;
  readonly #parts: NodeReplicationParts;
  readonly #leaders: LeaderStreams;
  #followers: FollowerStreams | null = null;

  constructor(parts: NodeReplicationParts, options: NodeReplicationOptions) {
    this.#parts = parts;
    const { peers, metadata, clock, random, logger } = parts;
    this.#leaders = new LeaderStreams(
      { rpc: peers.rpc, clock, random, logger },
      { hello: peers.hello, addressOf: (brokerId) => addressOf(metadata, brokerId) },
    );
    this.replication = replicationOf(parts, this.#leaders, options);
  }

  /** Sends to followers what is led here, and follows the metadata, from now on. */
  serve(replicas: ReplicaManager): void {
    const { peers, metadata, lifecycle, clock, logger } = this.#parts;
    this.#followers = new FollowerStreams(
      { clock, logger },
      { hello: peers.hello, partitions: replicas },
    );
    peers.serveReplication(this.#followers.service);
    peers.serveLogEnds((asked) => replicas.logEnds(asked));
    lifecycle.onConfirmed = () => replicas.onLease();
    metadata.subscribe((image, { previous }) => {
      if (image.brokers === previous.brokers) return;
      this.#leaders.retry();
      replicas.onBrokers();
    });
  }

  /** Ends all streams. Idempotent. */
  close(): void {
    this.#followers?.close();
    this.#leaders.close();
  }
}

/** As the broker's registration says; null: not known. */
function addressOf(metadata: MetadataManager, brokerId: number): RpcAddress | null {
  const broker = metadata.image.brokers.get(brokerId);
  const endPoint = broker?.endPoints.find(({ name }) => name === PEER_ENDPOINT);
  return endPoint === undefined ? null : { host: endPoint.host, port: endPoint.port };
}

function replicationOf(
  { metadata, lifecycle, clock }: NodeReplicationParts,
  streams: LeaderStreams,
  { nodeId, lagMaxMs, sessionTimeoutMs }: NodeReplicationOptions,
): Replication {
  const leaseMs = Math.max(0, sessionTimeoutMs - LEASE_MARGIN_MS);
  const brokers: BrokerIncarnations = {
    brokerEpoch: (brokerId) => metadata.image.brokers.get(brokerId)?.brokerEpoch ?? null,
    isActive: (brokerId) => {
      const broker = metadata.image.brokers.get(brokerId);
      return broker !== undefined && !broker.isFenced && !broker.isInControlledShutdown;
    },
  };
  const alterIsr: AlterIsr = async (changes) => {
    const { brokerEpoch } = lifecycle;
    if (brokerEpoch === null) throw new KafkaError("STALE_BROKER_EPOCH", "not registered yet");
    const request = requestOf({ nodeId, brokerEpoch }, changes);
    const answer = await metadata.submit(ALTER_PARTITION, request, ALTER_PARTITION_TIMEOUT_MS);
    if (answer.errorCode !== 0) throw new KafkaError(errorName(answer.errorCode));
    return changes.map((change) => outcomeOf(answer.topics, change));
  };
  return {
    ...{ streams, alterIsr, brokers },
    holdsLease: () => clock.nowMs() - lifecycle.confirmedMs < leaseMs,
    lagMaxMs: () => lagMaxMs,
  };
}

function requestOf(
  { nodeId, brokerEpoch }: { readonly nodeId: number; readonly brokerEpoch: number },
  changes: readonly IsrChange[],
): AlterPartitionCommand {
  const topics = new Map<string, AlterPartitionCommand["topics"][number]>();
  for (const { topicId, partitionIndex, proposal } of changes) {
    const topic = topics.get(topicId) ?? { topicId, partitions: [] };
    topics.set(topicId, topic);
    const { leaderEpoch, partitionEpoch, members } = proposal;
    topic.partitions.push({
      ...{ partitionIndex, leaderEpoch, partitionEpoch, newIsr: [] },
      newIsrWithEpochs: members.map((member) => ({ ...member })),
      // Kafka's RECOVERED: what this leader has is what is committed now.
      leaderRecoveryState: 0,
    });
  }
  return { brokerId: nodeId, brokerEpoch, topics: [...topics.values()] };
}

type Answered = readonly {
  readonly topicId: string;
  readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[];
}[];

function outcomeOf(topics: Answered, change: IsrChange): ErrorName | null {
  const partition = topics
    .find(({ topicId }) => topicId === change.topicId)
    ?.partitions.find(({ partitionIndex }) => partitionIndex === change.partitionIndex);
  if (partition === undefined) return "NOT_CONTROLLER";
  return partition.errorCode === 0 ? null : errorName(partition.errorCode);
}
