import { describe, expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import type { AddRaftVoterResponse } from "../../../src/protocol/messages/80-add-raft-voter.ts";
import type { RemoveRaftVoterResponse } from "../../../src/protocol/messages/81-remove-raft-voter.ts";
import { addRaftVoterHandler } from "../../../src/server/handlers/80-add-raft-voter.ts";
import { removeRaftVoterHandler } from "../../../src/server/handlers/81-remove-raft-voter.ts";
import { uuid } from "../metadata/cluster-image.ts";
import { answering } from "../metadata/deciding.ts";
import { call, FakeContext } from "./support.ts";

const DONE = { throttleTimeMs: 0, errorCode: 0, errorMessage: null };
const VOTER = {
  clusterId: "ours",
  timeoutMs: 700,
  voterId: 4,
  voterDirectoryId: uuid(),
  listeners: [{ name: "CONTROLLER", host: "127.0.0.1", port: 9094 }],
};

async function add(over: Partial<typeof VOTER> & { clusterId?: string | null }, version = 1) {
  const metadata = answering(DONE);
  const handler = addRaftVoterHandler({ metadata, clusterId: "ours" });
  const answer = await call(handler, new FakeContext(version), { ...VOTER, ...over });
  return { ...(answer as AddRaftVoterResponse), asked: metadata.asked };
}

describe("AddRaftVoter", () => {
  test.each([
    [0, "ours"],
    [1, null],
  ])("%i: the active controller is asked, for as long as the client waits", async (version, id) => {
    const { asked, errorCode } = await add({ clusterId: id } as Partial<typeof VOTER>, version);
    expect(errorCode).toBe(0);
    expect(asked).toMatchObject([{ request: { ...VOTER, clusterId: id }, timeoutMs: 700 }]);
  });

  test.each([
    [{ clusterId: "another" }, "INCONSISTENT_CLUSTER_ID"],
    [{ voterId: -1 }, "INVALID_REQUEST"],
    [{ voterDirectoryId: ZERO_UUID }, "INVALID_REQUEST"],
    [{ listeners: [] }, "INVALID_REQUEST"],
  ])("%j is refused here: %s", async (over, error) => {
    const { asked, errorCode } = await add(over);
    expect(errorName(errorCode)).toBe(error);
    expect(asked).toEqual([]);
  });
});

test.each([
  ["ours", 4, "NONE"],
  [null, 4, "NONE"],
  ["another", 4, "INCONSISTENT_CLUSTER_ID"],
  ["ours", -4, "INVALID_REQUEST"],
])("RemoveRaftVoter of cluster %s, voter %i: %s", async (clusterId, voterId, error) => {
  const metadata = answering(DONE);
  const handler = removeRaftVoterHandler({ metadata, clusterId: "ours" });
  const request = { clusterId, voterId, voterDirectoryId: uuid() };
  const answer = await call(handler, new FakeContext(0), request);
  expect(errorName((answer as RemoveRaftVoterResponse).errorCode)).toBe(error);
  expect(metadata.asked).toHaveLength(error === "NONE" ? 1 : 0);
});
