import { expect, test } from "vitest";
import type { VoterChange } from "../../../src/raft/core/voters.ts";
import { KafkaError } from "../../../src/protocol/errors.ts";
import type { RaftClient } from "../../../src/raft/raft-client.ts";
import { ActiveController } from "../../../src/server/metadata/active-controller.ts";
import { createTopics } from "../../../src/server/metadata/create-topics.ts";
import type { MetadataImage } from "../../../src/server/metadata/image.ts";
import { clusterOf, DEFAULTS, topic, uuid } from "./cluster-image.ts";

const REMOVAL = { kind: "remove", voter: { nodeId: 3, directoryId: uuid() } } as const;

/** A log that takes everything, the voters' changes unless it is told why not. */
function world(image: MetadataImage, refusal: KafkaError | null = null) {
  const changes: VoterChange[] = [];
  let nextOffset = image.offset + 1;
  const place = (count: number) => {
    const baseOffset = nextOffset;
    nextOffset += count;
    return { baseOffset, lastOffset: nextOffset - 1, committed: Promise.resolve() };
  };
  const raft = {
    get nextOffset() {
      return nextOffset;
    },
    append: (_leaderEpoch: number, values: readonly Buffer[]) => place(values.length),
    changeVoters: (change: VoterChange) => {
      if (refusal !== null) throw refusal;
      changes.push(change);
      return place(1);
    },
  } as unknown as RaftClient;
  const controller = new ActiveController(raft);
  controller.activate(4, image);
  return { controller, changes };
}

const voters = () => ({ records: [], voterChange: REMOVAL, answer: "done" });

function creation(name: string) {
  const request = { topics: [topic(name)], topicIds: [uuid()], validateOnly: false };
  return (image: MetadataImage) => createTopics(image, request, DEFAULTS);
}

test("a change of the voters has its place in the log, and decisions go on behind it", () => {
  const image = clusterOf(1);
  const { controller, changes } = world(image);
  const first = controller.run(voters);
  expect(first).toMatchObject({ answer: "done", lastOffset: image.offset + 1 });
  expect(changes).toEqual([REMOVAL]);
  const second = controller.run(creation("x"));
  expect(second.lastOffset).toBe(image.offset + 3);
  expect(controller.image?.offset).toBe(image.offset + 3);
  expect(controller.image?.topicsByName.has("x")).toBe(true);
});

test("what the quorum refuses changes nothing", () => {
  const image = clusterOf(1);
  const { controller } = world(image, new KafkaError("VOTER_NOT_FOUND"));
  expect(() => controller.run(voters)).toThrow(new KafkaError("VOTER_NOT_FOUND"));
  expect(controller.image).toBe(image);
  expect(controller.run(creation("x")).lastOffset).toBe(image.offset + 2);
});
