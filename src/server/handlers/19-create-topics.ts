import { APIS } from "../../protocol/apis.ts";
import { CREATE_TOPICS } from "../metadata/controller-commands.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

// CreateTopics, versions 2-7: 4 added -1 for the broker's default of partitions and replicas (taken
// from 2 on, as Kafka does), 5 the settings of what was made, 6 quotas, 7 the topic id. Answered when
// the partitions are led here, so that the client's next request finds them.

export function createTopicsHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<typeof APIS.createTopics.request, typeof APIS.createTopics.response> {
  return handlerFor(APIS.createTopics, (request) =>
    dependencies.metadata.execute(CREATE_TOPICS, request, request.timeoutMs),
  );
}
