import { APIS, CONTROLLER_APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import { alterPartition } from "./alter-partition.ts";
import { assignReplicasToDirs } from "./assign-replicas.ts";
import { command, type ControllerCommand, withRefusal } from "./controller-commands.ts";
import type { ItemError } from "./controller.ts";
import {
  alterPartitionReassignments,
  listPartitionReassignments,
  type ReassignmentResults,
  refusedReassignments,
} from "./partition-reassignments.ts";

/** From version 3 on, which names the incarnations of the members (KIP-903). */
export const ALTER_PARTITION = command(CONTROLLER_APIS.alterPartition, {
  decide: (wanted, { defaults: { topicConfigs } }) =>
    withRefusal(
      (image) => {
        const { records, answer } = alterPartition(image, wanted, topicConfigs);
        return { records, answer: { throttleTimeMs: 0, errorCode: 0, topics: answer } };
      },
      ({ name }) => ({ throttleTimeMs: 0, errorCode: errorCode(name), topics: [] }),
    ),
  refuse: (_request, _response, { name }) => ({
    throttleTimeMs: 0,
    errorCode: errorCode(name),
    topics: [],
  }),
});

export const ASSIGN_REPLICAS_TO_DIRS = command(CONTROLLER_APIS.assignReplicasToDirs, {
  decide: (wanted, { defaults: { topicConfigs } }) =>
    withRefusal(
      (image) => {
        const { records, answer } = assignReplicasToDirs(image, wanted, topicConfigs);
        return { records, answer: { throttleTimeMs: 0, errorCode: 0, directories: answer } };
      },
      ({ name }) => ({ throttleTimeMs: 0, errorCode: errorCode(name), directories: [] }),
    ),
  refuse: (_request, _response, { name }) => ({
    throttleTimeMs: 0,
    errorCode: errorCode(name),
    directories: [],
  }),
});

export const ALTER_PARTITION_REASSIGNMENTS = command(APIS.alterPartitionReassignments, {
  decide:
    (wanted, { defaults: { topicConfigs } }) =>
    (image) => {
      const decided = alterPartitionReassignments(image, wanted, topicConfigs);
      const { allowReplicationFactorChange } = wanted;
      return { ...decided, answer: reassigned(decided.answer, allowReplicationFactorChange) };
    },
  // What the decision has refused stays refused for its own reason.
  refuse: ({ topics, allowReplicationFactorChange }, response, error) => {
    const results = response?.responses ?? [];
    const all = refusedReassignments(topics, error).map(({ name, partitions }, t) => ({
      name,
      partitions: partitions.map((refused, p) => {
        const own = results[t]?.partitions[p];
        return own === undefined || own.errorCode === 0 ? refused : own;
      }),
    }));
    return reassigned(all, allowReplicationFactorChange);
  },
});

function reassigned(responses: ReassignmentResults, allowReplicationFactorChange: boolean) {
  const none = { throttleTimeMs: 0, errorCode: 0, errorMessage: null };
  return { ...none, allowReplicationFactorChange, responses };
}

/** Changes nothing; asked of the active controller, which knows of those that were just begun. */
export const LIST_PARTITION_REASSIGNMENTS = command(APIS.listPartitionReassignments, {
  decide:
    ({ topics }) =>
    (image) => ({ records: [], answer: listed(listPartitionReassignments(image, topics)) }),
  refuse: (_request, _response, error) => listed([], error),
});

function listed(topics: ReturnType<typeof listPartitionReassignments>, error?: ItemError) {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error?.name ?? "NONE"),
    errorMessage: error?.message ?? null,
    topics,
  };
}

/** What leaders, brokers and operators ask about partitions. */
export const PARTITION_COMMANDS: readonly ControllerCommand[] = [
  ALTER_PARTITION,
  ASSIGN_REPLICAS_TO_DIRS,
  ALTER_PARTITION_REASSIGNMENTS,
  LIST_PARTITION_REASSIGNMENTS,
];
