import fc from "fast-check";
import { expect, test } from "vitest";
import { ZERO_UUID } from "../../../src/base/ids.ts";
import { KafkaError } from "../../../src/protocol/errors.ts";
import { type ClassicGroup, metadataOf } from "../../../src/server/coordinator/classic-group.ts";
import type { GroupCommand } from "../../../src/server/coordinator/group-commands.ts";
import { GroupCore } from "../../../src/server/coordinator/group-core.ts";
import type { GroupsState } from "../../../src/server/coordinator/group-state.ts";
import { timerKey } from "../../../src/server/coordinator/group-turn.ts";
import { Timeline } from "../../../src/server/coordinator/timeline.ts";
import { OPTIONS } from "./support/group-world.ts";

const GROUPS = ["first", "second"];
const INSTANCES = [null, null, null, "static-1", "static-2"];

/** What a test may do; the numbers choose among what there is. */
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom(
      "join",
      "join",
      "rejoin",
      "rejoin",
      "rejoin",
      "sync",
      "sync",
      "syncAsLeader",
      "syncAsLeader",
      "endJoin",
      "heartbeat",
      "leave",
      "commit",
      "commitOutside",
      "fireTimer",
      "fireTimer",
      "deleteTopics",
      "deleteGroup",
      "deleteOffsets",
      "expireOffsets",
    ),
    group: fc.nat(GROUPS.length - 1),
    who: fc.nat(9),
    what: fc.nat(9),
    elapsedMs: fc.constantFrom(0, 10, 5_000, 3_600_000),
    /** The log refuses: all is as before. */
    isRefused: fc.boolean(),
    version: fc.constantFrom(0, 3, 4, 9),
  }),
  { minLength: 20, maxLength: 150, size: "max" },
);
type Step = (typeof steps extends fc.Arbitrary<infer T> ? T : never)[0];

/** What somebody waits for an answer of; the rest are deadlines and the broker's own. */
const ASKED = new Set([
  "join",
  "sync",
  "heartbeat",
  "leave",
  "commit",
  "deleteGroup",
  "deleteOffsets",
]);

/** The core driven step by step, with the tickets, timers and records that it gives out. */
class Driver {
  readonly core = new GroupCore({ ...OPTIONS, maxSize: 4, offsetsRetentionMs: 7_200_000 });
  readonly timeline = new Timeline();
  readonly state: GroupsState = this.core.createState(this.timeline);
  /** Knows nothing but what was written. */
  readonly follower: GroupsState = this.core.createState(new Timeline());
  readonly #timers = new Map<string, GroupCommand>();
  readonly #open = new Set<number>();
  #nowMs = 1_700_000_000_000;
  #ticket = 0;
  #serial = 0;

  run(step: Step): void {
    this.#nowMs += step.elapsedMs;
    const command = this.#commandOf(step);
    if (command === null) return;
    const before = this.timeline.position;
    const isRefused = step.isRefused && step.what > 6;
    const snapshot = isRefused ? describe(this.state) : "";
    this.timeline.advance(before + 1);
    this.#ticket += 1;
    try {
      const outcome = this.core.handle(this.state, command, {
        nowMs: this.#nowMs,
        ticket: this.#ticket,
      });
      const encoded = outcome.records.map((record) => this.core.encode(record));
      if (isRefused) {
        this.timeline.rollback(before);
        expect(describe(this.state)).toBe(snapshot);
        return;
      }
      for (const { key, value } of encoded) {
        this.core.replay(this.follower, this.core.decode(key, value)!);
      }
      if (ASKED.has(command.kind)) this.#open.add(this.#ticket);
      for (const { ticket } of outcome.replies) this.#answer(ticket);
      for (const change of outcome.timers) {
        if (change.kind === "schedule") this.#timers.set(change.key, change.command);
        else this.#timers.delete(change.key);
      }
    } catch (error) {
      expect(error).toBeInstanceOf(KafkaError);
      this.timeline.rollback(before);
    }
  }

  #answer(ticket: number): void {
    expect(this.#open.delete(ticket), "a request is answered once").toBe(true);
  }

