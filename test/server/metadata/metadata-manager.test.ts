import { describe, expect, test } from "vitest";
import { type Uuid, ZERO_UUID } from "../../../src/base/ids.ts";
import { randomBelow } from "../../../src/base/random.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import { ProducerIds } from "../../../src/server/metadata/producer-ids.ts";
import { topicOverrides } from "../../../src/server/metadata/image.ts";
import { breakable, SimWorld } from "../../raft/sim-world.ts";
import { topic, uuid } from "./cluster-image.ts";
import { createTopics, deleteTopics } from "./deciding.ts";
import { startNode } from "./sim-node.ts";

const NOW = { validateOnly: false, timeoutMs: 30_000 };
const byName = (name: string) => ({ name, topicId: ZERO_UUID });

describe("an answered command", () => {
  test("E15, R12: survives any power cut, with the id that was told", async () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const world = new SimWorld(seed);
      /** Name to id of what was answered; null: answered as deleted. */
      const answered = new Map<string, Uuid | null>();
      const unknown = new Set<string>();
      for (let round = 0; round < 3; round += 1) {
        const { manager } = await startNode(world);
        check(manager.image.topicsByName, answered, unknown);
        for (let index = 0; index < 6; index += 1) {
          const name = `t${randomBelow(world.random, 8)}`;
          const isThere = manager.image.topicsByName.has(name);
          unknown.add(name);
          const done = isThere
            ? deleteTopics(manager, [byName(name)], NOW)
            : createTopics(manager, [topic(name)], NOW);
          void done.then(([result]) => {
            if (result?.errorCode !== 0) return;
            answered.set(name, isThere ? null : result.topicId);
            unknown.delete(name);
          });
          await world.steps(randomBelow(world.random, 25));
        }
        world.cutPower();
      }
      const { manager } = await startNode(world);
      check(manager.image.topicsByName, answered, unknown);
      expect(answered.size).toBeGreaterThan(0);
    }
  });

  test("X4: producer ids never repeat, whatever was lost between", async () => {
    const seen = new Set<number>();
    const world = new SimWorld(1);
    let largest = -1;
    for (let round = 0; round < 12; round += 1) {
      const { lifecycle } = await startNode(world);
      const ids = new ProducerIds(() => lifecycle.allocateProducerIds());
      const given: number[] = [];
      for (let index = 0; index < 1_500; index += 1) {
        void ids.next().then(
          (id) => given.push(id),
          () => undefined,
        );
      }
      await world.steps(randomBelow(world.random, 40));
      for (const id of given) {
        expect(seen.has(id)).toBe(false);
        seen.add(id);
        expect(id).toBeGreaterThan(largest);
      }
      largest = given.reduce((a, b) => Math.max(a, b), largest);
      if (round % 2 === 0) world.kill();
      else world.cutPower();
    }
    expect(seen.size).toBeGreaterThan(1_500);
  });

  test("X4: no producer gets an id that came with the log of another cluster", async () => {
    const world = new SimWorld(4);
    const { manager, lifecycle } = await startNode(world);
    let known = -1;
    const ids = new ProducerIds(
      () => lifecycle.allocateProducerIds(known),
      () => (known < manager.image.nextProducerId ? -1 : known),
    );
    expect(await world.run(ids.next())).toBe(0);
    known = 700;
    expect(await world.run(ids.next())).toBe(1);
    known = 123_456;
    expect(await world.run(ids.next())).toBe(123_457);
    expect(await world.run(ids.next())).toBe(123_458);
    expect(manager.image.nextProducerId).toBeGreaterThan(123_458);
  });

  test("is answered only when this node serves it", async () => {
    const world = new SimWorld(2);
    const { manager, host } = await startNode(world);
    const create = async () => {
      const results = await createTopics(manager, [topic("x", { numPartitions: 40 })], NOW);
      expect(host.led.size).toBe(40);
      expect(manager.image.topicsByName.get("x")?.partitions).toHaveLength(40);
      return results;
    };
    const [created] = await world.run(create());
    expect(created?.errorCode).toBe(0);
    const remove = async () => {
      const results = await deleteTopics(manager, [byName("x")], NOW);
      expect(host.led.size).toBe(0);
      expect(manager.image.topicsByName.has("x")).toBe(false);
      return results;
    };
    expect((await world.run(remove()))[0]?.errorCode).toBe(0);
  });

  test("that takes longer than its timeout is answered REQUEST_TIMED_OUT, and happens all the same", async () => {
    const world = new SimWorld(3);
    const { manager } = await startNode(world);
    const [result] = await world.run(createTopics(manager, [topic("x")], { ...NOW, timeoutMs: 0 }));
    expect(errorName(result!.errorCode)).toBe("REQUEST_TIMED_OUT");
    const again = await world.run(createTopics(manager, [topic("x")], NOW));
    expect(errorName(again[0]!.errorCode)).toBe("TOPIC_ALREADY_EXISTS");
    expect((await world.run(manager.ensureTopics(["x"], NOW))).size).toBe(0);
    expect(manager.image.topicsByName.has("x")).toBe(true);
  });

  test("sees those before it, though they are not committed yet", async () => {
    const world = new SimWorld(4);
    const { manager } = await startNode(world);
    const results = await world.run(
      Promise.all([
        createTopics(manager, [topic("x")], NOW),
        createTopics(manager, [topic("x")], NOW),
        deleteTopics(manager, [byName("x")], NOW),
        createTopics(manager, [topic("x")], NOW),
      ]),
    );
    expect(results.map(([result]) => errorName(result!.errorCode))).toEqual([
      "NONE",
      "TOPIC_ALREADY_EXISTS",
      "NONE",
      "NONE",
    ]);
  });
});

