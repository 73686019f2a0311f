import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { factsOf } from "../support/programs.ts";
import { PEERS_FOLDER } from "../support/python.ts";
import { sharedBroker } from "../support/shared-broker.ts";
import { expectPackedRecords, type ReadRecord } from "./packed-records.ts";
import { expectSharing, type SharingFacts } from "./sharing.ts";

/** Built from franz-go/ by install.sh. */
const PROGRAM = join(PEERS_FOLDER, "compat-franz-go");
const TOO_OLD = expect.stringContaining("broker is too old") as unknown;

describe("franz-go and its admin client", () => {
  const broker = sharedBroker();

  const run = <T>(scenario: string) =>
    factsOf<T>(PROGRAM, [broker.bootstrap, scenario, ...broker.logDirectories]);

  test("describes the cluster and finds coordinators", async () => {
    const coordinator = { node: 1, port: broker.port, error: "" };
    expect(await run("cluster")).toEqual({
      brokers: [{ id: 1, host: "127.0.0.1", port: broker.port }],
      controller: 1,
      cluster: expect.stringMatching(/^[\w-]{22}$/) as unknown,
      features: {
        "eligible.leader.replicas.version": 1,
        "kraft.version": 1,
        "metadata.version": 30,
      },
      coordinators: [
        { group: "other", ...coordinator },
        { group: "some", ...coordinator },
      ],
    });
  });

  test("creates, widens and deletes topics", async () => {
    const created = (topic: string, partitions: number, policy: string) => ({
      ...{ topic, partitions, policy, error: "", message: "", replicas: 1, hasId: true },
    });
    const refused = (topic: string, error: string, message: string) => ({
      ...{ topic, error, message: expect.stringContaining(message) as unknown },
      ...{ partitions: -1, replicas: -1, hasId: false, policy: "UNKNOWN " },
    });
    const compact = "DYNAMIC_TOPIC_CONFIG compact";
    expect(await run("topics")).toEqual({
      validated: [created("made", 3, compact)],
      afterValidation: {},
      created: [created("made", 3, compact), created("more", 3, compact)],
      again: [refused("made", "TOPIC_ALREADY_EXISTS", "'made' already exists")],
      tooManyReplicas: [refused("wide", "INVALID_REPLICATION_FACTOR", "only 1 broker(s)")],
      byDefault: [created("usual", 1, "DEFAULT_CONFIG delete")],
      afterCreation: { made: 3, more: 3, usual: 1 },
      validatedPartitions: { made: "" },
      moreFound: { made: "", more: "" },
      set: { more: "" },
      fewer: { made: "INVALID_PARTITIONS" },
      afterPartitions: { made: 5, more: 6, usual: 1 },
      operations: [
        ...["ALTER", "ALTER_CONFIGS", "CREATE", "DELETE", "DESCRIBE"],
        ...["DESCRIBE_CONFIGS", "READ", "WRITE"],
      ],
      deleted: { made: "", usual: "", "never-made": "UNKNOWN_TOPIC_OR_PARTITION" },
      afterDeletion: { more: 6 },
    });
  });

  test("alters the settings of topics, of a broker and of all brokers", async () => {
    // The value, and where it and those that it hides come from.
    const byDefault = {
      "cleanup.policy": "delete from DEFAULT_CONFIG delete",
      "retention.ms": "604800000 from ",
      "segment.bytes": "1073741824 from DEFAULT_CONFIG 1073741824",
    };
    const small = {
      "segment.bytes": "1048576 from DYNAMIC_TOPIC_CONFIG 1048576, DEFAULT_CONFIG 1073741824",
    };
    const policy = (value: string) =>
      `${value} from DYNAMIC_TOPIC_CONFIG ${value}, DEFAULT_CONFIG delete`;
    const ofCluster = "DYNAMIC_DEFAULT_BROKER_CONFIG 777777777, DEFAULT_CONFIG 168";
    expect(await run("configs")).toEqual({
      before: byDefault,
      validated: ["set", "none UNKNOWN_TOPIC_OR_PARTITION"],
      afterValidation: byDefault,
      set: ["set"],
      afterSetting: {
        ...byDefault,
        "cleanup.policy": policy("delete,compact"),
        "retention.ms": "604800001 from DYNAMIC_TOPIC_CONFIG 604800001",
      },
      subtracted: ["set"],
      deleted: ["set"],
      afterDeletion: { ...byDefault, "cleanup.policy": policy("compact") },
      bad: ["set INVALID_CONFIG"],
      replaced: ["set"],
      afterReplacement: { ...byDefault, ...small },
      ofAllBrokers: [""],
      afterAllBrokers: { ...byDefault, ...small, "retention.ms": `777777777 from ${ofCluster}` },
      ofBroker: ["1"],
      afterBroker: {
        ...{ ...byDefault, ...small },
        "retention.ms": `888888888 from DYNAMIC_BROKER_CONFIG 888888888, ${ofCluster}`,
      },
      dynamicOfBroker: ["log.retention.ms=888888888"],
      resources: expect.arrayContaining(["BROKER 1", "BROKER_LOGGER 1", "TOPIC set"]) as unknown,
    });
  });

  test("an idempotent producer's keys, headers and nulls come back, in every compression", async () => {
    interface Facts {
      readonly sent: readonly (readonly [number, number])[];
      readonly read: readonly (ReadRecord & { readonly leaderEpoch: number })[];
    }
    const { sent, read } = await run<Facts>("records");
    expectPackedRecords(sent, read);
    expect(new Set(read.map(({ leaderEpoch }) => leaderEpoch))).toEqual(new Set([0]));
  });

  test("lists offsets by every time and epoch, and deletes records", async () => {
    const at = (offset: number, after = -1) => ({ offset, after, leaderEpoch: 0, error: "" });
    const none = { offset: -1, after: -1, leaderEpoch: -1, error: "" };
    expect(await run("offsets")).toEqual({
      start: [at(0), at(0)],
      end: [at(5), at(0)],
      stable: [at(5), at(0)],
      local: [at(0), at(0)],
      remote: [none, none],
      latestTime: [at(2, 50), none],
      // Where nothing is as late, kadm gives the end.
      after5: [at(1, 10), at(0)],
      epoch0: { epoch: 0, end: 5, error: "" },
      epoch7: { epoch: -1, end: -1, error: "" },
      deleted: { start: 2, error: "" },
      startAfter: [at(2), at(0)],
      beyond: { start: -1, error: "OFFSET_OUT_OF_RANGE" },
      deletedAll: { start: 5, error: "" },
      emptied: [at(5), at(0)],
    });
  });

  test("moves a partition to the other log directory, and knows who produced to it", async () => {
    const facts = await run<Record<"from" | "to", string> & Record<string, unknown>>("directories");
    expect([facts.from, facts.to].sort()).toEqual([...broker.logDirectories].sort());
    const place = { isFuture: false, lag: 0, hasRoom: true };
    expect(facts).toMatchObject({
      before: place,
      answers: ["moved-0 "],
      after: { ...place, size: (facts["before"] as { size: number }).size },
      producers: [{ epoch: 0, lastSequence: 2, transaction: -1 }],
      elections: ["moved-0 ELECTION_NOT_NEEDED"],
      values: ["before", "the move", "after"],
    });
  });

  test("cooperative members share the partitions, and keep reading what they keep", async () => {
    const facts = await run<SharingFacts & Record<string, unknown>>("members");
    expectSharing(facts, "cooperative");
    const members = [facts.firstOfTwo.own, facts.secondOfTwo.own]
      .map((own) => `- franz shared[${own.join(" ")}]`)
      .sort();
    expect(facts).toMatchObject({
      described: { state: "Stable", protocol: "cooperative-sticky", type: "consumer", members },
      committed: { "0": 3, "1": 3, "2": 3, "3": 3 },
      afterwards: { state: "Empty", members: [] },
    });
  });

  test("a static member that comes back has its partitions, until it is removed", async () => {
    const stable = { error: "", state: "Stable", type: "consumer", protocol: "range" };
    const both = { ...stable, members: ["one franz settled[0 1]", "two franz settled[2 3]"] };
    expect(await run("static")).toEqual({
      together: both,
      second: [2, 3],
      away: both,
      back: [2, 3],
      firstHeardOfIt: false,
      removed: ["three UNKNOWN_MEMBER_ID", "two"],
      alone: { ...stable, members: ["one franz settled[0 1 2 3]"] },
    });
  });

  test("commits, fetches and deletes the offsets of groups, by name and by topic id", async () => {
    const facts = await run<Record<string, readonly string[]>>("groups");
    const ofThis = (list: string) => facts[list]!.filter((group) => /^(busy|quiet) /.test(group));
    expect(ofThis("listed")).toEqual(["busy Stable consumer", "quiet Empty "]);
    expect(ofThis("empty")).toEqual(["quiet Empty "]);
    expect(ofThis("left")).toEqual(["busy Empty consumer"]);
    expect(facts).toMatchObject({
      committed: { "0": 1, "1": 3 },
      ...{ metadata: "noted", epoch: 0, unknownGroup: {} },
      committedById: { "0": 1, "1": 2 },
      fetchedById: { "0": 1, "1": 2 },
      ...{ lag: { "0": 2, "1": 1 }, lagState: "Empty", total: 3 },
      consumer: [],
      nobody: { state: "Dead", error: "GROUP_ID_NOT_FOUND" },
      offsetsInUse: { "0": "GROUP_SUBSCRIBED_TO_TOPIC" },
      offsetsDeleted: { "0": "" },
      deleted: { busy: "NON_EMPTY_GROUP", nobody: "GROUP_ID_NOT_FOUND", quiet: "" },
    });
    expect(facts["classic"]).toContain("busy Stable consumer");
    expect([facts["unknownGroup"], facts["offsetsLeft"]]).toEqual([{}, { "1": 2 }]);
  });

  test("is told at once what is not served", async () => {
    expect(await run("unserved")).toEqual({
      errors: {
        ...{ acls: TOO_OLD, quotas: TOO_OLD, scram: TOO_OLD },
        transactions: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
      },
      brokersAfter: 1,
    });
  });
});
