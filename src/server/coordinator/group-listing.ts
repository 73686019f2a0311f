import {
  type ClassicGroup,
  EMPTY_ASSIGNMENT,
  type GroupState,
  metadataOf,
} from "./classic-group.ts";
import type { GroupsState } from "./group-state.ts";

/** Kafka's name for groups of this protocol, beside "consumer", "share" and "streams". */
const GROUP_TYPE = "classic";

/** Which groups are wanted; without entries: all. Upper and lower case are the same. */
export interface GroupFilter {
  readonly states: readonly string[];
  readonly types: readonly string[];
}

export interface GroupListing {
  readonly groupId: string;
  /** Empty for a simple group. */
  readonly protocolType: string;
  readonly groupState: GroupState;
  readonly groupType: string;
}

export interface GroupDescription {
  readonly groupState: GroupState;
  readonly protocolType: string;
  /** Empty unless the group is stable, as are the members' metadata. */
  readonly protocolData: string;
  readonly members: readonly DescribedMember[];
}

export interface DescribedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly memberMetadata: Buffer;
  readonly memberAssignment: Buffer;
}

/** ListGroups, for one shard. */
export function listGroups(state: GroupsState, filter: GroupFilter): readonly GroupListing[] {
  const states = new Set(filter.states.map((name) => name.trim().toLowerCase()));
  const types = new Set(filter.types.map((name) => name.trim().toLowerCase()));
  if (types.size > 0 && !types.has(GROUP_TYPE)) return [];
  const found: GroupListing[] = [];
  for (const [groupId, group] of state.groups.committedEntries()) {
    if (states.size > 0 && !states.has(group.state.toLowerCase())) continue;
    found.push({
      groupId,
      protocolType: group.protocolType ?? "",
      groupState: group.state,
      groupType: GROUP_TYPE,
    });
  }
  return found;
}

/** DescribeGroups, for one group; null: there is none. */
export function describeGroup(state: GroupsState, groupId: string): GroupDescription | null {
  const group = state.groups.getCommitted(groupId);
  if (group === undefined) return null;
  const isStable = group.state === "Stable";
  return {
    groupState: group.state,
    protocolType: group.protocolType ?? "",
    protocolData: isStable ? (group.protocolName ?? "") : "",
    members: describeMembers(group, isStable),
  };
}

function describeMembers(group: ClassicGroup, isStable: boolean): readonly DescribedMember[] {
  return [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    memberMetadata: isStable ? metadataOf(member, group.protocolName) : EMPTY_ASSIGNMENT,
    memberAssignment: member.assignment,
  }));
}
