import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { ConfigAdmin } from "../config-admin.ts";

// AlterConfigs, versions 0-2: the whole of a resource's settings, so that what is not named goes. Clients
// use IncrementalAlterConfigs where they can. Answered when it holds on this node.

export function alterConfigsHandler(dependencies: {
  readonly configAdmin: Pick<ConfigAdmin, "replace">;
}): TypedApiHandler<typeof APIS.alterConfigs.request, typeof APIS.alterConfigs.response> {
  return handlerFor(APIS.alterConfigs, async (request) => ({
    throttleTimeMs: 0,
    responses: await dependencies.configAdmin.replace(request),
  }));
}
