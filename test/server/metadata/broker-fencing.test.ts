import { describe, expect, test } from "vitest";
import { KafkaError } from "../../../src/protocol/errors.ts";
import { alterConfigs } from "../../../src/server/metadata/alter-configs.ts";
import { metadataRecord } from "../../../src/server/metadata/controller.ts";
import {
  fenceBroker,
  fenceIncarnation,
  takeDirectoriesOffline,
  unregisterBroker,
} from "../../../src/server/metadata/broker-fencing.ts";
import {
  brokerHeartbeat,
  type HeartbeatCommand,
} from "../../../src/server/metadata/broker-heartbeat.ts";
import {
  type RegisterBrokerCommand,
  registerIncarnation,
} from "../../../src/server/metadata/broker-registration.ts";
import { BrokerSessions } from "../../../src/server/metadata/broker-sessions.ts";
import {
  EMPTY_IMAGE,
  type MetadataImage,
  NO_LEADER,
  type PartitionImage,
} from "../../../src/server/metadata/image.ts";
import {
  apply,
  clusterOf,
  decide,
  decoded,
  DEFAULTS,
  registration,
  topic,
  uuid,
  withTopics,
} from "./cluster-image.ts";
import { CONFIG_RULES } from "./deciding.ts";

const { topicConfigs } = DEFAULTS;
const MIN_2 = [{ name: "min.insync.replicas", value: "2" }];
const UNCLEAN = [{ name: "unclean.leader.election.enable", value: "true" }];
const on = (...brokerIds: number[]) => ({ assignments: [{ partitionIndex: 0, brokerIds }] });
const IMAGE = withTopics(clusterOf(1, 2, 3), topic("x", { ...on(1, 2, 3), configs: MIN_2 }));

const partitionOf = (image: MetadataImage, name = "x") =>
  image.topicsByName.get(name)!.partitions[0]!;

function changed(image: MetadataImage, fields: Partial<PartitionImage>, name = "x"): MetadataImage {
  const { topicId } = image.topicsByName.get(name)!;
  return apply(image, [metadataRecord("partitionChange", { topicId, partitionId: 0, ...fields })]);
}

const fenced = (image: MetadataImage, ...brokerIds: number[]): MetadataImage =>
  decide(
    image,
    ...brokerIds.map((id) => (current: MetadataImage) => fenceBroker(current, id, topicConfigs)),
  );

function beat(
  image: MetadataImage,
  brokerId: number,
  over: Partial<HeartbeatCommand> = {},
  sessions: Pick<BrokerSessions, "isShutdownKnown"> = { isShutdownKnown: () => true },
) {
  const { records, answer } = brokerHeartbeat(
    image,
    {
      brokerId,
      brokerEpoch: image.brokers.get(brokerId)!.brokerEpoch,
      currentMetadataOffset: image.offset,
      wantFence: false,
      wantShutDown: false,
      offlineLogDirs: [],
      ...over,
    },
    { sessions, topicConfigs },
  );
  return { answer, records, image: apply(image, records) };
}

