import { expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import type {
  CreateTopicsRequest,
  CreateTopicsResponse,
} from "../../../src/protocol/messages/19-create-topics.ts";
import { createTopicsHandler } from "../../../src/server/handlers/19-create-topics.ts";
import { clusterOf, topic } from "../metadata/cluster-image.ts";
import { deciding } from "../metadata/deciding.ts";
import { call, FakeContext } from "./support.ts";

async function create(version: number, request: Partial<CreateTopicsRequest>) {
  const metadata = deciding(clusterOf(1));
  const handler = createTopicsHandler({ metadata });
  const answer = await call(handler, new FakeContext(version), { topics: [], ...request });
  return { answer: answer as CreateTopicsResponse, asked: metadata.asked };
}

test.each([2, 3, 4, 5, 6, 7])(
  "%i: every topic gets an answer that the version can carry",
  async (version) => {
    const wanted = topic("x", { numPartitions: 3, replicationFactor: 1 });
    const { answer, asked } = await create(version, {
      topics: [wanted, topic("a b")],
      timeoutMs: 1234,
      validateOnly: true,
    });
    expect(asked).toMatchObject([{ request: { validateOnly: true }, timeoutMs: 1234 }]);
    const [made, refused] = answer.topics;
    expect(made).toMatchObject({
      name: "x",
      errorCode: 0,
      errorMessage: null,
      numPartitions: version >= 5 ? 3 : -1,
      replicationFactor: version >= 5 ? 1 : -1,
    });
    expect(made!.configs ?? []).toHaveLength(version >= 5 ? 33 : 0);
    expect(refused).toMatchObject({ name: "a b", errorCode: 17, numPartitions: -1 });
  },
);

test.each([6, 7])("%i: the topic id is told from 7 on", async (version) => {
  const { answer } = await create(version, { topics: [topic("x")] });
  expect(answer.topics[0]!.topicId === ZERO_UUID).toBe(version < 7);
});
