import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { ConfigAdmin } from "../config-admin.ts";

// IncrementalAlterConfigs, versions 0-1 (KIP-339): sets, deletes, appends to or subtracts from single
// settings; a resource's changes are made all or not at all. Answered when they hold on this node.

export function incrementalAlterConfigsHandler(dependencies: {
  readonly configAdmin: Pick<ConfigAdmin, "alterIncrementally">;
}): TypedApiHandler<
  typeof APIS.incrementalAlterConfigs.request,
  typeof APIS.incrementalAlterConfigs.response
> {
  return handlerFor(APIS.incrementalAlterConfigs, async (request) => ({
    throttleTimeMs: 0,
    responses: await dependencies.configAdmin.alterIncrementally(request),
  }));
}
