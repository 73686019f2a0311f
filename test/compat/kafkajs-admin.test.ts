import { readFile } from "node:fs/promises";
import { join } from "node:path";
import kafkajs, { type Admin, type Consumer, type SeekEntry } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kafkaClient, readTopic } from "../support/kafkajs-log.ts";
import { sharedBroker } from "../support/shared-broker.ts";

const { TOPIC, BROKER } = kafkajs.ConfigResourceTypes;

describe("kafkajs' admin client", () => {
  const broker = sharedBroker({ "num.partitions": 2 });
  const called = new Set<PropertyKey>();
  const versions = new Map<string, number>();
  let admin: Admin;

  beforeAll(async () => {
    const real = kafkaClient(broker.bootstrap).admin();
    real.on(real.events.REQUEST, ({ payload }) =>
      versions.set(payload.apiName, payload.apiVersion),
    );
    admin = new Proxy(real, {
      get(target, name) {
        called.add(name);
        return Reflect.get(target, name) as unknown;
      },
    });
    await admin.connect();
  });

  afterAll(() => admin.disconnect());

  const offsets = async (topic: string) =>
    (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition);

  const committed = async (groupId: string, topic: string) => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return byPartition(found!.partitions).map(({ offset }) => offset);
  };

  const replicas = async (topic: string) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    expect(topics.map(({ name }) => name)).toEqual([topic]);
    return topics[0]!.partitions
      .sort((a, b) => a.partitionId - b.partitionId)
      .map(({ partitionId, partitionErrorCode, leader, replicas, isr, offlineReplicas }) => ({
        ...{ partitionId, partitionErrorCode, leader, replicas, isr, offlineReplicas },
      }));
  };

  const sound = (partitionId: number) => ({
    ...{ partitionId, partitionErrorCode: 0, leader: 1, replicas: [1], isr: [1] },
    offlineReplicas: [],
  });

  /** The topic's partition 0 gets "value 0", "value 1", ... with the timestamps. */
  const produce = async (topic: string, timestamps: readonly number[]) => {
    const producer = kafkaClient(broker.bootstrap).producer();
    await producer.connect();
    const messages = timestamps.map((timestamp, n) => ({
      ...{ partition: 0, value: `value ${n}`, timestamp: String(timestamp) },
    }));
    await producer.send({ topic, messages });
    await producer.disconnect();
  };

  test("tells the brokers, the controller and the id of the cluster", async () => {
    const properties = await readFile(join(broker.logDirectories[0]!, "meta.properties"), "utf8");
    expect(await admin.describeCluster()).toEqual({
      brokers: [{ nodeId: 1, host: "127.0.0.1", port: broker.port }],
      controller: 1,
      clusterId: /^cluster\.id=(.+)$/m.exec(properties)![1],
    });
  });

  test("creates topics, adds partitions and deletes topics", async () => {
    const wanted = [
      { topic: "counted", numPartitions: 3, configEntries: [{ name: "flush.ms", value: "10" }] },
      { topic: "placed", replicaAssignment: [0, 1, 2, 3].map(onNode1) },
      { topic: "default" },
    ];
    const onlyAsked = { topics: wanted, validateOnly: true, waitForLeaders: false };
    expect(await admin.createTopics(onlyAsked)).toBe(true);
    expect(await admin.listTopics()).toEqual([]);
    expect(await admin.createTopics({ topics: wanted })).toBe(true);
    expect((await admin.listTopics()).sort()).toEqual(["counted", "default", "placed"]);
    expect(await admin.createTopics({ topics: wanted })).toBe(false);
    expect(await replicas("counted")).toEqual([0, 1, 2].map(sound));
    expect(await replicas("placed")).toEqual([0, 1, 2, 3].map(sound));
    expect(await replicas("default")).toEqual([0, 1].map(sound));

    const more = { topic: "counted", count: 5, assignments: [[1], [1]] };
    await admin.createPartitions({ validateOnly: true, topicPartitions: [more] });
    expect(await replicas("counted")).toHaveLength(3);
    await admin.createPartitions({ topicPartitions: [more] });
    expect(await replicas("counted")).toEqual([0, 1, 2, 3, 4].map(sound));

    await admin.deleteTopics({ topics: ["counted", "default"] });
    expect(await admin.listTopics()).toEqual(["placed"]);
  });

  test("is told why a topic cannot be as it is wanted", async () => {
    const refusal = async (topic: kafkajs.ITopicConfig) => {
      const refused = await admin
        .createTopics({ topics: [topic] })
        .catch((error: unknown) => error);
      return (refused as kafkajs.KafkaJSAggregateError).errors;
    };
    expect(await refusal({ topic: "refused", replicationFactor: 2 })).toEqual([
      expect.objectContaining({ type: "INVALID_REPLICATION_FACTOR", topic: "refused" }),
    ]);
    expect(await refusal({ topic: "no such name" })).toEqual([
      expect.objectContaining({ type: "INVALID_TOPIC_EXCEPTION", topic: "no such name" }),
    ]);
    const slip = [{ name: "retention.sm", value: "1" }];
    expect(await refusal({ topic: "refused", configEntries: slip })).toEqual([
      expect.objectContaining({ type: "INVALID_CONFIG", topic: "refused" }),
    ]);
    const fewer = admin.createPartitions({ topicPartitions: [{ topic: "placed", count: 2 }] });
    await expect(fewer).rejects.toMatchObject({ type: "INVALID_PARTITIONS" });
    expect(await admin.listTopics()).toEqual(["placed"]);
  });

  test("finds offsets by time, and deletes the records below one", async () => {
    const start = Date.now() - 60_000;
    await admin.createTopics({ topics: [{ topic: "timed", numPartitions: 2 }] });
    await produce(
      "timed",
      [0, 10, 20, 30, 40].map((ms) => start + ms),
    );
    expect(await offsets("timed")).toEqual([
      { partition: 0, offset: "5", low: "0", high: "5" },
      { partition: 1, offset: "0", low: "0", high: "0" },
    ]);
    const at = async (timestamp?: number) => {
      const found = await admin.fetchTopicOffsetsByTimestamp("timed", timestamp);
      return byPartition(found).map(({ offset }) => offset);
    };
    expect(await at(start)).toEqual(["0", "0"]);
    expect(await at(start + 11)).toEqual(["2", "0"]);
    expect(await at(start + 40)).toEqual(["4", "0"]);
    // Nothing is as late: kafkajs gives the end.
    expect(await at(start + 41)).toEqual(["5", "0"]);

    await admin.deleteTopicRecords({ topic: "timed", partitions: [seek(0, 3)] });
    expect(await offsets("timed")).toEqual([
      { partition: 0, offset: "5", low: "3", high: "5" },
      { partition: 1, offset: "0", low: "0", high: "0" },
    ]);
    expect(await at(start)).toEqual(["3", "0"]);
    const left = await readTopic(kafkaClient(broker.bootstrap), "timed");
    expect(left.map(({ offset, value }) => [offset, value])).toEqual([
      [3, "value 3"],
      [4, "value 4"],
    ]);
    const beyond = admin.deleteTopicRecords({ topic: "timed", partitions: [seek(0, 6)] });
    await expect(beyond).rejects.toMatchObject({
      cause: {
        name: "KafkaJSDeleteTopicRecordsError",
        partitions: [{ partition: 0, error: { type: "OFFSET_OUT_OF_RANGE" } }],
      },
    });
    await admin.deleteTopicRecords({ topic: "timed", partitions: [seek(0, -1)] });
    expect((await offsets("timed"))[0]).toMatchObject({ low: "5", high: "5" });
  });

  test("sets, resets and resolves the offsets of a group", async () => {
    const topic = "placed";
    const stamps = [1, 2, 3].map((ms) => Date.now() - ms);
    await produce(topic, stamps);
    // It also makes kafkajs look for the leader of the topic, which the deletion does not.
    expect((await offsets(topic))[0]).toMatchObject({ low: "0", high: "3" });
    await admin.deleteTopicRecords({ topic, partitions: [seek(0, 1)] });
    expect(await committed("settled", topic)).toEqual(["-1", "-1", "-1", "-1"]);

    // kafkajs takes five seconds for each, as it waits for a consumer of its own with nothing to read.
    await Promise.all([
      admin.setOffsets({ groupId: "settled", topic, partitions: [seek(0, 2), seek(3, 0)] }),
      admin.resetOffsets({ groupId: "early", topic, earliest: true }),
      admin.resetOffsets({ groupId: "late", topic, earliest: false }),
    ]);
    expect(await committed("settled", topic)).toEqual(["2", "-1", "-1", "0"]);
    const all = await admin.fetchOffsets({ groupId: "settled" });
    expect(all.map((each) => ({ ...each, partitions: byPartition(each.partitions) }))).toEqual([
      {
        topic,
        partitions: [
          { partition: 0, offset: "2", metadata: null },
          { partition: 3, offset: "0", metadata: null },
        ],
      },
    ]);
    // It commits the special offsets as they are, and looks them up when it is asked to.
    expect(await committed("early", topic)).toEqual(["-2", "-2", "-2", "-2"]);
    expect(await committed("late", topic)).toEqual(["-1", "-1", "-1", "-1"]);
    await Promise.all(
      ["early", "late"].map((groupId) =>
        admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true }),
      ),
    );
    expect(await committed("early", topic)).toEqual(["1", "0", "0", "0"]);
    expect(await committed("late", topic)).toEqual(["3", "0", "0", "0"]);
  });

  test("lists, describes and deletes groups, but none that is in use", async () => {
    const consumer = kafkaClient(broker.bootstrap).consumer({
      groupId: "in-use",
      maxWaitTimeInMs: 100,
    });
    await joined(consumer, "placed");
    const listed = async () => {
      const { groups } = await admin.listGroups();
      // Of readTopic.
      return groups.filter(({ groupId }) => !groupId.startsWith("reader-"));
    };
    expect((await listed()).sort((a, b) => a.groupId.localeCompare(b.groupId))).toEqual([
      { groupId: "early", protocolType: "consumer" },
      { groupId: "in-use", protocolType: "consumer" },
      { groupId: "late", protocolType: "consumer" },
      { groupId: "settled", protocolType: "consumer" },
    ]);
    const described = await admin.describeGroups(["in-use", "settled", "nobody"]);
    expect(described.groups.map(({ groupId, state }) => [groupId, state]).sort()).toEqual([
      ["in-use", "Stable"],
      ["nobody", "Dead"],
      ["settled", "Empty"],
    ]);
    const group = described.groups.find(({ groupId }) => groupId === "in-use")!;
    expect(group).toMatchObject({ protocol: "RoundRobinAssigner", protocolType: "consumer" });
    expect(group.members.map(({ clientId }) => clientId)).toEqual(["test"]);
    const [member] = group.members;
    expect(kafkajs.AssignerProtocol.MemberMetadata.decode(member!.memberMetadata)?.topics).toEqual([
      "placed",
    ]);
    const share = kafkajs.AssignerProtocol.MemberAssignment.decode(member!.memberAssignment);
    expect(share?.assignment["placed"]?.sort()).toEqual([0, 1, 2, 3]);

    const refused = admin.deleteGroups(["in-use", "nobody"]);
    await expect(refused).rejects.toMatchObject({
      name: "KafkaJSDeleteGroupsError",
      groups: [
        { groupId: "in-use", error: { type: "NON_EMPTY_GROUP" } },
        { groupId: "nobody", error: { type: "GROUP_ID_NOT_FOUND" } },
      ],
    });
    await consumer.disconnect();
    const unused = ["early", "in-use", "late", "settled"];
    expect(await admin.deleteGroups(unused)).toMatchObject(
      unused.map((groupId) => ({ groupId, errorCode: 0 })),
    );
    expect(await listed()).toEqual([]);
    expect(await committed("settled", "placed")).toEqual(["-1", "-1", "-1", "-1"]);
  });

  test("describes and alters settings, and they hold at once", async () => {
    const describe = async (type: kafkajs.ConfigResourceTypes, name: string, key: string) => {
      const { resources } = await admin.describeConfigs({
        resources: [{ type, name, configNames: [key] }],
        includeSynonyms: true,
      });
      expect(resources[0]!.configEntries).toHaveLength(1);
      return resources[0]!.configEntries[0]!;
    };
    const byDefault = { configName: "max.message.bytes", configValue: "1048588", isDefault: true };
    expect(await describe(TOPIC, "placed", "max.message.bytes")).toMatchObject(byDefault);
    expect(await describe(BROKER, "1", "num.partitions")).toMatchObject({
      configValue: "2",
      configSynonyms: [
        { configName: "num.partitions", configValue: "2" },
        { configName: "num.partitions", configValue: "1" },
      ],
    });

    const alter = (validateOnly: boolean, value: string) =>
      admin.alterConfigs({
        validateOnly,
        resources: [
          { type: TOPIC, name: "placed", configEntries: [{ name: "max.message.bytes", value }] },
        ],
      });
    await alter(true, "100");
    expect(await describe(TOPIC, "placed", "max.message.bytes")).toMatchObject(byDefault);
    await expect(alter(false, "many")).rejects.toMatchObject({ type: "INVALID_CONFIG" });
    await alter(false, "100");
    expect(await describe(TOPIC, "placed", "max.message.bytes")).toMatchObject({
      configValue: "100",
      isDefault: false,
    });
    const producer = kafkaClient(broker.bootstrap).producer();
    await producer.connect();
    const send = (bytes: number) =>
      producer.send({ topic: "placed", messages: [{ partition: 1, value: "x".repeat(bytes) }] });
    await expect(send(100)).rejects.toMatchObject({ type: "MESSAGE_TOO_LARGE" });
    await send(10);
    await producer.disconnect();
    expect((await offsets("placed"))[1]).toMatchObject({ low: "0", high: "1" });
  });

  test("moves partitions where they are already, and has no move under way then", async () => {
    const move = { topic: "placed", partitionAssignment: [{ partition: 0, replicas: [1] }] };
    await admin.alterPartitionReassignments({ topics: [move] });
    expect((await admin.listPartitionReassignments({})).topics).toEqual([]);
  });

  test("is told at once what is not served: ACLs", async () => {
    const { CLUSTER, TOPIC } = kafkajs.AclResourceTypes;
    const acl = {
      resourceType: TOPIC,
      resourceName: "placed",
      resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
      principal: "User:somebody",
      host: "*",
      operation: kafkajs.AclOperationTypes.READ,
      permissionType: kafkajs.AclPermissionTypes.ALLOW,
    };
    const notServed = async (request: Promise<unknown>, apiName: string) => {
      const name = "KafkaJSServerDoesNotSupportApiKey";
      await expect(request).rejects.toMatchObject({ name, apiName });
    };
    await notServed(admin.describeAcls({ ...acl, resourceType: CLUSTER }), "DescribeAcls");
    await notServed(admin.createAcls({ acl: [acl] }), "CreateAcls");
    await notServed(admin.deleteAcls({ filters: [acl] }), "DeleteAcls");
  });

  test("has every method called, and each request in the newest version that it knows", () => {
    const methods = Object.keys(admin).filter((name) => !["disconnect", "on"].includes(name));
    expect(methods.filter((name) => !called.has(name))).toEqual(["events", "logger"]);
    expect(Object.fromEntries(versions)).toMatchObject({
      CreateTopics: 3,
      DeleteTopics: 1,
      CreatePartitions: 1,
      DescribeConfigs: 2,
      AlterConfigs: 1,
      DescribeGroups: 2,
      ListGroups: 2,
      DeleteGroups: 1,
      DeleteRecords: 1,
      ListOffsets: 3,
      OffsetFetch: 4,
      Metadata: 6,
      GroupCoordinator: 2,
    });
  });
});

function onNode1(partition: number): kafkajs.ReplicaAssignment {
  return { partition, replicas: [1] };
}

function seek(partition: number, offset: number): SeekEntry {
  return { partition, offset: String(offset) };
}

function byPartition<T extends { readonly partition: number }>(entries: readonly T[]): T[] {
  return [...entries].sort((a, b) => a.partition - b.partition);
}

/** Resolves when the consumer has a share of the topic. */
async function joined(consumer: Consumer, topic: string): Promise<void> {
  await consumer.connect();
  await consumer.subscribe({ topic });
  const inGroup = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.run({ eachMessage: () => Promise.resolve() });
  await inGroup;
}
