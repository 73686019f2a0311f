import { randomBelow, SeededRandom } from "../../../src/base/random.ts";
import type { Uuid } from "../../../src/base/ids.ts";
import {
  decodeMetadataRecord,
  type MetadataRecord,
} from "../../../src/protocol/metadata-records.ts";
import { alterConfigs } from "../../../src/server/metadata/alter-configs.ts";
import {
  alterPartition,
  type AlterPartitionCommand,
} from "../../../src/server/metadata/alter-partition.ts";
import { electBestLog, partitionsAwaitingBestLog } from "../../../src/server/metadata/best-log.ts";
import {
  fenceBroker,
  fenceIncarnation,
  takeDirectoriesOffline,
  unregisterBroker,
} from "../../../src/server/metadata/broker-fencing.ts";
import { brokerHeartbeat } from "../../../src/server/metadata/broker-heartbeat.ts";
import {
  bootstrapCluster,
  registerIncarnation,
} from "../../../src/server/metadata/broker-registration.ts";
import { BrokerSessions } from "../../../src/server/metadata/broker-sessions.ts";
import type { ControllerResult } from "../../../src/server/metadata/controller.ts";
import { createTopics } from "../../../src/server/metadata/create-topics.ts";
import { electLeaders } from "../../../src/server/metadata/elect-leaders.ts";
import {
  EMPTY_IMAGE,
  type MetadataImage,
  type PartitionImage,
  topicOverrides,
} from "../../../src/server/metadata/image.ts";
import {
  balanceLeaders,
  electWhereLeaderless,
} from "../../../src/server/metadata/leader-balance.ts";
import { alterPartitionReassignments } from "../../../src/server/metadata/partition-reassignments.ts";
import { apply, DEFAULTS, registration, topic, uuid } from "./cluster-image.ts";
import { CONFIG_RULES } from "./deciding.ts";
import { problemsOf, type Replication } from "./cluster-invariants.ts";

const { topicConfigs } = DEFAULTS;
const BROKER_IDS = [1, 2, 3, 4];
const TOPIC = "t";
/** Decisions that may be as large as the cluster, and be split. */
const SPLIT: ReadonlySet<string> = new Set([
  ...["register", "heartbeat", "expire", "R16", "unregister", "failed directory"],
]);

/** A broker's process and disk. */
interface Machine {
  directories: [Uuid, ...Uuid[]];
  /** Of the process that runs; null: none does. */
  brokerEpoch: number | null;
  /** What .kafka_cleanshutdown says; null: there is none. */
  cleanEpoch: number | null;
}

/** A mistake planted into the decisions. */
export interface Planted {
  /** What elections are decided on. */
  readonly seen?: (image: MetadataImage) => MetadataImage;
  readonly request?: (
    request: AlterPartitionCommand,
    image: MetadataImage,
  ) => AlterPartitionCommand;
  /** What of a decision is written. */
  readonly record?: (entry: MetadataRecord, value: Buffer, before: MetadataImage) => Buffer | null;
}

type Pending = AlterPartitionCommand;

/**
 * A cluster that only decides: random commands go to the controller, and replicas hold lengths of logs
 * instead of records, lost as machines lose them. After every command all invariants are looked at.
 */
export class ClusterModel {
  readonly #random: SeededRandom;
  readonly #planted: Planted;
  readonly #machines = new Map<number, Machine>();
  readonly #replication = new Map<number, Replication>();
  readonly #sessions = new BrokerSessions({ sessionTimeoutMs: 9000 });
  readonly #values: Buffer[] = [];
  #pending: Pending[] = [];
  image: MetadataImage;
  problem: string | null = null;
  /** How often each thing happened, so that a test can say that it did. */
  readonly counts = new Map<string, number>();

