import { join } from "node:path";
import { expect, test } from "vitest";
import { SystemClock } from "../../src/base/clock.ts";
import type { Uuid } from "../../src/base/ids.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { snapshotFileName, writeSnapshotFile } from "../../src/raft/snapshot-file.ts";
import { imageRecords } from "../../src/server/metadata/image-records.ts";
import { NodeDisk } from "../../src/storage/node-disk.ts";
import { clusterOf, topic, withTopics } from "../server/metadata/cluster-image.ts";
import { withTemporaryFolder } from "../support/broker-process.ts";
import { runKafkaTool } from "../support/java.ts";

const CONTROL_RECORDS = ["SnapshotHeader", "KRaftVersion", "KRaftVoters", "SnapshotFooter"];

test("kafka-dump-log reads a snapshot of the metadata: all records decoded, none unknown", async () => {
  await withTemporaryFolder(async (directory) => {
    const clock = new SystemClock();
    const disk = new NodeDisk({ clock, random: new SeededRandom(1) });
    const image = withTopics(clusterOf(1, 2, 3), topic("one"), topic("two", { numPartitions: 3 }));
    const records = [...imageRecords(image)];
    const id = { endOffset: 500, epoch: 4 };
    const voter = { nodeId: 1, directoryId: "rVOkE_ZvVwdXAkHJFrWK8g" as Uuid };
    const endpoints = [{ name: "CONTROLLER", host: "localhost", port: 9093 }];
    const head = { timestampMs: 1_800_000_000_000, voters: [{ ...voter, endpoints }] };
    const path = join(directory, snapshotFileName(id));
    await writeSnapshotFile({ disk, clock }, path, { id, head }, records);
    const { exitCode, stdout } = await runKafkaTool("org.apache.kafka.tools.DumpLogSegments", [
      "--deep-iteration",
      "--cluster-metadata-decoder",
      "--files",
      path,
    ]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("Snapshot end offset: 500, epoch: 4");
    for (const name of CONTROL_RECORDS) expect(stdout).toContain(name);
    expect(stdout).toContain(voter.directoryId);
    expect(stdout.match(/payload: \{"type":"[A-Z_]+_RECORD"/g)).toHaveLength(records.length);
    expect(stdout).not.toMatch(/isvalid: false|Could not decode|unknown/i);
  });
});