describe("a broker that is fenced", () => {
  test("leads nothing and is in no ISR; the fencing itself comes last", () => {
    const { records } = fenceBroker(IMAGE, 1, topicConfigs);
    expect(decoded(records).map(({ kind }) => kind)).toEqual([
      "partitionChange",
      "brokerRegistrationChange",
    ]);
    const after = apply(IMAGE, records);
    expect(after.brokers.get(1)!.isFenced).toBe(true);
    expect(partitionOf(after)).toMatchObject({ leader: 2, isr: [2, 3], leaderEpoch: 1 });
    expect(fenceBroker(after, 1, topicConfigs).records).toEqual([]);
  });

  test("KIP-966: below min.insync.replicas who leaves the ISR stays eligible, the last one too", () => {
    const two = fenced(IMAGE, 1, 2);
    expect(partitionOf(two)).toMatchObject({ leader: 3, isr: [3], eligibleLeaderReplicas: [2] });
    expect(partitionOf(fenced(two, 3))).toMatchObject({
      leader: NO_LEADER,
      isr: [],
      eligibleLeaderReplicas: [2, 3],
    });
  });

  test("R6: min.insync.replicas changes, and a leaderless partition keeps who is eligible till one leads", () => {
    const stranded = fenced(IMAGE, 1, 2, 3);
    expect(partitionOf(stranded).eligibleLeaderReplicas).toEqual([2, 3]);
    const operation = { name: "min.insync.replicas", operation: "SET", value: "1" } as const;
    const lowered = decide(stranded, (image) =>
      alterConfigs(
        image,
        {
          resources: [
            {
              ...{ resourceType: 2, resourceName: "x" },
              change: { kind: "incremental", operations: [operation] },
            },
          ],
          validateOnly: false,
        },
        CONFIG_RULES,
      ),
    );
    expect(partitionOf(lowered).eligibleLeaderReplicas).toEqual([2, 3]);
    expect(partitionOf(beat(lowered, 3).image)).toMatchObject({
      ...{ leader: 3, isr: [3], eligibleLeaderReplicas: [] },
    });
  });

  test("without the feature of ELR the last member stays in the ISR, as in Kafka before it", () => {
    const off = { name: "eligible.leader.replicas.version", featureLevel: 0 };
    const image = fenced(apply(IMAGE, [metadataRecord("featureLevel", off)]), 1, 2, 3);
    expect(partitionOf(image)).toMatchObject({
      leader: NO_LEADER,
      isr: [3],
      eligibleLeaderReplicas: [],
    });
  });

  test("R-18: one that may lack records leads only where that is enabled, and is marked", () => {
    const lagging = (configs: typeof UNCLEAN) => {
      const image = withTopics(IMAGE, topic("y", { ...on(1, 2), configs }));
      return partitionOf(fenced(changed(image, { isr: [1] }, "y"), 1), "y");
    };
    expect(lagging([])).toMatchObject({ leader: NO_LEADER, eligibleLeaderReplicas: [1] });
    expect(lagging(UNCLEAN)).toMatchObject({ leader: 2, isr: [2], leaderRecoveryState: 1 });
  });

  test("R16: only the incarnation that is known to be gone is fenced", () => {
    const { brokerEpoch } = IMAGE.brokers.get(1)!;
    const now = { brokerId: 1, brokerEpoch };
    expect(fenceIncarnation(IMAGE, now, topicConfigs).answer).toBe(true);
    const old = { brokerId: 1, brokerEpoch: brokerEpoch - 1 };
    expect(fenceIncarnation(IMAGE, old, topicConfigs)).toEqual({ records: [], answer: false });
    expect(fenceIncarnation(fenced(IMAGE, 1), now, topicConfigs).answer).toBe(false);
  });
});

describe("a heartbeat", () => {
  test("R5: lets a broker lead only when it has applied its own registration", () => {
    const image = fenced(IMAGE, 1, 2, 3);
    const { brokerEpoch } = image.brokers.get(2)!;
    const early = beat(image, 2, { currentMetadataOffset: brokerEpoch - 1 });
    expect(early.answer).toEqual({ isCaughtUp: false, isFenced: true, shouldShutDown: false });
    expect(early.records).toEqual([]);
    const late = beat(image, 2, { currentMetadataOffset: brokerEpoch });
    expect(late.answer).toEqual({ isCaughtUp: true, isFenced: false, shouldShutDown: false });
    expect(partitionOf(late.image)).toMatchObject({ leader: 2, isr: [2] });
    expect(partitionOf(late.image).eligibleLeaderReplicas).toEqual([3]);
  });

  test("of an incarnation that is not registered is refused in Kafka's words", () => {
    const expected = IMAGE.brokers.get(1)!.brokerEpoch;
    expect(() => beat(IMAGE, 1, { brokerEpoch: 999 })).toThrow(
      new KafkaError(
        "STALE_BROKER_EPOCH",
        `Expected broker epoch ${expected}, but got broker epoch 999`,
      ),
    );
  });

  test("that wants to be fenced is fenced, and stays so while it wants it", () => {
    const { image, answer } = beat(IMAGE, 1, { wantFence: true });
    expect(answer.isFenced).toBe(true);
    expect(beat(image, 1, { wantFence: true }).records).toEqual([]);
  });

  test("that changes nothing writes nothing", () => {
    expect(beat(IMAGE, 1)).toMatchObject({ records: [], answer: { isFenced: false } });
  });
});

