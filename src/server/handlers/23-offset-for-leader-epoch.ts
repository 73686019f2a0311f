import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type { OffsetForLeaderEpochResponse } from "../../protocol/messages/23-offset-for-leader-epoch.ts";
import { endOfEpoch, UNKNOWN_END } from "../../replica/end-of-epoch.ts";
import type { ReplicaManager } from "../../replica/manager.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

// OffsetForLeaderEpoch, versions 2-4 (KIP-101, KIP-320): where a leader epoch ended, by which consumers
// find out that the log was cut behind their back. 3 added the replica id: everybody is a consumer here,
// whatever it claims. 4 is flexible.

type PartitionAnswer = OffsetForLeaderEpochResponse["topics"][number]["partitions"][number];

export function offsetForLeaderEpochHandler({
  replicas,
}: {
  readonly replicas: ReplicaManager;
}): TypedApiHandler<
  typeof APIS.offsetForLeaderEpoch.request,
  typeof APIS.offsetForLeaderEpoch.response
> {
  return handlerFor(APIS.offsetForLeaderEpoch, ({ topics }) => ({
    topics: topics.map(({ topic, partitions }) => {
      const hosted = replicas.topicByName(topic);
      return {
        topic,
        partitions: partitions.map((wanted): PartitionAnswer => {
          const found = replicas.find(hosted, wanted.partition, false);
          const refusal =
            typeof found === "string" ? found : found.refusal(wanted.currentLeaderEpoch);
          const end =
            typeof found === "string" || refusal !== null
              ? UNKNOWN_END
              : endOfEpoch(found, wanted.leaderEpoch);
          return {
            partition: wanted.partition,
            errorCode: errorCode(refusal ?? "NONE"),
            leaderEpoch: end.leaderEpoch,
            endOffset: end.endOffset,
          };
        }),
      };
    }),
  }));
}
