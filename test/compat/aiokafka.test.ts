import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { factsOf } from "../support/programs.ts";
import { PYTHON } from "../support/python.ts";
import { sharedBroker } from "../support/shared-broker.ts";
import { expectPackedRecords, type ReadRecord } from "./packed-records.ts";
import { expectSharing, type SharingFacts } from "./sharing.ts";

const PROGRAM = fileURLToPath(new URL("aiokafka/main.py", import.meta.url));

describe("aiokafka", () => {
  const broker = sharedBroker();

  const run = <T>(scenario: string) =>
    factsOf<T>(PYTHON, ["-B", PROGRAM, broker.bootstrap, scenario]);

  test("the admin client makes, changes, describes and deletes topics, settings and groups", async () => {
    const partitions = (count: number) =>
      Array.from({ length: count }, (_, partition) => [partition, 1, [1], [1]]);
    const empty = { error: "", type: "", protocol: "", members: [] };
    expect(await run("admin")).toEqual({
      cluster: [expect.stringMatching(/^[\w-]{22}$/), 1, [[1, "127.0.0.1", broker.port]]],
      validated: { made: "", placed: "", wide: "INVALID_REPLICATION_FACTOR" },
      afterValidation: {},
      created: { made: "", placed: "", wide: "INVALID_REPLICATION_FACTOR" },
      again: { made: "TOPIC_ALREADY_EXISTS" },
      afterCreation: { made: partitions(3), placed: partitions(2) },
      names: ["made", "placed"],
      more: "",
      fewer: "INVALID_PARTITIONS",
      afterPartitions: { made: 5, placed: 2 },
      // With its source: 1 is the topic's own, 4 the node's file, 5 the default.
      configs: { "retention.ms": ["60000", 1], "segment.bytes": ["1073741824", 5] },
      altered: [""],
      configsAfter: { "retention.ms": ["604800000", 5], "segment.bytes": ["1048576", 1] },
      noConfigs: "UNKNOWN_TOPIC_OR_PARTITION",
      ofBroker: { "node.id": ["1", 4] },
      coordinator: 1,
      committed: 7,
      groups: [["quiet", ""]],
      offsets: { "1": [7, "noted"] },
      described: { ...empty, state: "Empty" },
      nobody: { ...empty, state: "Dead" },
      deleted: { made: "", "never-made": "UNKNOWN_TOPIC_OR_PARTITION" },
      afterDeletion: { placed: partitions(2) },
    });
  });

  test("an idempotent producer's keys, headers and nulls come back, in every compression", async () => {
    interface Facts {
      readonly sent: readonly (readonly [number, number])[];
      readonly read: readonly ReadRecord[];
    }
    const { sent, read } = await run<Facts>("records");
    expectPackedRecords(sent, read);
  });

  test("offsets are found by time, and go with the records that are deleted", async () => {
    expect(await run("offsets")).toEqual({
      ends: [
        [0, 5],
        [0, 0],
      ],
      after11: [[2, 20], null],
      after50: [null, null],
      from3: ["value 3", "value 4"],
      deleted: 2,
      endsAfter: [
        [2, 5],
        [0, 0],
      ],
      from2: ["value 2", "value 3", "value 4"],
      tooEarly: "OFFSET_OUT_OF_RANGE",
      beyond: "OFFSET_OUT_OF_RANGE",
      deletedAll: 5,
      emptied: [
        [5, 5],
        [0, 0],
      ],
    });
  });

  test("two members share the partitions, commit, and who stays takes over", async () => {
    const facts = await run<SharingFacts & Record<string, unknown>>("members");
    expectSharing(facts, "eager");
    const members = [facts.firstOfTwo.own, facts.secondOfTwo.own]
      .sort((a, b) => a[0]! - b[0]!)
      .map((own) => ["aio", "/127.0.0.1", ["shared"], [["shared", own]]]);
    expect(facts).toMatchObject({
      described: { state: "Stable", type: "consumer", protocol: "roundrobin", members },
      position: 3,
      committed: { "0": [3, "read"], "1": [3, "read"], "2": [3, "read"], "3": [3, "read"] },
      afterwards: { state: "Empty", members: [] },
    });
  });

  test("is told at once that transactions are not served", async () => {
    const transactions = "TRANSACTIONAL_ID_AUTHORIZATION_FAILED";
    expect(await run("unserved")).toEqual({ transactions });
  });
});