describe("a controlled shutdown", () => {
  test("moves what others can lead, then lets the broker go when all know of it", () => {
    const waiting = { isShutdownKnown: () => false };
    const leaving = beat(IMAGE, 1, { wantShutDown: true }, waiting);
    expect(leaving.answer).toMatchObject({ isFenced: false, shouldShutDown: false });
    expect(partitionOf(leaving.image)).toMatchObject({ leader: 2, isr: [2, 3] });
    expect(leaving.image.brokers.get(1)).toMatchObject({
      isFenced: false,
      isInControlledShutdown: true,
    });
    const asked = beat(leaving.image, 1, { wantShutDown: true }, waiting);
    expect(asked).toMatchObject({ records: [], answer: { shouldShutDown: false } });
    const gone = beat(leaving.image, 1, { wantShutDown: true });
    expect(gone.answer).toMatchObject({ isFenced: true, shouldShutDown: true });
    expect(gone.image.brokers.get(1)!.isFenced).toBe(true);
  });

  test("keeps what nobody else can lead until it is let go", () => {
    const image = withTopics(IMAGE, topic("sole", on(1)));
    const leaving = beat(image, 1, { wantShutDown: true });
    expect(partitionOf(leaving.image, "sole")).toMatchObject({ leader: 1, isr: [1] });
    expect(partitionOf(leaving.image).leader).toBe(2);
    const gone = beat(leaving.image, 1, { wantShutDown: true });
    expect(gone.answer.shouldShutDown).toBe(true);
    expect(partitionOf(gone.image, "sole")).toMatchObject({
      leader: NO_LEADER,
      eligibleLeaderReplicas: [1],
    });
  });

  test("never gives a partition to who may lack records, even where that is enabled", () => {
    const image = changed(
      withTopics(IMAGE, topic("y", { ...on(1, 2), configs: UNCLEAN })),
      { isr: [1] },
      "y",
    );
    const leaving = beat(image, 1, { wantShutDown: true });
    expect(partitionOf(leaving.image, "y")).toMatchObject({ leader: 1, isr: [1] });
  });

  test("of who leads nothing for others is granted at once", () => {
    expect(beat(IMAGE, 3, { wantShutDown: true }).answer.shouldShutDown).toBe(true);
  });

  test("is not taken back by a heartbeat that was sent before it", () => {
    const leaving = beat(IMAGE, 1, { wantShutDown: true });
    const stopped = fenced(leaving.image, 1);
    expect(beat(stopped, 1)).toMatchObject({ records: [], answer: { isFenced: true } });
  });
});

