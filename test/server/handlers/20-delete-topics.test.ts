import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import type {
  DeleteTopicsRequest,
  DeleteTopicsResponse,
} from "../../../src/protocol/messages/20-delete-topics.ts";
import { deleteTopicsHandler } from "../../../src/server/handlers/20-delete-topics.ts";
import { clusterOf, topic, withTopics } from "../metadata/cluster-image.ts";
import { deciding } from "../metadata/deciding.ts";
import { call, FakeContext } from "./support.ts";

const IMAGE = withTopics(clusterOf(1), topic("x"));
const TOPIC_ID = IMAGE.topicsByName.get("x")!.topicId;

async function remove(
  version: number,
  request: Partial<DeleteTopicsRequest>,
  isDeletionEnabled = true,
) {
  const handler = deleteTopicsHandler({
    metadata: deciding(IMAGE),
    isDeletionEnabled,
  });
  const answer = await call(handler, new FakeContext(version), {
    topics: [],
    timeoutMs: 1000,
    ...request,
  });
  return (answer as DeleteTopicsResponse).responses.map(({ name, topicId, errorCode }) => ({
    name,
    topicId,
    error: errorName(errorCode),
  }));
}

describe("DeleteTopics", () => {
  test.each([1, 2, 3, 4, 5])("%i: by name", async (version) => {
    expect(await remove(version, { topicNames: ["x", "nope"] })).toEqual([
      { name: "x", topicId: ZERO_UUID, error: "NONE" },
      { name: "nope", topicId: ZERO_UUID, error: "UNKNOWN_TOPIC_OR_PARTITION" },
    ]);
  });

  test("6: by name or by id, answered with both", async () => {
    const found = { name: "x", topicId: TOPIC_ID, error: "NONE" };
    expect(await remove(6, { topics: [{ name: "x", topicId: ZERO_UUID }] })).toEqual([found]);
    expect(await remove(6, { topics: [{ name: null, topicId: TOPIC_ID }] })).toEqual([found]);
  });

  test.each([
    [1, "INVALID_REQUEST"],
    [2, "INVALID_REQUEST"],
    [3, "TOPIC_DELETION_DISABLED"],
    [5, "TOPIC_DELETION_DISABLED"],
  ])("%i: with delete.topic.enable=false every topic is refused (%s)", async (version, error) => {
    const answers = await remove(version, { topicNames: ["x", "nope"] }, false);
    expect(answers.map((answer) => answer.error)).toEqual([error, error]);
  });
});
