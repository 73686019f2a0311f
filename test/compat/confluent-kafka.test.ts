import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { factsOf } from "../support/programs.ts";
import { PYTHON } from "../support/python.ts";
import { sharedBroker } from "../support/shared-broker.ts";
import { expectSharing, type SharingFacts } from "./sharing.ts";

const PROGRAM = fileURLToPath(new URL("confluent-kafka/main.py", import.meta.url));
const GROUP_OPERATIONS = ["ALTER_CONFIGS", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS", "READ"];

describe("confluent-kafka (librdkafka)", () => {
  const broker = sharedBroker();

  const run = <T>(scenario: string) =>
    factsOf<T>(PYTHON, ["-B", PROGRAM, broker.bootstrap, scenario]);

  test("describes the cluster", async () => {
    const facts = await run<{ cluster: string }>("cluster");
    expect(facts.cluster).toMatch(/^[\w-]{22}$/);
    expect(facts).toEqual({
      cluster: facts.cluster,
      clusterId: facts.cluster,
      controller: 1,
      nodes: [[1, "127.0.0.1", broker.port]],
      operations: [
        ...["ALTER", "ALTER_CONFIGS", "CLUSTER_ACTION", "CREATE", "DESCRIBE"],
        ...["DESCRIBE_CONFIGS", "IDEMPOTENT_WRITE"],
      ],
    });
  });

  test("creates, describes, widens and deletes topics", async () => {
    const made = {
      ...{ made: "", placed: "", usual: "" },
      wide: "INVALID_REPLICATION_FACTOR",
      "no such name": "TOPIC_EXCEPTION",
    };
    expect(await run("topics")).toEqual({
      validated: made,
      afterValidation: {},
      created: made,
      again: { made: "TOPIC_ALREADY_EXISTS" },
      afterCreation: { made: 3, placed: 2, usual: 1 },
      described: {
        made: {
          partitions: [0, 1, 2].map((partition) => [partition, 1, [1], [1]]),
          isInternal: false,
          id: 22,
        },
        "never-made": "UNKNOWN_TOPIC_OR_PART",
      },
      more: { made: "", "never-made": "UNKNOWN_TOPIC_OR_PART" },
      fewer: { placed: "INVALID_PARTITIONS" },
      afterPartitions: { made: 5, placed: 2, usual: 1 },
      deleted: { made: "", usual: "", "never-made": "UNKNOWN_TOPIC_OR_PART" },
      afterDeletion: { placed: 2 },
    });
  });

  test("describes and alters settings, one by one and as a whole", async () => {
    const byDefault = {
      "cleanup.policy": ["delete", "DEFAULT_CONFIG", true],
      "retention.ms": ["604800000", "DEFAULT_CONFIG", true],
      "segment.bytes": ["1073741824", "DEFAULT_CONFIG", true],
    };
    const ownValue = (value: string) => [value, "DYNAMIC_TOPIC_CONFIG", false];
    expect(await run("configs")).toEqual({
      before: byDefault,
      set: "",
      appended: "",
      afterSetting: {
        ...byDefault,
        "cleanup.policy": ownValue("delete,compact"),
        "retention.ms": ownValue("604800001"),
      },
      deleted: "",
      subtracted: "",
      afterDeletion: { ...byDefault, "cleanup.policy": ownValue("compact") },
      bad: "INVALID_CONFIG",
      unknown: "INVALID_CONFIG",
      replaced: "",
      afterReplacement: { ...byDefault, "segment.bytes": ownValue("1048576") },
      nodeId: ["1", true],
      missing: "UNKNOWN_TOPIC_OR_PART",
    });
  });

  test("lists offsets by every time, deletes records and elects leaders", async () => {
    // Offset and time of partitions 0 and 1; -1 is none.
    const [none, empty] = [
      [-1, -1],
      [0, -1],
    ];
    expect(await run("offsets")).toEqual({
      earliest: [[0, -1], empty],
      latest: [[5, -1], empty],
      stable: [[5, -1], empty],
      latestTime: [[2, 50], none],
      after5: [[1, 10], none],
      after60: [none, none],
      deleted: 2,
      earliestAfter: [[2, -1], empty],
      beyond: "OFFSET_OUT_OF_RANGE",
      noPartition: "_NOENT",
      deletedAll: 5,
      emptied: [[5, -1], empty],
      elected: { "0": "ELECTION_NOT_NEEDED", "7": "UNKNOWN_TOPIC_OR_PART" },
    });
  });

  test("lists, describes, alters and deletes groups and their offsets", async () => {
    const of = { coordinator: 1, type: "CLASSIC", operations: GROUP_OPERATIONS };
    const busy = ["STABLE", "CLASSIC", false];
    const quiet = ["EMPTY", "CLASSIC", true];
    const share = [0, 1].map((partition) => ["worked", partition]);
    expect(await run("groups")).toEqual({
      altered: { "0": "", "1": "" },
      committed: { "0": [3, null], "1": [0, null] },
      // librdkafka's number for none.
      committedOfTwo: { "0": [3, null], "7": [-1001, null] },
      alteredWrongly: { "7": "UNKNOWN_TOPIC_OR_PART" },
      alteredInUse: { "0": "UNKNOWN_MEMBER_ID" },
      listed: { busy, quiet },
      stable: { busy },
      empty: { quiet },
      ofNewProtocol: {},
      described: {
        busy: {
          ...{ ...of, state: "STABLE", assignor: "range" },
          members: [[null, "rd", "/127.0.0.1", share]],
        },
        quiet: { ...of, state: "EMPTY", assignor: "", members: [] },
        nobody: { ...of, state: "DEAD", assignor: "", members: [] },
      },
      deleted: { busy: "NON_EMPTY_GROUP", quiet: "", nobody: "GROUP_ID_NOT_FOUND" },
      committedByMember: { "0": [5, null] },
      left: { busy: ["EMPTY", "CLASSIC", false] },
    });
  });

  test("cooperative members share the partitions, and keep reading what they keep", async () => {
    const facts = await run<SharingFacts & Record<string, unknown>>("cooperative");
    expectSharing(facts, "cooperative");
    const upTo = (offset: number, partitions: readonly number[]) =>
      Object.fromEntries(partitions.map((partition) => [partition, offset]));
    expect(facts).toMatchObject({
      firstCommit: upTo(1, [0, 1, 2, 3]),
      commitOfFirst: upTo(2, facts.firstOfTwo.own),
      commitOfSecond: upTo(2, facts.secondOfTwo.own),
      lastCommit: upTo(3, [0, 1, 2, 3]),
    });
  });

  test("a static member that comes back has its partitions, and nobody else is rebalanced", async () => {
    expect(await run("static")).toEqual({
      first: [0, 1],
      second: [2, 3],
      back: [2, 3],
      firstHeardOfIt: false,
      read: [
        ["0:x", "1:x"],
        ["2:x", "3:x"],
      ],
      committed: [
        { "0": 1, "1": 1 },
        { "2": 1, "3": 1 },
      ],
    });
  });

  test("a static member is fenced by another with its instance id", async () => {
    expect(await run("fenced")).toEqual({
      error: expect.stringContaining("Static consumer fenced by other consumer") as unknown,
      commit: "_FATAL",
      second: { "0": 1 },
    });
  });

  test("is told at once what is not served", async () => {
    expect(await run("unserved")).toEqual({
      transactions: expect.stringContaining("Transactions are not supported") as unknown,
      acls: "_UNSUPPORTED_FEATURE",
      scram: "_UNSUPPORTED_FEATURE",
      brokersAfter: 1,
    });
  });
});
