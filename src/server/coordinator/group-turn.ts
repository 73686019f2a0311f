import type { KafkaError } from "../../protocol/errors.ts";
import type { JoinGroupResponse } from "../../protocol/messages/11-join-group.ts";
import type { SyncGroupResponse } from "../../protocol/messages/14-sync-group.ts";
import { type ErrorName, errorCode } from "../../protocol/errors.ts";
import { EMPTY_ASSIGNMENT, type GroupDraft } from "./classic-group.ts";
import type { HandleContext, Outcome, Reply, TimerChange } from "./core.ts";
import type { GroupCommand } from "./group-commands.ts";
import type { GroupRecord } from "./group-records.ts";

/** Settings of a group, named as Kafka names them. */
export interface GroupOptions {
  /** `group.min.session.timeout.ms` */
  readonly minSessionTimeoutMs: number;
  /** `group.max.session.timeout.ms` */
  readonly maxSessionTimeoutMs: number;
  /** `group.max.size` */
  readonly maxSize: number;
  /** `group.initial.rebalance.delay.ms` */
  readonly initialRebalanceDelayMs: number;
  /** `offset.metadata.max.bytes` */
  readonly offsetMetadataMaxBytes: number;
  /** Largest batch that the topic takes. */
  readonly maxBatchBytes: number;
  /** `offsets.retention.minutes`, in milliseconds. */
  readonly offsetsRetentionMs: number;
  /** `offsets.retention.check.interval.ms` */
  readonly offsetsRetentionCheckIntervalMs: number;
}

type TimerKind = "session" | "join" | "sync";

/** What one command of a group decides, as it comes together. */
export class GroupTurn {
  readonly options: GroupOptions;
  readonly nowMs: number;
  readonly ticket: number | null;
  readonly records: GroupRecord[] = [];
  readonly #replies: Reply[] = [];
  readonly #timers: TimerChange<GroupCommand>[] = [];
  onRefused: ((error: KafkaError) => GroupCommand) | null = null;

  constructor(options: GroupOptions, context: HandleContext) {
    this.options = options;
    this.nowMs = context.nowMs;
    this.ticket = context.ticket;
  }

  outcome(): Outcome<GroupCommand, GroupRecord> {
    return {
      records: this.records,
      replies: this.#replies,
      timers: this.#timers,
      onRefused: this.onRefused,
    };
  }

  /** Answers the command itself. */
  reply(response: unknown): void {
    this.replyTo(this.ticket, response);
  }

  replyTo(ticket: number | null, response: unknown): void {
    if (ticket !== null) this.#replies.push({ ticket, response });
  }

  schedule(key: string, delayMs: number, command: GroupCommand): void {
    this.#timers.push({ kind: "schedule", key, delayMs, command });
  }

  cancel(key: string): void {
    this.#timers.push({ kind: "cancel", key });
  }

  /** The member, or the id that was given out, has this long until its next sign of life. */
  renewSession(groupId: string, memberId: string, timeoutMs: number): void {
    this.schedule(timerKey("session", groupId, memberId), timeoutMs, {
      kind: "expireMember",
      groupId,
      memberId,
    });
  }

  /** Takes the member out of the group, and its deadline with it. Requests of it that wait learn so. */
  removeMember(group: GroupDraft, memberId: string): void {
    const member = group.members.get(memberId);
    if (member !== undefined) {
      this.replyTo(member.joinTicket, joinError("", "UNKNOWN_MEMBER_ID"));
      this.replyTo(member.syncTicket, syncError("UNKNOWN_MEMBER_ID"));
    }
    group.remove(memberId);
    this.cancel(timerKey("session", group.groupId, memberId));
  }
}

/** Names a deadline. The length keeps ids with odd characters apart. */
export function timerKey(kind: TimerKind, groupId: string, memberId = ""): string {
  return `${kind}:${groupId.length}:${groupId}:${memberId}`;
}

/** A JoinGroup that is refused. */
export function joinError(memberId: string, error: ErrorName): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error),
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: "",
    skipAssignment: false,
    memberId,
    members: [],
  };
}

/** A SyncGroup that is refused. */
export function syncError(error: ErrorName): SyncGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error),
    protocolType: null,
    protocolName: null,
    assignment: EMPTY_ASSIGNMENT,
  };
}