describe("R9: a directory that fails", () => {
  const [left, right] = [uuid(), uuid()];
  const image = withTopics(
    decide(
      clusterOf(2),
      (current) =>
        registerIncarnation(current, registration(1, { logDirs: [left, right] }), {
          nextOffset: current.offset + 1,
          hasSession: false,
          topicConfigs,
        }),
      (current) => ({ records: beat(current, 1).records, answer: null }),
    ),
    topic("x", on(1, 2)),
    topic("y", on(1, 2)),
  );
  const placed = changed(
    changed(image, { directories: [left, image.brokers.get(2)!.logDirs[0]!] }),
    { directories: [right, image.brokers.get(2)!.logDirs[0]!] },
    "y",
  );

  test("takes its replicas out of ISR and ELR, and its leaderships to others; the rest goes on", () => {
    const after = beat(placed, 1, { offlineLogDirs: [left] }).image;
    expect(partitionOf(after)).toMatchObject({ leader: 2, isr: [2], lastKnownElr: [1] });
    expect(partitionOf(after, "y")).toBe(partitionOf(placed, "y"));
    expect(after.brokers.get(1)!.logDirs).toEqual([right]);
    expect(beat(after, 1, { offlineLogDirs: [left] }).records).toEqual([]);
  });

  test("and is the last one fences the broker", () => {
    const command = { brokerId: 1, directoryIds: [left, right] };
    const after = apply(placed, takeDirectoriesOffline(placed, command, topicConfigs));
    expect(after.brokers.get(1)!.isFenced).toBe(true);
    expect(partitionOf(after, "y").leader).toBe(2);
  });
});

describe("a registration among others", () => {
  const terms = { nextOffset: 100, hasSession: false, topicConfigs };
  const register = (command: RegisterBrokerCommand, over: Partial<typeof terms> = {}) =>
    registerIncarnation(IMAGE, command, { ...terms, ...over });
  const known = IMAGE.brokers.get(1)!;

  test("R5: the id is taken while the old session lasts, unless its directory is held", () => {
    const wiped = registration(1);
    expect(() => register(wiped, { hasSession: true })).toThrow(
      new KafkaError(
        "DUPLICATE_BROKER_REGISTRATION",
        "Another broker is registered with that broker id. If the broker was recently restarted " +
          "this should self-resolve once the heartbeat manager expires the broker's session.",
      ),
    );
    expect(register(wiped).answer.lostReplicas).toEqual(["x-0"]);
    const again = registration(1, { logDirs: known.logDirs });
    expect(register(again, { hasSession: true }).answer).toMatchObject({
      brokerEpoch: 100,
      isClean: false,
    });
  });

  test.each<[string, Partial<RegisterBrokerCommand>, string]>([
    ["no directory", { logDirs: [] }, "No directories specified in request"],
    [
      "a directory twice",
      { logDirs: [known.logDirs[0]!, known.logDirs[0]!] },
      "Duplicate directory ID in request",
    ],
    [
      "another broker's directory",
      { logDirs: IMAGE.brokers.get(2)!.logDirs },
      `Broker 2 is already registered with directory ${IMAGE.brokers.get(2)!.logDirs[0]!}`,
    ],
  ])("with %s is refused", (_what, over, message) => {
    expect(() => register(registration(4, over))).toThrow(
      new KafkaError("INVALID_REGISTRATION", message),
    );
  });

  test("of who cannot read what the cluster writes is refused", () => {
    const features = [{ name: "metadata.version", minVersion: 1, maxVersion: 29 }];
    expect(() => register(registration(4, { features }))).toThrow(
      "Unable to register because the broker does not support finalized version 30 of " +
        "metadata.version. The broker wants a version between 1 and 29, inclusive.",
    );
  });

  test("a clean one that nobody had fenced hands over what others can lead, and keeps the rest", () => {
    const image = withTopics(IMAGE, topic("sole", on(1)));
    const command = registration(1, {
      logDirs: known.logDirs,
      previousBrokerEpoch: known.brokerEpoch,
    });
    const { records, answer } = registerIncarnation(image, command, {
      ...terms,
      nextOffset: image.offset + 1,
    });
    expect(answer).toMatchObject({ isClean: true, lostReplicas: [] });
    const after = apply(image, records);
    expect(partitionOf(after)).toMatchObject({ leader: 2, isr: [2, 3], lastKnownElr: [] });
    expect(partitionOf(after, "sole")).toEqual(partitionOf(image, "sole"));
  });

  test("asked again by the same incarnation is done again while it is fenced, and known after", () => {
    const command = registration(4);
    const decision = (image: MetadataImage) =>
      registerIncarnation(image, command, { ...terms, nextOffset: image.offset + 1 });
    const once = decide(IMAGE, decision);
    expect(decision(once).answer.brokerEpoch).toBe(once.offset + 1);
    const unfenced = beat(once, 4).image;
    expect(decision(unfenced)).toMatchObject({
      records: [],
      answer: { brokerEpoch: once.brokers.get(4)!.brokerEpoch },
    });
  });

  test("K16: of the very first broker has the offset of its record, whatever is before it", () => {
    const { answer, records } = registerIncarnation(EMPTY_IMAGE, registration(1), terms);
    expect(answer).toEqual({ brokerEpoch: 100, isClean: true, lostReplicas: [] });
    expect(decoded(records).map(({ kind }) => kind)).toEqual(["registerBroker"]);
  });
});

