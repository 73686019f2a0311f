import { describe, expect, test } from "vitest";
import { type Uuid, ZERO_UUID } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import { deleteTopics, type TopicReference } from "../../../src/server/metadata/delete-topics.ts";
import { topicOverrides } from "../../../src/server/metadata/image.ts";
import { apply, clusterOf, decoded, topic, uuid, withTopics } from "./cluster-image.ts";

const IMAGE = withTopics(
  clusterOf(1),
  topic("x", { configs: [{ name: "flush.messages", value: "1" }] }),
  topic("y"),
);
const idOf = (name: string) => IMAGE.topicsByName.get(name)!.topicId;
const byName = (name: string): TopicReference => ({ name, topicId: ZERO_UUID });
const byId = (topicId: Uuid): TopicReference => ({ name: null, topicId });

function remove(...references: TopicReference[]) {
  const { records, answer } = deleteTopics(IMAGE, references);
  return {
    removed: decoded(records).map(({ record }) => record),
    answer: answer.map(({ name, topicId, errorCode, errorMessage }) => ({
      name,
      topicId,
      error: errorName(errorCode),
      errorMessage,
    })),
  };
}

describe("DeleteTopics", () => {
  test("takes names and ids, and answers with both", () => {
    const { removed, answer } = remove(byName("x"), byId(idOf("y")));
    expect(removed).toEqual([{ topicId: idOf("x") }, { topicId: idOf("y") }]);
    expect(answer).toEqual([
      { name: "x", topicId: idOf("x"), error: "NONE", errorMessage: null },
      { name: "y", topicId: idOf("y"), error: "NONE", errorMessage: null },
    ]);
  });

  test("takes the topic's settings away with it", () => {
    const after = apply(IMAGE, deleteTopics(IMAGE, [byName("x")]).records);
    expect(after.topicsById.has(idOf("x"))).toBe(false);
    expect(after.topicsByName.has("x")).toBe(false);
    expect(topicOverrides(after, "x").size).toBe(0);
    expect(topicOverrides(IMAGE, "x").get("flush.messages")).toBe("1");
  });

  test.each<[string, TopicReference[], string, string]>([
    [
      "an unknown name",
      [byName("nope")],
      "UNKNOWN_TOPIC_OR_PARTITION",
      "This server does not host this topic-partition.",
    ],
    [
      "an unknown id",
      [byId(uuid())],
      "UNKNOWN_TOPIC_ID",
      "This server does not host this topic ID.",
    ],
    [
      "neither name nor id",
      [byId(ZERO_UUID)],
      "INVALID_REQUEST",
      "Neither topic name nor id were specified.",
    ],
    [
      "both name and id",
      [{ name: "x", topicId: idOf("x") }],
      "INVALID_REQUEST",
      "You may not specify both topic name and topic id.",
    ],
    ["a name twice", [byName("x"), byName("x")], "INVALID_REQUEST", "Duplicate topic name."],
    ["an id twice", [byId(idOf("x")), byId(idOf("x"))], "INVALID_REQUEST", "Duplicate topic id."],
  ])("refuses %s and deletes nothing", (_what, references, error, errorMessage) => {
    const { removed, answer } = remove(...references);
    expect(removed).toEqual([]);
    expect(answer).toHaveLength(1);
    expect(answer[0]).toMatchObject({ error, errorMessage });
  });

  test("refuses a topic that is named both ways, and deletes it by neither", () => {
    const { removed, answer } = remove(byId(idOf("x")), byName("x"), byName("y"));
    expect(removed).toEqual([{ topicId: idOf("y") }]);
    expect(answer.map(({ error }) => error)).toEqual([
      "INVALID_REQUEST",
      "INVALID_REQUEST",
      "NONE",
    ]);
  });
});
