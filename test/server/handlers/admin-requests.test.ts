import { describe, expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import type { ElectLeadersResponse } from "../../../src/protocol/messages/43-elect-leaders.ts";
import type { UpdateFeaturesResponse } from "../../../src/protocol/messages/57-update-features.ts";
import { createPartitionsHandler } from "../../../src/server/handlers/37-create-partitions.ts";
import { electLeadersHandler } from "../../../src/server/handlers/43-elect-leaders.ts";
import { updateFeaturesHandler } from "../../../src/server/handlers/57-update-features.ts";
import { type ItemError, itemError } from "../../../src/server/metadata/controller.ts";
import type { ElectLeadersCommand } from "../../../src/server/metadata/elect-leaders.ts";
import type { FeatureUpdate } from "../../../src/server/metadata/update-features.ts";
import { call, FakeContext } from "./support.ts";

test.each([0, 1, 2, 3])("CreatePartitions %i: passes on what the client wants", async (version) => {
  const asked: unknown[] = [];
  const handler = createPartitionsHandler({
    metadata: {
      createPartitions: (topics, options) => {
        asked.push(topics, options);
        return Promise.resolve([{ name: "x", errorCode: 37, errorMessage: "why" }]);
      },
    },
  });
  const topics = [{ name: "x", count: 5, assignments: [{ brokerIds: [1] }] }];
  const answer = await call(handler, new FakeContext(version), {
    topics,
    timeoutMs: 12,
    validateOnly: true,
  });
  expect(asked).toEqual([topics, { validateOnly: true, timeoutMs: 12 }]);
  expect(answer).toMatchObject({ results: [{ name: "x", errorCode: 37, errorMessage: "why" }] });
});

describe("ElectLeaders", () => {
  const RESULTS = [
    { topic: "x", partitionResult: [{ partitionId: 0, errorCode: 84, errorMessage: "why" }] },
  ];

  async function ask(version: number, electionType: number) {
    const commands: ElectLeadersCommand[] = [];
    const handler = electLeadersHandler({
      metadata: {
        electLeaders: (command) => {
          commands.push(command);
          return Promise.resolve(RESULTS);
        },
      },
    });
    const topicPartitions = [{ topic: "x", partitions: [0, 1] }];
    const request = { topicPartitions, timeoutMs: 1, electionType };
    const answer = await call(handler, new FakeContext(version), request);
    return { commands, answer: answer as ElectLeadersResponse };
  }

  test.each([
    [0, 0, "preferred"],
    [1, 0, "preferred"],
    [2, 1, "unclean"],
  ])("%i: type %i is %s", async (version, type, electionType) => {
    const { commands, answer } = await ask(version, type);
    expect(commands.map((command) => command.electionType)).toEqual([electionType]);
    expect(answer).toMatchObject({ errorCode: 0, replicaElectionResults: RESULTS });
  });

  test("an unknown type is refused, with every partition of the request", async () => {
    const { commands, answer } = await ask(2, 9);
    expect(commands).toEqual([]);
    expect(errorName(answer.errorCode)).toBe("INVALID_REQUEST");
    expect(answer.replicaElectionResults[0]!.partitionResult).toEqual([
      { partitionId: 0, errorCode: 42, errorMessage: "Unknown election type 9" },
      { partitionId: 1, errorCode: 42, errorMessage: "Unknown election type 9" },
    ]);
  });
});

describe("UpdateFeatures", () => {
  async function ask(
    version: number,
    update: { readonly allowDowngrade?: boolean; readonly upgradeType?: number },
    error: ItemError | null = null,
  ) {
    const updates: FeatureUpdate[] = [];
    const handler = updateFeaturesHandler({
      metadata: {
        updateFeatures: (command) => {
          updates.push(...command.updates);
          return Promise.resolve(error);
        },
      },
    });
    const answer = await call(handler, new FakeContext(version), {
      featureUpdates: [{ feature: "f", maxVersionLevel: 3, allowDowngrade: false, ...update }],
    });
    return { updates, answer: answer as UpdateFeaturesResponse };
  }

  test.each([
    [0, { allowDowngrade: false }, "upgrade"],
    [0, { allowDowngrade: true }, "safe downgrade"],
    [1, { upgradeType: 1 }, "upgrade"],
    [2, { upgradeType: 2 }, "safe downgrade"],
    [2, { upgradeType: 3 }, "unsafe downgrade"],
    [2, { upgradeType: 0 }, "unknown"],
  ])("%i: %j is %s", async (version, update, upgradeType) => {
    const { updates } = await ask(version, update);
    expect(updates).toEqual([{ feature: "f", maxVersionLevel: 3, upgradeType }]);
  });

  test.each([
    [1, [{ feature: "f", errorCode: 0, errorMessage: null }]],
    [2, []],
  ])("%i: what was done is told per feature before version 2", async (version, results) => {
    const { answer } = await ask(version, {});
    expect(answer).toMatchObject({ errorCode: 0, errorMessage: null, results });
  });

  test.each([0, 1, 2])("%i: a refusal is of the whole request", async (version) => {
    const { answer } = await ask(version, {}, itemError("INVALID_UPDATE_VERSION", "because"));
    expect(errorName(answer.errorCode)).toBe("INVALID_UPDATE_VERSION");
    expect(answer.errorMessage).toBe(
      "The update failed for all features since the following feature had an error: because",
    );
    expect(answer.results).toEqual([]);
  });
});
