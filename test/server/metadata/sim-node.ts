import type { Disk } from "../../../src/base/disk.ts";
import type { Uuid } from "../../../src/base/ids.ts";
import { RaftDriver } from "../../../src/raft/driver.ts";
import {
  BrokerLifecycle,
  type BrokerRegistration,
} from "../../../src/server/metadata/broker-lifecycle.ts";
import { MetadataManager } from "../../../src/server/metadata/metadata-manager.ts";
import {
  Publisher,
  type PublishedFollower,
  type PublishedLeadership,
} from "../../../src/server/metadata/publisher.ts";
import { LOG_DIRECTORY, type SimWorld } from "../../raft/sim-world.ts";
import type { TopicConfigs } from "../../../src/server/metadata/topic-configs.ts";
import { DEFAULTS } from "./cluster-image.ts";
import { CONFIG_RULES } from "./deciding.ts";

const DIRECTORY_ID = "rVOkE_ZvVwdXAkHJFrWK8g" as Uuid;

/** Replicas and coordinator that only write down what they are told, each after a while. */
export class RecordingHost {
  readonly events: string[] = [];
  readonly led = new Map<string, PublishedLeadership>();
  readonly #wait: () => Promise<void>;

  constructor(wait: () => Promise<void> = () => Promise.resolve()) {
    this.#wait = wait;
  }

  async becomeLeader(leadership: PublishedLeadership): Promise<PublishedLeadership> {
    await this.#wait();
    const key = `${leadership.topic}-${leadership.partitionIndex}`;
    this.led.set(key, leadership);
    this.events.push(`lead ${key} ${leadership.leaderEpoch}`);
    return leadership;
  }

  follow(): void {
    // It is not asked about partitions.
  }

  async becomeFollower({ topic, partitionIndex, leaderId }: PublishedFollower): Promise<void> {
    await this.#wait();
    this.led.delete(`${topic}-${partitionIndex}`);
    this.events.push(`follow ${topic}-${partitionIndex} ${leaderId}`);
  }

  async remove(topic: string, partitionIndex: number): Promise<void> {
    await this.#wait();
    this.led.delete(`${topic}-${partitionIndex}`);
    this.events.push(`remove ${topic}-${partitionIndex}`);
  }

  updateConfig(topic: string): void {
    this.events.push(`configure ${topic}`);
  }

  onLeadership(partitionIndex: number, leaderEpoch: number): void {
    this.events.push(`coordinate ${partitionIndex} ${leaderEpoch}`);
  }

  onResignation(partitionIndex: number): void {
    this.events.push(`resign ${partitionIndex}`);
  }
}

/** A node's metadata on a simulated machine, registered; without replicas. */
export async function startNode(
  world: SimWorld,
  over: Partial<BrokerRegistration> & {
    readonly previousBrokerEpoch?: number | null;
    readonly logDirs?: readonly Uuid[];
    readonly bend?: (disk: Disk) => Disk;
    readonly topicConfigs?: TopicConfigs;
    readonly brokerText?: (key: string) => string | null;
  } = {},
) {
  const topicConfigs = over.topicConfigs ?? DEFAULTS.topicConfigs;
  const whole = world.startProcess();
  const process = { ...whole, disk: over.bend?.(whole.disk) ?? whole.disk };
  const raft = await world.run(
    RaftDriver.open(process, {
      logDirectory: LOG_DIRECTORY,
      nodeId: 1,
      directoryId: DIRECTORY_ID,
    }),
  );
  const manager = await world.run(
    MetadataManager.open(
      { raft, channel: null, askLogEnds: null, ...process },
      {
        nodeId: 1,
        defaults: { ...DEFAULTS, topicConfigs },
        configRules: {
          ...CONFIG_RULES,
          topicConfigs,
          brokerText: over.brokerText ?? CONFIG_RULES.brokerText,
        },
        sessionTimeoutMs: 9000,
        balance: () => ({
          isBalanced: true,
          balanceIntervalMs: 300_000,
          electionIntervalMs: 300_000,
          recoveryWaitMs: 30_000,
        }),
        internalTopics: {
          offsetsPartitions: 3,
          offsetsReplicationFactor: 1,
          offsetsSegmentBytes: 104_857_600,
        },
      },
    ),
  );
  // Opening a log takes a while, so that whatever does not wait for it shows.
  const host = new RecordingHost(() => new Promise((resolve) => process.clock.after(5, resolve)));
  const publisher = new Publisher(
    {
      replicas: host,
      coordinator: host,
      topicConfigs,
      logger: process.logger,
    },
    { nodeId: 1 },
  );
  const lifecycle = new BrokerLifecycle(
    { ...process, metadata: manager },
    { nodeId: 1, clusterId: "", heartbeatIntervalMs: 2000, sessionTimeoutMs: 9000 },
  );
  const registering = lifecycle.start({
    broker: {
      endPoints: [{ name: "PLAINTEXT", host: "localhost", port: 9092, securityProtocol: 0 }],
      rack: null,
      logDirs: over.logDirs ?? [DIRECTORY_ID],
      previousBrokerEpoch: over.previousBrokerEpoch ?? null,
    },
    publisher: over.publisher ?? publisher,
    directoryOf: over.directoryOf ?? (() => null),
    storedPartitions: over.storedPartitions ?? {
      partitionsOnDisk: () => [],
      deleteLog: () => Promise.resolve(),
    },
  });
  const brokerEpoch = await world.run(registering);
  return { manager, lifecycle, raft, host, brokerEpoch, process };
}