describe("a broker that is unregistered", () => {
  test("is gone, and what it had is asked for before anybody else leads in its place (R11)", () => {
    const image = decide(fenced(IMAGE, 1, 2), (current) =>
      unregisterBroker(current, 2, topicConfigs),
    );
    expect(image.brokers.has(2)).toBe(false);
    expect(partitionOf(image)).toMatchObject({ leader: 3, isr: [3], lastKnownElr: [2] });
    expect(partitionOf(image).eligibleLeaderReplicas).toEqual([]);
  });

  test("that nobody knows is refused", () => {
    expect(() => unregisterBroker(IMAGE, 9, topicConfigs)).toThrow(
      new KafkaError("BROKER_ID_NOT_REGISTERED", "Broker ID 9 is not currently registered"),
    );
  });
});

describe("sessions", () => {
  const sessions = () => new BrokerSessions({ sessionTimeoutMs: 9000 });
  const of = (brokerId: number) => {
    const { brokerEpoch } = IMAGE.brokers.get(brokerId)!;
    return { brokerId, brokerEpoch };
  };

  test("a new active controller gives every broker its full time", () => {
    const known = sessions();
    known.reset(IMAGE, 1000);
    expect(known.expired(9999)).toEqual([]);
    expect(known.expired(10_000)).toEqual([of(1), of(2), of(3)]);
    expect(known.nextDeadlineMs()).toBe(10_000);
  });

  test("a heartbeat begins the time anew, for the incarnation that sent it", () => {
    const known = sessions();
    known.reset(IMAGE, 0);
    known.touch({ ...of(1), metadataOffset: 5 }, IMAGE, 4000);
    const old = { brokerId: 2, brokerEpoch: of(2).brokerEpoch - 1 };
    known.touch({ ...old, metadataOffset: 5 }, IMAGE, 4000);
    expect(known.expired(9000)).toEqual([of(2), of(3)]);
    expect(known.has(of(1), 12_999)).toBe(true);
    expect(known.has(of(1), 13_000)).toBe(false);
    expect(known.has(old, 0)).toBe(false);
    known.end(of(2));
    expect(known.expired(9000)).toEqual([of(3)]);
  });

  test("a broker may stop when all that clients are sent to have applied what it handed over", () => {
    const known = sessions();
    const leaving = beat(IMAGE, 1, { wantShutDown: true }).image;
    for (const id of [1, 2, 3]) known.touch({ ...of(id), metadataOffset: IMAGE.offset }, IMAGE, 0);
    known.touch({ ...of(1), metadataOffset: IMAGE.offset }, leaving, 0);
    expect(known.isShutdownKnown(leaving, 1)).toBe(false);
    known.touch({ ...of(2), metadataOffset: leaving.offset }, leaving, 0);
    expect(known.isShutdownKnown(leaving, 1)).toBe(false);
    known.touch({ ...of(3), metadataOffset: leaving.offset }, leaving, 0);
    expect(known.isShutdownKnown(leaving, 1)).toBe(true);
  });
});
