import { unreachable } from "../../base/assert.ts";
import { GroupDraft } from "./classic-group.ts";
import type { CoordinatorCore, HandleContext, Outcome } from "./core.ts";
import { deleteTopics, expireOffsets, scheduleExpiry } from "./expiry.ts";
import type { GroupCommand, InternalCommand } from "./group-commands.ts";
import { deleteGroup, deleteOffsets } from "./group-deletion.ts";
import { decodeGroupRecord, encodeGroupRecord, type GroupRecord } from "./group-records.ts";
import { GroupsState } from "./group-state.ts";
import { type GroupOptions, GroupTurn } from "./group-turn.ts";
import { joinGroup } from "./join-group.ts";
import { expireMember, heartbeat, leaveGroup } from "./membership.ts";
import { commitOffsets, findOffsets } from "./offsets.ts";
import { completeInitialJoin, completeJoin, prepareRebalance } from "./rebalance.ts";
import { replayGroupRecord } from "./replay.ts";
import type { Timeline } from "./timeline.ts";
import { expirePendingSync, failSync, syncGroup } from "./sync-group.ts";

type GroupOutcome = Outcome<GroupCommand, GroupRecord>;
type DraftCommand = Exclude<InternalCommand, { kind: "expireOffsets" | "deleteTopics" }>;

/** The classic group protocol and committed offsets, as decisions over a shard's state. */
export class GroupCore implements CoordinatorCore<GroupsState, GroupCommand, GroupRecord> {
  readonly #options: GroupOptions;

  constructor(options: GroupOptions) {
    this.#options = options;
  }

  readonly createState = (timeline: Timeline): GroupsState => new GroupsState(timeline);
  readonly replay = replayGroupRecord;
  readonly encode = encodeGroupRecord;
  readonly decode = decodeGroupRecord;

  handle(state: GroupsState, command: GroupCommand, context: HandleContext): GroupOutcome {
    const turn = new GroupTurn(this.#options, context);
    switch (command.kind) {
      case "join":
        joinGroup(state, command, turn);
        break;
      case "sync":
        syncGroup(state, command, turn);
        break;
      case "heartbeat":
        heartbeat(state, command, turn);
        break;
      case "leave":
        leaveGroup(state, command, turn);
        break;
      case "commit":
        commitOffsets(state, command, turn);
        break;
      case "fetch":
        turn.reply(findOffsets(state, command.query, "latest"));
        break;
      case "deleteGroup":
        deleteGroup(state, command, turn);
        break;
      case "deleteOffsets":
        deleteOffsets(state, command, turn);
        break;
      case "expireOffsets":
        expireOffsets(state, command.round, turn);
        break;
      case "deleteTopics":
        deleteTopics(state, command, turn);
        break;
      default:
        changeGroup(state, command, turn);
    }
    return turn.outcome();
  }

  /** Members that were in the log have their session to show themselves. */
  onLoaded(state: GroupsState, nowMs: number): GroupOutcome {
    const turn = new GroupTurn(this.#options, { nowMs, ticket: null });
    for (const [groupId, group] of [...state.groups.entries()]) {
      for (const { memberId, sessionTimeoutMs } of group.members.values()) {
        turn.renewSession(groupId, memberId, sessionTimeoutMs);
      }
      if (group.members.size > this.#options.maxSize) {
        // `group.max.size` was lowered. They rejoin, and so commit first; then the last ones are refused.
        const draft = GroupDraft.of(group);
        prepareRebalance(turn, draft);
        state.groups.set(groupId, draft);
      }
    }
    scheduleExpiry(turn);
    return turn.outcome();
  }
}

/** A deadline, or a refusal of the log. The group may be gone, or past what the command is about. */
function changeGroup(state: GroupsState, command: DraftCommand, turn: GroupTurn): void {
  const existing = state.groups.get(command.groupId);
  if (existing === undefined) return;
  const group = GroupDraft.of(existing);
  switch (command.kind) {
    case "expireMember":
      expireMember(turn, group, command.memberId);
      break;
    case "completeJoin":
      completeJoin(turn, group);
      break;
    case "completeInitialJoin":
      completeInitialJoin(turn, group, command.delayMs, command.remainingMs);
      break;
    case "expirePendingSync":
      expirePendingSync(turn, group, command.generationId);
      break;
    case "syncRefused":
      failSync(turn, group, command.generationId, command.error);
      break;
    default:
      unreachable(command);
  }
  state.groups.set(group.groupId, group);
}
