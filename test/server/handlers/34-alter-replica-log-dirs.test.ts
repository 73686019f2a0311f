import { resolve } from "node:path";
import { expect, test } from "vitest";
import { errorName } from "../../../src/protocol/errors.ts";
import { alterReplicaLogDirsHandler } from "../../../src/server/handlers/34-alter-replica-log-dirs.ts";
import { uuid } from "../metadata/cluster-image.ts";
import { call, FakeContext } from "./support.ts";

test.each([1, 2])(
  "AlterReplicaLogDirs %i: each partition goes where it is told",
  async (version) => {
    const asked: string[] = [];
    const handler = alterReplicaLogDirsHandler({
      logs: {
        directories: ["/a", "relative/b"].map((path) => ({
          path,
          directoryId: uuid(),
          isOnline: true,
        })),
      },
      moves: {
        alter: (topic, partitionIndex, path) => {
          asked.push(`${topic}-${partitionIndex} ${path}`);
          return Promise.resolve(partitionIndex === 1 ? "REPLICA_NOT_AVAILABLE" : null);
        },
      },
    });
    const answer = await call(handler, new FakeContext(version), {
      dirs: [
        {
          path: "/a",
          topics: [
            { name: "x", partitions: [0, 1] },
            { name: "y", partitions: [0] },
          ],
        },
        // As DescribeLogDirs names it.
        { path: resolve("relative/b"), topics: [{ name: "x", partitions: [2] }] },
        { path: "relative/b", topics: [{ name: "x", partitions: [3] }] },
      ],
    });
    if (typeof answer === "symbol") throw new Error("there is no answer");
    expect(asked).toEqual(["x-0 /a", "x-1 /a", "y-0 /a", "x-2 relative/b"]);
    const told = answer.results.flatMap(({ topicName, partitions }) =>
      partitions.map((each) => [`${topicName}-${each.partitionIndex}`, errorName(each.errorCode)]),
    );
    expect(told).toEqual([
      ["x-0", "NONE"],
      ["x-1", "REPLICA_NOT_AVAILABLE"],
      ["x-2", "NONE"],
      ["x-3", "LOG_DIR_NOT_FOUND"],
      ["y-0", "NONE"],
    ]);
  },
);