  constructor(seed: number, planted: Planted = {}) {
    this.#random = new SeededRandom(`cluster model ${seed}`);
    this.#planted = planted;
    this.image = EMPTY_IMAGE;
    this.#run("bootstrap", bootstrapCluster);
    for (const brokerId of BROKER_IDS) {
      this.#machines.set(brokerId, { directories: [uuid()], brokerEpoch: null, cleanEpoch: null });
      this.#start(brokerId);
      while (this.image.brokers.get(brokerId)?.isFenced === true) this.#beat(brokerId, false);
    }
    const assignments = [
      { partitionIndex: 0, brokerIds: [1, 2, 3] },
      { partitionIndex: 1, brokerIds: [2, 3, 4] },
      { partitionIndex: 2, brokerIds: [3, 4, 1] },
    ];
    const wanted = topic(TOPIC, {
      assignments,
      configs: [{ name: "min.insync.replicas", value: "2" }],
    });
    this.#run("create", (image) =>
      createTopics(image, { topics: [wanted], topicIds: [uuid()], validateOnly: false }, DEFAULTS),
    );
    for (const { partitionIndex } of this.#partitions()) {
      this.#replication.set(partitionIndex, {
        committed: 0,
        lengths: new Map(),
        positions: new Map(),
      });
    }
  }

  /** Runs until a problem is found; the number of steps that were made. */
  run(steps: number): number {
    for (let step = 0; step < steps; step += 1) {
      if (this.problem !== null) return step;
      this.#step();
    }
    return steps;
  }

  /** What the log alone adds up to (K16): every record since the beginning, replayed. */
  replayed(): MetadataImage {
    return apply(EMPTY_IMAGE, this.#values);
  }

  #step(): void {
    const brokerId = this.#pick(BROKER_IDS);
    const machine = this.#machine(brokerId);
    const isUp = machine.brokerEpoch !== null;
    const roll = this.#below(100);
    if (roll < 27) this.#replicate();
    else if (roll < 37) this.#propose();
    else if (roll < 47) this.#deliver();
    else if (roll < 57) this.#beat(brokerId, this.#below(12) === 0);
    else if (roll < 65 && !isUp) this.#start(brokerId);
    else if (roll < 68 && isUp) this.#stop(brokerId, this.#below(2) === 0);
    else if (roll < 74) this.#expire(brokerId);
    else this.#administrate(brokerId, roll);
  }

  #administrate(brokerId: number, roll: number): void {
    if (roll < 78) this.#reassign();
    else if (roll < 82) this.#elect();
    else if (roll < 85) this.#run("balance", (image) => balanceLeaders(image, topicConfigs));
    else if (roll < 88) {
      this.#run("leaderless", (image) => electWhereLeaderless(this.#seen(image), topicConfigs));
    } else if (roll < 91) this.#recover();
    else if (roll < 97) this.#configure();
    else if (roll === 97) this.#failDirectory(brokerId);
    else if (roll === 98) this.#wipe(brokerId);
    else if (this.#below(4) === 0) this.#unregister(brokerId);
  }

  /** Leaders append, followers that run copy, and what all of the ISR have is committed. */
  #replicate(): void {
    for (const partition of this.#partitions()) {
      const { leader, isr, leaderEpoch, replicas } = partition;
      if (!this.#isCurrent(leader)) continue;
      const state = this.#state(partition);
      const { lengths, positions } = state;
      // What was said to another leader, or in another epoch, counts for nothing.
      if (state.leaderEpoch !== leaderEpoch) positions.clear();
      state.leaderEpoch = leaderEpoch;
      const length = (lengths.get(leader) ?? 0) + this.#below(3);
      lengths.set(leader, length);
      for (const id of replicas) {
        if (id !== leader && !this.#isRunning(id)) continue;
        const isFollowing = id === leader || this.#below(4) > 0;
        lengths.set(id, isFollowing ? length : Math.min(lengths.get(id) ?? 0, length));
        if (isFollowing) positions.set(id, length);
      }
      const counted = new Set([...isr, ...this.#pendingIsr(partition)]);
      if (isr.length < Math.min(this.#minInsync(), replicas.length)) continue;
      const safe = Math.min(...[...counted].map((id) => positions.get(id) ?? 0));
      state.committed = Math.max(state.committed, safe);
    }
  }

  /** a leader counts who it has asked to be let in. */
  #pendingIsr({ partitionIndex, leaderEpoch }: PartitionImage): number[] {
    return this.#pending.flatMap(({ topics }) =>
      topics.flatMap(({ partitions }) =>
        partitions
          .filter(
            (each) => each.partitionIndex === partitionIndex && each.leaderEpoch === leaderEpoch,
          )
          .flatMap(({ newIsrWithEpochs }) => newIsrWithEpochs.map(({ brokerId }) => brokerId)),
      ),
    );
  }

  /** A leader asks for another ISR: those who have all that is committed, as it knows them now. */
  #propose(): void {
    const partition = this.#pick(this.#partitions());
    const { leader, replicas, partitionIndex, leaderEpoch, partitionEpoch } = partition;
    const machine = this.#machines.get(leader);
    const state = this.#state(partition);
    if (!this.#isCurrent(leader) || state.leaderEpoch !== leaderEpoch) return;
    const caughtUp = replicas.filter(
      (id) =>
        id === leader ||
        (this.#isRunning(id) && (state.positions.get(id) ?? -1) >= state.committed),
    );
    const isr = caughtUp.filter((id) => id === leader || this.#below(5) > 0);
    const request = {
      brokerId: leader,
      brokerEpoch: machine?.brokerEpoch ?? -1,
      topics: [
        {
          topicId: this.#topic().topicId,
          partitions: [
            {
              ...{
                partitionIndex,
                leaderEpoch,
                partitionEpoch,
                leaderRecoveryState: 0,
                newIsr: [],
              },
              newIsrWithEpochs: isr.map((id) => ({
                brokerId: id,
                brokerEpoch: this.#machine(id).brokerEpoch ?? -1,
              })),
            },
          ],
        },
      ],
    };
    this.#pending.push(request);
  }

  /** A request arrives, perhaps late. */
  #deliver(): void {
    const request = this.#pending.splice(this.#below(Math.max(1, this.#pending.length)), 1)[0];
    if (request === undefined) return;
    // The leader that asked is gone, and its request with it: it will not count the answer.
    if (this.image.brokers.get(request.brokerId)?.brokerEpoch !== request.brokerEpoch) return;
    const sent = this.#planted.request?.(request, this.image) ?? request;
    const before = this.image;
    const answer = this.#run("alterPartition", (image) =>
      alterPartition(image, sent, topicConfigs),
    );
    const isAccepted = answer?.[0]?.partitions[0]?.errorCode === 0;
    if (isAccepted) this.#checkAccepted(request, before);
  }

  /** what was accepted was asked of this very state, with the incarnations that are there. */
  #checkAccepted(request: AlterPartitionCommand, before: MetadataImage): void {
    this.#count("accepted");
    const [wanted] = request.topics[0]!.partitions;
    const partition = before.topicsByName.get(TOPIC)!.partitions[wanted!.partitionIndex]!;
    if (partition.partitionEpoch !== wanted!.partitionEpoch) {
      this.problem ??= "R-13: a change of an old state was accepted";
    }
    for (const { brokerId, brokerEpoch } of wanted!.newIsrWithEpochs) {
      if (before.brokers.get(brokerId)?.brokerEpoch === brokerEpoch) continue;
      this.problem ??= "R-12: an old incarnation was taken into the ISR";
    }
  }

  #beat(brokerId: number, wantShutDown: boolean): void {
    const machine = this.#machine(brokerId);
    const { brokerEpoch } = machine;
    if (brokerEpoch === null || !this.#isCurrent(brokerId)) return;
    const currentMetadataOffset = this.image.offset - this.#below(2);
    const beat = {
      ...{ brokerId, brokerEpoch, currentMetadataOffset, wantShutDown },
      ...{ wantFence: false, offlineLogDirs: [] },
    };
    const terms = { sessions: this.#sessions, topicConfigs };
    const answer = this.#run("heartbeat", (image) => brokerHeartbeat(image, beat, terms));
    const touch = { brokerId, brokerEpoch, metadataOffset: currentMetadataOffset };
    this.#sessions.touch(touch, this.image, 0);
    if (answer?.shouldShutDown !== true) return;
    machine.cleanEpoch = brokerEpoch;
    machine.brokerEpoch = null;
    this.#count("clean shutdown");
  }

  /** A new process; whether the old one left its mark says what its logs are worth. */
  #start(brokerId: number): void {
    const machine = this.#machine(brokerId);
    const before = this.image;
    const answer = this.#run("register", (image) =>
      registerIncarnation(
        image,
        registration(brokerId, {
          logDirs: machine.directories,
          previousBrokerEpoch: machine.cleanEpoch,
          rack: `rack${brokerId % 2}`,
        }),
        { nextOffset: image.offset + 1, hasSession: false, topicConfigs },
      ),
    );
    if (answer === undefined) return;
    if (answer.brokerEpoch !== before.offset + 1) this.problem ??= "K16: not its own offset";
    if (!answer.isClean) this.#checkRaised(brokerId, before);
    machine.brokerEpoch = answer.brokerEpoch;
    machine.cleanEpoch = null;
  }

  /** R5: what the incarnation before gave out is not given out again in the same epoch. */
  #checkRaised(brokerId: number, before: MetadataImage): void {
    this.#count("unclean registration");
    for (const [index, old] of (before.topicsByName.get(TOPIC)?.partitions ?? []).entries()) {
      const members = [...old.isr, ...old.eligibleLeaderReplicas, ...old.lastKnownElr, old.leader];
      if (!members.includes(brokerId)) continue;
      if (this.#topic().partitions[index]!.leaderEpoch > old.leaderEpoch) continue;
      this.problem ??= "R5: the leader epoch was not raised";
    }
  }

  /** kill -9, or a power cut that takes what was not synced. */
  #stop(brokerId: number, losesData: boolean): void {
    this.#machine(brokerId).brokerEpoch = null;
    if (losesData) this.#shorten(brokerId, () => this.#below(4));
    if (this.#below(2) === 0) return;
    // E4: back before anybody has noticed.
    this.#start(brokerId);
    this.#beat(brokerId, false);
  }

  #expire(anyId: number): void {
    const { leader } = this.#pick(this.#partitions());
    const brokerId = this.#below(2) === 0 ? leader : anyId;
    const broker = this.image.brokers.get(brokerId);
    if (broker === undefined) return;
    if (this.#below(2) === 0) {
      const { brokerEpoch } = broker;
      this.#run("R16", (image) => fenceIncarnation(image, { brokerId, brokerEpoch }, topicConfigs));
    } else this.#run("expire", (image) => fenceBroker(image, brokerId, topicConfigs));
  }

  #reassign(): void {
    const { partitionIndex } = this.#pick(this.#partitions());
    const count = 1 + this.#below(3);
    const from = this.#below(BROKER_IDS.length);
    const wanted = Array.from({ length: count }, (_, i) => BROKER_IDS[(from + i) % 4]!);
    const replicas = this.#below(3) === 0 ? null : wanted;
    this.#run("reassign", (image) =>
      alterPartitionReassignments(
        image,
        {
          topics: [{ name: TOPIC, partitions: [{ partitionIndex, replicas }] }],
          allowReplicationFactorChange: true,
        },
        topicConfigs,
      ),
    );
  }

  #elect(): void {
    const electionType = this.#below(8) === 0 ? "unclean" : "preferred";
    const { partitionIndex } = this.#pick(this.#partitions());
    const topicPartitions = [{ topic: TOPIC, partitions: [partitionIndex] }];
    this.#run(`elect ${electionType}`, (image) =>
      electLeaders(this.#seen(image), { electionType, topicPartitions }, topicConfigs),
    );
  }

  /** R11: whoever runs says how long its log is. */
  #recover(): void {
    for (const { topic: found, partition } of partitionsAwaitingBestLog(this.image)) {
      const answers = new Map(
        partition.lastKnownElr.flatMap((id) => {
          const { brokerEpoch } = this.#machine(id);
          const endOffset = this.#state(partition).lengths.get(id) ?? 0;
          const log = { lastEpoch: 0, endOffset, isDamaged: false };
          return brokerEpoch === null ? [] : [[id, { brokerEpoch, ...log }] as const];
        }),
      );
      this.#run("best log", (image) =>
        electBestLog(
          image,
          {
            ...{ topicId: found.topicId, partitionIndex: partition.partitionIndex, answers },
            partitionEpoch: partition.partitionEpoch,
            isDeadlinePassed: this.#below(2) === 0,
          },
          topicConfigs,
        ),
      );
    }
  }

  #configure(): void {
    const operation = "SET" as const;
    const change =
      this.#below(3) > 0
        ? { name: "min.insync.replicas", operation, value: String(1 + this.#below(2)) }
        : {
            name: "unclean.leader.election.enable",
            operation,
            value: String(this.#below(4) === 0),
          };
    this.#run("configure", (image) =>
      alterConfigs(
        image,
        {
          resources: [
            {
              ...{ resourceType: 2, resourceName: TOPIC },
              change: { kind: "incremental", operations: [change] },
            },
          ],
          validateOnly: false,
        },
        CONFIG_RULES,
      ),
    );
  }

  #failDirectory(brokerId: number): void {
    if (!this.#isCurrent(brokerId)) return;
    const [directoryId] = this.#machine(brokerId).directories;
    this.#run("failed directory", (image) => ({
      records: takeDirectoriesOffline(
        image,
        { brokerId, directoryIds: [directoryId] },
        topicConfigs,
      ),
      answer: null,
    }));
    // Its only one: the process ends with it.
    this.#machine(brokerId).brokerEpoch = null;
    this.#shorten(brokerId, () => this.#below(4));
  }

  #wipe(brokerId: number): void {
    const machine = this.#machine(brokerId);
    if (machine.brokerEpoch !== null) return;
    machine.directories = [uuid()];
    machine.cleanEpoch = null;
    this.#shorten(brokerId, (length) => length);
  }

  #unregister(brokerId: number): void {
    if (this.#machine(brokerId).brokerEpoch !== null || !this.image.brokers.has(brokerId)) return;
    this.#run("unregister", (image) => unregisterBroker(image, brokerId, topicConfigs));
  }

  #shorten(brokerId: number, lost: (length: number) => number): void {
    for (const { lengths } of this.#replication.values()) {
      const length = lengths.get(brokerId) ?? 0;
      lengths.set(brokerId, Math.max(0, length - lost(length)));
    }
  }

  /** Decides, writes, and looks at what has come of it. */
  #run<A>(what: string, decision: (image: MetadataImage) => ControllerResult<A>): A | undefined {
    if (this.problem !== null) return undefined;
    const { records, answer } = decision(this.image);
    const written = records.flatMap((value) => {
      const { record } = this.#planted;
      return (
        (record === undefined ? value : record(decodeMetadataRecord(value), value, this.image)) ??
        []
      );
    });
    // A controller that fails between two batches leaves the first ones, and nobody is answered (R5).
    const isCut = SPLIT.has(what) && written.length > 1 && this.#below(8) === 0;
    if (isCut) {
      written.length = 1 + this.#below(written.length - 1);
      this.#count("cut");
    }
    if (written.length === 0) return answer;
    this.#count(what);
    this.#values.push(...written);
    const before = this.image;
    this.image = apply(before, written);
    const { problem, elections } = problemsOf({
      ...{ before, image: this.image, what, replication: this.#replication },
      isRunning: (brokerId) => this.#isCurrent(brokerId),
      isUncleanEnabled: this.#isUncleanEnabled(before),
      minInsyncReplicas: this.#minInsync(),
    });
    this.problem ??= problem;
    for (const election of elections) this.#count(election);
    return isCut ? undefined : answer;
  }

  #isUncleanEnabled(image: MetadataImage): boolean {
    return topicOverrides(image, TOPIC).get("unclean.leader.election.enable") === "true";
  }

  #minInsync(): number {
    return Number(topicOverrides(this.image, TOPIC).get("min.insync.replicas"));
  }

  #seen(image: MetadataImage): MetadataImage {
    return this.#planted.seen?.(image) ?? image;
  }

  #topic() {
    return this.image.topicsByName.get(TOPIC)!;
  }

  #partitions(): readonly PartitionImage[] {
    return this.image.topicsByName.get(TOPIC)?.partitions ?? [];
  }

  #state({ partitionIndex }: PartitionImage): Replication {
    return this.#replication.get(partitionIndex)!;
  }

  #machine(brokerId: number): Machine {
    return this.#machines.get(brokerId)!;
  }

  #isRunning(brokerId: number): boolean {
    return this.#machines.get(brokerId)?.brokerEpoch !== null;
  }

  /** Whether the process that runs is the incarnation that is registered. */
  #isCurrent(brokerId: number): boolean {
    const epoch = this.#machines.get(brokerId)?.brokerEpoch;
    const registered = this.image.brokers.get(brokerId)?.brokerEpoch;
    return epoch !== null && epoch !== undefined && epoch === registered;
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)]!;
  }

  #below(bound: number): number {
    return randomBelow(this.#random, bound);
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}
