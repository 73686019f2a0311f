import { describe, expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import type {
  DescribeClusterRequest,
  DescribeClusterResponse,
} from "../../../src/protocol/messages/60-describe-cluster.ts";
import { describeClusterHandler } from "../../../src/server/handlers/60-describe-cluster.ts";
import { registerBroker } from "../../../src/server/metadata/broker-registration.ts";
import { clusterOf, decide, registration } from "../metadata/cluster-image.ts";
import { call, FakeContext } from "./support.ts";

/** Brokers 2 and 1 serve, 3 is fenced. */
const IMAGE = decide(clusterOf(2, 1), (image) =>
  registerBroker(image, registration(3, { rack: "r" }), image.offset + 1),
);

async function ask(
  version: number,
  request: Partial<DescribeClusterRequest> = {},
  listenerName = "PLAINTEXT",
  nodeId = 1,
) {
  const handler = describeClusterHandler({
    metadata: { image: IMAGE },
    clusterId: "cluster",
    nodeId,
  });
  const context = Object.assign(new FakeContext(version), { listenerName });
  const fields = {
    includeClusterAuthorizedOperations: false,
    includeFencedBrokers: false,
    ...request,
  };
  return (await call(handler, context, fields)) as DescribeClusterResponse;
}

describe("DescribeCluster", () => {
  test.each([0, 1, 2])(
    "%i: tells of the brokers that serve, at the client's listener",
    async (version) => {
      const answer = await ask(version, {}, "OUTSIDE");
      expect(answer).toMatchObject({
        errorCode: 0,
        errorMessage: null,
        clusterId: "cluster",
        controllerId: 1,
        brokers: [
          { brokerId: 1, host: "example.com", port: 19091, rack: null },
          { brokerId: 2, host: "example.com", port: 19092, rack: null },
        ],
        clusterAuthorizedOperations: -(2 ** 31),
      });
    },
  );

  test("the controller is a broker that the client can reach, this one if it can be", async () => {
    expect((await ask(2, {}, "PLAINTEXT", 2)).controllerId).toBe(2);
    expect([1, 2]).toContain((await ask(2, {}, "PLAINTEXT", 3)).controllerId);
    expect((await ask(2, {}, "ABSENT")).controllerId).toBe(-1);
  });

  test("KIP-1073: of fenced ones only when it is asked", async () => {
    const { brokers } = await ask(2, { includeFencedBrokers: true });
    expect(brokers.map(({ brokerId, isFenced, rack }) => [brokerId, isFenced, rack])).toEqual([
      [1, false, null],
      [2, false, null],
      [3, true, "r"],
    ]);
  });

  test("tells what the client may do when it is asked", async () => {
    const answer = await ask(1, { includeClusterAuthorizedOperations: true });
    expect(answer.clusterAuthorizedOperations).toBe(0b1_1111_1010_0000);
  });

  test.each([
    [1, 2, "MISMATCHED_ENDPOINT_TYPE"],
    [2, 7, "UNSUPPORTED_ENDPOINT_TYPE"],
  ])(
    "%i: a client that looks for endpoints of type %i gets %s",
    async (version, endpointType, error) => {
      const answer = await ask(version, { endpointType });
      expect(errorName(answer.errorCode)).toBe(error);
      expect(answer.brokers).toEqual([]);
    },
  );
});
