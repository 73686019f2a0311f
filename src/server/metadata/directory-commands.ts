import type { Uuid } from "../../base/ids.ts";
import { CONTROLLER_APIS } from "../../protocol/apis.ts";
import { errorCode, KafkaError } from "../../protocol/errors.ts";
import type { Infer } from "../../protocol/schema.ts";
import { currentIncarnation } from "./broker-fencing.ts";
import type { ItemError } from "./controller.ts";
import { command } from "./controller-commands.ts";
import type { MetadataImage } from "./image.ts";
import { assignDirectories, type ReplicaDirectory } from "./replica-directories.ts";

type Request = Infer<typeof CONTROLLER_APIS.assignReplicasToDirs.request>;
type Response = Infer<typeof CONTROLLER_APIS.assignReplicasToDirs.response>;

/** Where the replicas of a broker lie, as it found or chose (KIP-858). */
export const ASSIGN_REPLICAS_TO_DIRS = command(CONTROLLER_APIS.assignReplicasToDirs, {
  decide: (request) => (image) => {
    try {
      currentIncarnation(image, request);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      const stale = { name: error.errorName, message: error.message };
      return { records: [], answer: answered(request, stale) };
    }
    const { brokerId, directories } = request;
    const replicas = directories.flatMap(({ id, topics }) =>
      topics.flatMap(({ topicId, partitions }) =>
        partitions.map(({ partitionIndex }) => ({ topicId, partitionIndex, directoryId: id })),
      ),
    );
    const held = replicas.filter((replica) => isHeld(image, brokerId, replica));
    const { records } = assignDirectories(image, { brokerId, replicas: held });
    return { records, answer: answered(request, null, image) };
  },
  refuse: (request, _response, error) => answered(request, error),
});

/** The request's form of it. */
export function directoriesOf(replicas: readonly ReplicaDirectory[]): Request["directories"] {
  const directories = new Map<Uuid, Map<Uuid, { readonly partitionIndex: number }[]>>();
  for (const { topicId, partitionIndex, directoryId } of replicas) {
    const topics = directories.get(directoryId) ?? new Map<Uuid, { partitionIndex: number }[]>();
    directories.set(directoryId, topics);
    const partitions = topics.get(topicId) ?? [];
    topics.set(topicId, partitions);
    partitions.push({ partitionIndex });
  }
  return [...directories].map(([id, topics]) => ({
    id,
    topics: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
  }));
}

function isHeld(
  image: MetadataImage,
  brokerId: number,
  { topicId, partitionIndex }: Omit<ReplicaDirectory, "directoryId">,
): boolean {
  const partition = image.topicsById.get(topicId)?.partitions[partitionIndex];
  return partition?.replicas.includes(brokerId) === true;
}

function answered(
  { brokerId, directories }: Request,
  error: ItemError | null,
  image?: MetadataImage,
): Response {
  const partitionError = (topicId: Uuid, partitionIndex: number): number => {
    if (image === undefined || isHeld(image, brokerId, { topicId, partitionIndex })) return 0;
    const isKnown = image.topicsById.get(topicId)?.partitions[partitionIndex] !== undefined;
    return errorCode(isKnown ? "NOT_LEADER_OR_FOLLOWER" : "UNKNOWN_TOPIC_OR_PARTITION");
  };
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error?.name ?? "NONE"),
    directories: directories.map(({ id, topics }) => ({
      id,
      topics: topics.map(({ topicId, partitions }) => ({
        topicId,
        partitions: partitions.map(({ partitionIndex }) => ({
          partitionIndex,
          errorCode: partitionError(topicId, partitionIndex),
        })),
      })),
    })),
  };
}