  /** Every request that is not answered is held by exactly one member. */
  checkTickets(): void {
    const held: number[] = [];
    for (const [, group] of this.state.groups.entries()) {
      for (const { joinTicket, syncTicket } of group.members.values()) {
        if (joinTicket !== null) held.push(joinTicket);
        if (syncTicket !== null) held.push(syncTicket);
      }
    }
    expect(held.sort((a, b) => a - b)).toEqual([...this.#open].sort((a, b) => a - b));
  }

  #commandOf(step: Step): GroupCommand | null {
    const groupId = GROUPS[step.group]!;
    const group = this.state.groups.get(groupId);
    const ids = [...(group?.members.keys() ?? []), ...(group?.pendingMembers ?? [])];
    const memberId = ids[step.who % Math.max(1, ids.length)] ?? "stranger";
    const groupInstanceId = group?.members.get(memberId)?.groupInstanceId ?? null;
    const generationId = (group?.generationId ?? 1) - (step.what === 0 ? 1 : 0);
    const member = { groupId, memberId, groupInstanceId, generationId };
    switch (step.kind) {
      case "join":
      case "rejoin": {
        const isNew = step.kind === "join";
        this.#serial += 1;
        return {
          kind: "join",
          request: {
            ...member,
            memberId: isNew ? "" : memberId,
            groupInstanceId: isNew ? INSTANCES[step.who % INSTANCES.length]! : groupInstanceId,
            sessionTimeoutMs: 10_000,
            rebalanceTimeoutMs: 60_000,
            protocolType: "consumer",
            protocols: [
              { name: "range", metadata: Buffer.from([0, 0, 0, 0, 0, 0, step.what % 2]) },
              ...(step.what > 4 ? [{ name: "sticky", metadata: Buffer.alloc(0) }] : []),
            ],
            reason: null,
          },
          caller: { apiVersion: step.version, clientId: "client", clientHost: "/10.0.0.7" },
          memberIdSuffix: String(this.#serial),
        };
      }
      case "endJoin":
        return this.#timers.get(timerKey("join", groupId)) ?? null;
      case "sync":
      case "syncAsLeader":
        return {
          kind: "sync",
          request: {
            ...(step.kind === "sync" ? member : { ...member, ...leaderOf(group) }),
            protocolType: null,
            protocolName: null,
            assignments: ids.map((id) => ({
              memberId: id,
              assignment: Buffer.from(`${id}@${generationId}`),
            })),
          },
        };
      case "heartbeat":
        return { kind: "heartbeat", request: member };
      case "leave":
        return { kind: "leave", groupId, members: [{ memberId, groupInstanceId, reason: null }] };
      case "commit":
      case "commitOutside":
        return {
          kind: "commit",
          apiVersion: 9,
          ...member,
          ...(step.kind === "commitOutside"
            ? { memberId: "", generationId: -1, groupInstanceId: null }
            : {}),
          retentionMs: step.what === 9 ? 3_600_000n : null,
          offsets: [
            {
              topic: `topic-${step.who % 3}`,
              topicId: ZERO_UUID,
              partitionIndex: step.what % 2,
              offset: step.what,
              leaderEpoch: -1,
              metadata: "",
            },
          ],
        };
      case "fireTimer": {
        const keys = [...this.#timers.keys()];
        const key = keys[step.who % Math.max(1, keys.length)];
        const command = key === undefined ? null : this.#timers.get(key)!;
        if (key !== undefined && !step.isRefused) this.#timers.delete(key);
        return command;
      }
      case "deleteTopics":
        return { kind: "deleteTopics", topics: new Set([`topic-${step.who % 3}`]), round: null };
      case "deleteGroup":
        return { kind: "deleteGroup", groupId };
      case "deleteOffsets": {
        const partition = { topic: `topic-${step.who % 3}`, partitionIndex: step.what % 2 };
        return { kind: "deleteOffsets", groupId, partitions: [partition] };
      }
      case "expireOffsets":
        return { kind: "expireOffsets", round: null };
      default:
        return null;
    }
  }
}

function leaderOf(group: ClassicGroup | undefined) {
  const memberId = group?.leaderId ?? "nobody";
  return { memberId, groupInstanceId: group?.members.get(memberId)?.groupInstanceId ?? null };
}

function offsetsOf(state: GroupsState): string[] {
  return [...state.offsets.entries()]
    .flatMap(([groupId, topics]) =>
      [...topics.entries()].flatMap(([topic, partitions]) =>
        [...partitions.entries()].map(([partition, value]) =>
          text({ groupId, topic, partition, value }),
        ),
      ),
    )
    .sort();
}

/** What of a group a failover keeps. */
function durable(group: ClassicGroup): string {
  return text({
    state: group.state,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leaderId: group.leaderId,
    stateTimestampMs: group.stateTimestampMs,
    members: [...group.members.values()].map((member) => ({
      ...member,
      protocols: metadataOf(member, group.protocolName).toString("hex"),
      assignment: member.assignment.toString("hex"),
    })),
  });
}

function describe(state: GroupsState): string {
  const groups = [...state.groups.entries()].map(([id, group]) =>
    text({
      id,
      ...group,
      members: [...group.members.values()],
      staticMembers: [...group.staticMembers],
      pendingMembers: [...group.pendingMembers],
      pendingSyncMembers: [...group.pendingSyncMembers],
      protocolCounts: [...group.protocolCounts],
    }),
  );
  return [...groups.sort(), ...offsetsOf(state)].join("\n");
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "bigint" ? `${inner}n` : inner,
  );
}

/** What must hold of every group after every command. */
function checkGroup(group: ClassicGroup): void {
  const members = [...group.members.values()];
  expect(group.awaitingJoinCount).toBe(
    members.filter(({ joinTicket }) => joinTicket !== null).length,
  );
  expect(group.leaderId === null).toBe(members.length === 0);
  if (group.leaderId !== null) expect(group.members.has(group.leaderId)).toBe(true);
  if (group.state === "Empty") expect(members).toHaveLength(0);
  if (group.state === "Stable" || group.state === "CompletingRebalance") {
    expect(members.length).toBeGreaterThan(0);
    expect(group.protocolCounts.get(group.protocolName!)).toBe(members.length);
  }
  for (const id of group.pendingMembers) expect(group.members.has(id)).toBe(false);
  for (const id of group.pendingSyncMembers) expect(group.members.has(id)).toBe(true);
  for (const id of group.staticMembers.values()) expect(group.members.has(id)).toBe(true);
}

/** What a failover now would find. */
function checkFailover({ state, follower }: Driver): void {
  expect(offsetsOf(follower)).toEqual(offsetsOf(state));
  expect([...follower.groups.keys()].sort()).toEqual([...state.groups.keys()].sort());
  for (const [groupId, group] of state.groups.entries()) {
    const found = follower.groups.get(groupId)!;
    checkGroup(found);
    expect(found.generationId).toBeLessThanOrEqual(group.generationId);
    if (group.state !== "Stable" && group.state !== "Empty") continue;
    expect(durable(found)).toBe(durable(group));
  }
}

test("whatever happens, a failover finds what the log says, and nobody is forgotten (G1, G3, G7)", () => {
  const reached = { Empty: 0, PreparingRebalance: 0, CompletingRebalance: 0, Stable: 0 };
  let offsets = 0;
  fc.assert(
    fc.property(steps, (sequence) => {
      const driver = new Driver();
      const generations = new Map<string, number>();
      for (const step of sequence) {
        driver.run(step);
        driver.checkTickets();
        checkFailover(driver);
        offsets += offsetsOf(driver.state).length;
        for (const groupId of GROUPS) {
          const group = driver.state.groups.get(groupId);
          if (group === undefined) {
            generations.delete(groupId);
            continue;
          }
          checkGroup(group);
          reached[group.state] += 1;
          expect(group.generationId).toBeGreaterThanOrEqual(generations.get(groupId) ?? 0);
          generations.set(groupId, group.generationId);
        }
      }
    }),
    { numRuns: 100 },
  );
  // The steps reach what the test is about.
  expect(Math.min(...Object.values(reached))).toBeGreaterThan(100);
  expect(offsets).toBeGreaterThan(100);
});
