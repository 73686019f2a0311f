import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { GroupCoordinator } from "../coordinator/group-coordinator.ts";
import type { TopicLookup } from "../coordinator/topic-lookup.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * OffsetDelete 0: removes what a group has committed, each partition with its own error. Partitions that
 * do not exist answer UNKNOWN_TOPIC_OR_PARTITION; an error of the group stands alone, without partitions.
 */
export function offsetDeleteHandler(deps: {
  readonly coordinator: GroupCoordinator;
  readonly topics: TopicLookup;
}): TypedApiHandler<typeof APIS.offsetDelete.request, typeof APIS.offsetDelete.response> {
  return handlerFor(APIS.offsetDelete, async ({ groupId, topics }) => {
    const plan = topics.map(({ name, partitions }) => {
      const count = deps.topics.partitionCount(name) ?? 0;
      return partitions.map(({ partitionIndex }) => ({
        topic: name,
        partitionIndex,
        isKnown: partitionIndex >= 0 && partitionIndex < count,
      }));
    });
    const known = plan.flat().filter(({ isKnown }) => isKnown);
    const answer = await deps.coordinator.deleteOffsets(groupId, known);
    if (answer.error !== null) {
      return { throttleTimeMs: 0, errorCode: errorCode(answer.error), topics: [] };
    }
    const codes = answer.value.values();
    const unknown = errorCode("UNKNOWN_TOPIC_OR_PARTITION");
    const answered = plan.map((partitions, index) => ({
      name: topics[index]?.name ?? "",
      partitions: partitions.map(({ partitionIndex, isKnown }) => ({
        partitionIndex,
        errorCode: isKnown ? (codes.next().value ?? unknown) : unknown,
      })),
    }));
    return { throttleTimeMs: 0, errorCode: 0, topics: answered };
  });
}