describe("a topic that is missing", () => {
  test("is made once for all who ask at the same time, and all find it led", async () => {
    const world = new SimWorld(5);
    const { manager, host } = await startNode(world);
    const asked = Array.from({ length: 5 }, async () => {
      const errors = await manager.ensureTopics(["x", "a b"], NOW);
      expect([...errors.keys()]).toEqual(["a b"]);
      expect(host.led.has("x-0")).toBe(true);
      expect(manager.image.topicsByName.has("x")).toBe(true);
    });
    await world.run(Promise.all(asked));
    expect(host.events.filter((event) => event.startsWith("lead x-0"))).toHaveLength(1);
  });

  test("when it is __consumer_offsets, is made as the coordinator needs it, and it leads there", async () => {
    const world = new SimWorld(6);
    const { manager, host } = await startNode(world);
    await world.run(manager.ensureInternalTopic("__consumer_offsets"));
    const offsets = manager.image.topicsByName.get("__consumer_offsets");
    expect(offsets?.partitions).toHaveLength(3);
    expect([...topicOverrides(manager.image, "__consumer_offsets")]).toEqual([
      ["cleanup.policy", "compact"],
      ["compression.type", "producer"],
      ["segment.bytes", "104857600"],
    ]);
    expect(host.events.filter((event) => event.startsWith("coordinate")).sort()).toEqual([
      "coordinate 0 0",
      "coordinate 1 0",
      "coordinate 2 0",
    ]);
    await world.run(manager.ensureInternalTopic("__consumer_offsets"));
    await world.run(deleteTopics(manager, [byName("__consumer_offsets")], NOW));
    expect(host.events.slice(-6).sort()).toEqual([
      "remove __consumer_offsets-0",
      "remove __consumer_offsets-1",
      "remove __consumer_offsets-2",
      "resign 0",
      "resign 1",
      "resign 2",
    ]);
  });
});

