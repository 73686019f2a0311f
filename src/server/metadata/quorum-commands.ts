import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { DescribeQuorumResponse } from "../../protocol/messages/55-describe-quorum.ts";
import type { ReplicaKey, VoterChange } from "../../raft/core/voters.ts";
import type { QuorumDescription } from "../../raft/raft-client.ts";
import { command, type ControllerCommand, type DecisionContext } from "./controller-commands.ts";
import type { ControllerResult, ItemError } from "./controller.ts";
import { CLUSTER_METADATA_TOPIC } from "./topic-names.ts";

type ReplicaState =
  DescribeQuorumResponse["topics"][number]["partitions"][number]["currentVoters"][number];

/** Changes nothing; asked of the active controller, since only the leader knows how far the others are. */
export const DESCRIBE_QUORUM = command(APIS.describeQuorum, {
  decide: (_request, context) => () => ({ records: [], answer: description(context) }),
  refuse: (_request, _response, error) => ({ ...told(error), topics: [], nodes: [] }),
});

function description(context: DecisionContext): DescribeQuorumResponse {
  const quorum = context.quorum();
  const { voters, leaderEpoch, highWatermark } = quorum;
  const isVoter = ({ nodeId, directoryId }: ReplicaKey): boolean =>
    voters.some((voter) => voter.nodeId === nodeId && voter.directoryId === directoryId);
  const partition = {
    partitionIndex: 0,
    ...told(),
    leaderId: context.nodeId,
    leaderEpoch,
    highWatermark,
    currentVoters: voters.map((voter) => replicaState(quorum, voter, context)),
    observers: quorum.replicas
      .filter((replica) => !isVoter(replica))
      .map((replica) => replicaState(quorum, replica, context)),
  };
  return {
    ...told(),
    topics: [{ topicName: CLUSTER_METADATA_TOPIC, partitions: [partition] }],
    nodes: voters.map(({ nodeId, endpoints }) => ({ nodeId, listeners: [...endpoints] })),
  };
}

/** Kafka's answer has times of the wall clock, and -1 for what has never been. */
function replicaState(
  { replicas, endOffset }: QuorumDescription,
  { nodeId, directoryId }: ReplicaKey,
  context: DecisionContext,
): ReplicaState {
  const id = { replicaId: nodeId, replicaDirectoryId: directoryId };
  const { nowMs, wallMs } = context;
  const wall = wallMs();
  if (nodeId === context.nodeId) {
    // A leader has its own log as it is now.
    const times = { lastFetchTimestamp: wall, lastCaughtUpTimestamp: wall };
    return { ...id, logEndOffset: endOffset, ...times };
  }
  const progress = replicas.find(
    (each) => each.nodeId === nodeId && each.directoryId === directoryId,
  );
  const now = nowMs();
  const timeOf = (ms = -Infinity): number =>
    Number.isFinite(ms) ? Math.round(wall - (now - ms)) : -1;
  return {
    ...id,
    logEndOffset: progress?.endOffset ?? -1,
    lastFetchTimestamp: timeOf(progress?.fetchedAtMs),
    lastCaughtUpTimestamp: timeOf(progress?.caughtUpAtMs),
  };
}

/** The quorum refuses, by throwing, what it cannot do now (RaftClient.changeVoters). */
export const ADD_RAFT_VOTER = command(APIS.addRaftVoter, {
  decide: ({ voterId, voterDirectoryId, listeners }) => {
    const voter = { nodeId: voterId, directoryId: voterDirectoryId, endpoints: listeners };
    return () => changed({ kind: "add", voter });
  },
  refuse: (_request, _response, error) => ({ throttleTimeMs: 0, ...told(error) }),
});

export const REMOVE_RAFT_VOTER = command(APIS.removeRaftVoter, {
  decide: ({ voterId, voterDirectoryId }) => {
    const voter = { nodeId: voterId, directoryId: voterDirectoryId };
    return () => changed({ kind: "remove", voter });
  },
  refuse: (_request, _response, error) => ({ throttleTimeMs: 0, ...told(error) }),
});

function changed(voterChange: VoterChange): ControllerResult<{
  throttleTimeMs: number;
  errorCode: number;
  errorMessage: string | null;
}> {
  return { records: [], voterChange, answer: { throttleTimeMs: 0, ...told() } };
}

function told(error?: ItemError) {
  return {
    errorCode: errorCode(error?.name ?? "NONE"),
    errorMessage: error?.message ?? null,
  };
}

/** What is asked about the quorum itself. */
export const QUORUM_COMMANDS: readonly ControllerCommand[] = [
  DESCRIBE_QUORUM,
  ADD_RAFT_VOTER,
  REMOVE_RAFT_VOTER,
];
