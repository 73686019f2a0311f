import { ZERO_UUID } from "../../base/ids.ts";
import { APIS } from "../../protocol/apis.ts";
import { DELETE_TOPICS } from "../metadata/controller-commands.ts";
import { itemError } from "../metadata/controller.ts";
import { refusedDeletion } from "../metadata/delete-topics.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

// DeleteTopics, versions 1-6: 3 added an error of its own for delete.topic.enable=false, 5 messages,
// 6 deletion by id. Answered when the partitions are gone from this node.

export function deleteTopicsHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "execute">;
  readonly isDeletionEnabled: boolean;
}): TypedApiHandler<typeof APIS.deleteTopics.request, typeof APIS.deleteTopics.response> {
  return handlerFor(APIS.deleteTopics, async (request, { apiVersion }) => {
    const references =
      apiVersion >= 6
        ? request.topics
        : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
    if (!dependencies.isDeletionEnabled) {
      const error =
        apiVersion < 3
          ? itemError("INVALID_REQUEST", "Topic deletion is disabled.")
          : itemError("TOPIC_DELETION_DISABLED");
      return { responses: references.map((reference) => refusedDeletion(reference, error)) };
    }
    const deletion = { ...request, topics: references };
    return dependencies.metadata.execute(DELETE_TOPICS, deletion, request.timeoutMs);
  });
}
