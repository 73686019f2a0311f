import { describe, expect, test } from "vitest";
import { DiskError } from "../../../src/base/disk.ts";
import type { DescribeLogDirsRequest } from "../../../src/protocol/messages/35-describe-log-dirs.ts";
import { describeLogDirsHandler } from "../../../src/server/handlers/35-describe-log-dirs.ts";
import type { StoredLog } from "../../../src/storage/stored-logs.ts";
import { uuid } from "../metadata/cluster-image.ts";
import { call, FakeContext } from "./support.ts";

const stored = (topic: string, partitionIndex: number, sizeBytes: number): StoredLog => ({
  ...{ topic, partitionIndex, sizeBytes },
  offsetLag: 0,
  isFuture: false,
});

const LOGS: Readonly<Record<string, readonly StoredLog[]>> = {
  "/a": [stored("x", 0, 10), stored("y", 0, 30), stored("x", 2, 12)],
  "/b": [stored("x", 1, 11), { ...stored("y", 0, 20), offsetLag: 5, isFuture: true }],
  "/c": [stored("z", 0, 1)],
};

async function ask(topics: DescribeLogDirsRequest["topics"], version = 5) {
  const handler = describeLogDirsHandler({
    logs: {
      directories: [
        { path: "/a", directoryId: uuid(), isOnline: true },
        { path: "/b", directoryId: uuid(), isOnline: true },
        { path: "/c", directoryId: uuid(), isOnline: false },
        { path: "/d", directoryId: uuid(), isOnline: true },
      ],
      storedLogs: (path) => LOGS[path] ?? [],
    },
    disk: {
      statfs: (path) =>
        path === "/d"
          ? Promise.reject(new DiskError("EIO", path, "statfs"))
          : Promise.resolve({ totalBytes: 1000, usableBytes: path === "/a" ? 400 : 300 }),
    },
  });
  const response = await call(handler, new FakeContext(version), { topics });
  if (typeof response === "symbol") throw new Error("there is no response");
  return response;
}

describe("DescribeLogDirs", () => {
  test.each([1, 2, 3, 4, 5])("%i: tells what lies where, and how large it is", async (version) => {
    const { results } = await ask(null, version);
    expect(results[0]).toMatchObject({
      errorCode: 0,
      logDir: "/a",
      topics: [
        {
          name: "x",
          partitions: [
            { partitionIndex: 0, partitionSize: 10, offsetLag: 0, isFutureKey: false },
            { partitionIndex: 2, partitionSize: 12, offsetLag: 0, isFutureKey: false },
          ],
        },
        { name: "y", partitions: [{ partitionIndex: 0, partitionSize: 30 }] },
      ],
      totalBytes: version >= 4 ? 1000 : -1,
      usableBytes: version >= 4 ? 400 : -1,
    });
    expect(results[1]!.topics[1]).toEqual({
      name: "y",
      partitions: [{ partitionIndex: 0, partitionSize: 20, offsetLag: 5, isFutureKey: true }],
    });
  });

  test("a directory that is offline, or whose disk does not answer, is told as such", async () => {
    const { results } = await ask(null);
    expect(results.map(({ logDir, errorCode }) => [logDir, errorCode])).toEqual([
      ["/a", 0],
      ["/b", 0],
      ["/c", 56],
      ["/d", 56],
    ]);
    expect(results[2]).toMatchObject({ topics: [], totalBytes: -1, usableBytes: -1 });
  });

  test("only the partitions that were asked for are told", async () => {
    const { results } = await ask([
      { topic: "x", partitions: [1, 2] },
      { topic: "nope", partitions: [0] },
      { topic: "x", partitions: [7] },
    ]);
    const told = results.flatMap(({ logDir, topics }) =>
      topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex }) => `${logDir}/${name}-${partitionIndex}`),
      ),
    );
    expect(told).toEqual(["/a/x-2", "/b/x-1"]);
  });
});
