import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { ELECT_LEADERS } from "../metadata/controller-commands.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";

// ElectLeaders, versions 0-2 (KIP-183, KIP-460): 1 added the kind of election, 0 knows preferred ones
// only. No list means all partitions, of which only those are answered that were elected or could not be.

export function electLeadersHandler(dependencies: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<typeof APIS.electLeaders.request, typeof APIS.electLeaders.response> {
  return handlerFor(APIS.electLeaders, (request) =>
    dependencies.metadata.execute(ELECT_LEADERS, request, request.timeoutMs),
  );
}
