import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import type { ConfigAdmin } from "../config-admin.ts";

// DescribeConfigs, versions 1-4: 3 added each key's type and its documentation. For topics, this broker (by
// its id) and the cluster's defaults (by no id), its loggers, groups and metrics subscriptions. No keys
// (null, or none) asks for all.

export function describeConfigsHandler(dependencies: {
  readonly configAdmin: Pick<ConfigAdmin, "describe">;
}): TypedApiHandler<typeof APIS.describeConfigs.request, typeof APIS.describeConfigs.response> {
  return handlerFor(APIS.describeConfigs, async (request) => ({
    throttleTimeMs: 0,
    results: await dependencies.configAdmin.describe(request),
  }));
}
