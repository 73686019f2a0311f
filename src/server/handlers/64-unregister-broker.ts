import { APIS } from "../../protocol/apis.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { UNREGISTER_BROKER } from "../metadata/broker-commands.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";
import { QUORUM_TIMEOUT_MS } from "./raft-voters.ts";

// UnregisterBroker, version 0 (KIP-500): the cluster forgets a broker that will not come back.

export function unregisterBrokerHandler({
  metadata,
}: {
  readonly metadata: Pick<MetadataManager, "execute">;
}): TypedApiHandler<typeof APIS.unregisterBroker.request, typeof APIS.unregisterBroker.response> {
  return handlerFor(APIS.unregisterBroker, (request) =>
    metadata.execute(UNREGISTER_BROKER, request, QUORUM_TIMEOUT_MS),
  );
}