describe("a start", () => {
  test("R5: after a kill, every partition is led in a new epoch and the broker has a new one (K16)", async () => {
    const world = new SimWorld(7);
    const first = await startNode(world);
    await world.run(createTopics(first.manager, [topic("x", { numPartitions: 2 })], NOW));
    world.kill();
    const second = await startNode(world);
    expect(second.brokerEpoch).toBeGreaterThan(first.brokerEpoch);
    // Opened once, in the epoch that holds, never in one before.
    expect(second.host.events.sort()).toEqual(["lead x-0 2", "lead x-1 2"]);
  });

  test("after a clean stop, they are led in the epoch they had", async () => {
    const world = new SimWorld(8);
    const first = await startNode(world);
    await world.run(createTopics(first.manager, [topic("x")], NOW));
    expect(first.lifecycle.brokerEpoch).toBe(first.brokerEpoch);
    await world.run(first.manager.close());
    world.kill();
    const second = await startNode(world, { previousBrokerEpoch: first.brokerEpoch });
    expect(second.host.events).toEqual(["lead x-0 0"]);
  });

  test("deletes what is left of a deleted topic, and nothing that the metadata does not know", async () => {
    const world = new SimWorld(9);
    const { manager } = await startNode(world);
    const [created] = await world.run(createTopics(manager, [topic("gone")], NOW));
    await world.run(createTopics(manager, [topic("kept")], NOW));
    const kept = manager.image.topicsByName.get("kept")!.topicId;
    await world.run(deleteTopics(manager, [byName("gone")], NOW));
    world.kill();
    const deleted: string[] = [];
    await startNode(world, {
      storedPartitions: {
        partitionsOnDisk: () => [
          { topic: "gone", partitionIndex: 0, topicId: created!.topicId },
          { topic: "kept", partitionIndex: 0, topicId: kept },
          { topic: "strange", partitionIndex: 0, topicId: uuid() },
        ],
        deleteLog: (name, partitionIndex) => {
          deleted.push(`${name}-${partitionIndex}`);
          return Promise.resolve();
        },
      },
    });
    expect(deleted).toEqual(["gone-0"]);
  });

  test("R5: with several directories, the place of a partition is in the log before its topic is answered", async () => {
    const world = new SimWorld(10);
    const directories = [uuid(), uuid()];
    const logDirs = directories;
    const directoryOf = (_topic: string, index: number) => directories[index % 2]!;
    const { manager } = await startNode(world, { logDirs, directoryOf });
    await world.run(createTopics(manager, [topic("x", { numPartitions: 2 })], NOW));
    world.cutPower();
    const again = await startNode(world, { logDirs: [directories[0]!, uuid()], directoryOf });
    const { partitions } = again.manager.image.topicsByName.get("x")!;
    expect(partitions.map(({ leader }) => leader)).toEqual([1, -1]);
  });

  test("R9: when the log has failed, all commands are refused, waiting ones too", async () => {
    const world = new SimWorld(11);
    let breakSyncs: (() => void) | null = null;
    const { manager, lifecycle } = await startNode(world, {
      bend: (disk) => {
        const bent = breakable(disk);
        ({ breakSyncs } = bent);
        return bent.disk;
      },
    });
    breakSyncs!();
    const [created] = await world.run(createTopics(manager, [topic("x")], NOW));
    expect(errorName(created!.errorCode)).toBe("KAFKA_STORAGE_ERROR");
    const [refused] = await world.run(createTopics(manager, [topic("y")], NOW));
    expect(errorName(refused!.errorCode)).toBe("NOT_CONTROLLER");
    await expect(world.run(lifecycle.allocateProducerIds())).rejects.toMatchObject({
      errorName: "NOT_CONTROLLER",
    });
    expect(manager.image.topicsByName.size).toBe(0);
  });
});

function check(
  topics: ReadonlyMap<string, { readonly topicId: Uuid }>,
  answered: ReadonlyMap<string, Uuid | null>,
  unknown: Set<string>,
): void {
  for (const [name, topicId] of answered) {
    if (unknown.has(name)) continue;
    expect(topics.get(name)?.topicId ?? null).toBe(topicId);
  }
  // What was not answered may have happened: from now on it is what is there.
  for (const name of unknown) {
    (answered as Map<string, Uuid | null>).set(name, topics.get(name)?.topicId ?? null);
  }
  unknown.clear();
}
