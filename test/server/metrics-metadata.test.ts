import { expect, test } from "vitest";
import { registerBroker } from "../../src/server/metadata/broker-registration.ts";
import { metadataRecord } from "../../src/server/metadata/controller.ts";
import { metadataMetrics, type MetadataMetricsParts } from "../../src/server/metrics-metadata.ts";
import { MetricsText } from "../../src/server/metrics-text.ts";
import {
  apply,
  clusterOf,
  decide,
  registration,
  topic,
  withTopics,
} from "./metadata/cluster-image.ts";

/** Brokers 1 and 2 serve, 3 is fenced; of the four partitions 1 leads one, 2 two, nobody one. */
const IMAGE = (() => {
  const replicas = [
    [1, 2],
    [1, 2],
    [2, 1],
    [2, 1],
  ];
  const assignments = replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }));
  const image = withTopics(
    decide(clusterOf(1, 2), (before) => registerBroker(before, registration(3), before.offset + 1)),
    topic("x", { assignments }),
  );
  const { topicId } = image.topicsByName.get("x")!;
  return apply(image, [
    metadataRecord("partitionChange", { partitionId: 2, topicId, leader: -1 }),
    metadataRecord("partitionChange", { partitionId: 1, topicId, leader: 2 }),
  ]);
})();

function metrics(over: Partial<MetadataMetricsParts> = {}, committedOffset = IMAGE.offset) {
  const text = new MetricsText();
  metadataMetrics(text, {
    metadata: {
      ...{ image: IMAGE, controllerId: 1 },
      committed: { offset: committedOffset, timestampMs: 9_000 },
    },
    clock: { wallMs: () => 10_000 },
    nodeId: 1,
    isBroker: true,
    isController: true,
    uncleanLeaderElections: () => 5,
    isServed: () => true,
    ...over,
  });
  const lines = text
    .toString()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => {
      const [name = "", value] = line.split(" ");
      return [name.replace("kafka_controller_kafkacontroller_", ""), Number(value)];
    }),
  );
}

test("each node of the quorum tells of the cluster, and whether it is the active controller", () => {
  expect(metrics()).toMatchObject({
    ...{ activecontrollercount: 1, activebrokercount: 2, fencedbrokercount: 1 },
    ...{ globaltopiccount: 1, globalpartitioncount: 4 },
    ...{ offlinepartitionscount: 1, preferredreplicaimbalancecount: 1 },
    kafka_controller_controllerstats_uncleanleaderelections_total: 5,
  });
  expect(metrics({ nodeId: 2 })).toMatchObject({ activecontrollercount: 0 });
});

test("what this node leads and does not serve is offline; of others' it cannot know", () => {
  const isServed = () => false;
  expect(metrics({ isServed })).toMatchObject({ offlinepartitionscount: 2 });
  expect(metrics({ isServed, nodeId: 2 })).toMatchObject({ offlinepartitionscount: 3 });
});

test("a broker says how far it is behind what is committed", () => {
  const lag = "kafka_server_brokermetadatametrics_last_applied_record_lag_ms";
  const offset = "kafka_server_brokermetadatametrics_last_applied_record_offset";
  expect(metrics({ isController: false })).toEqual({ [offset]: IMAGE.offset, [lag]: 0 });
  expect(metrics({ isController: false }, IMAGE.offset + 1)).toEqual({
    ...{ [offset]: IMAGE.offset, [lag]: 1000 },
  });
  const controller = metrics({ isBroker: false }, IMAGE.offset + 1);
  expect(controller).not.toHaveProperty(lag);
  expect(controller).toMatchObject({
    ...{ lastcommittedrecordoffset: IMAGE.offset + 1, lastappliedrecordoffset: IMAGE.offset },
    lastappliedrecordlagms: 1000,
  });
});
