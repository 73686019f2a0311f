import { KafkaError } from "../../protocol/errors.ts";
import { type ControllerResult, metadataRecord } from "./controller.ts";
import type { MetadataImage } from "./image.ts";

/** Ids in a row that one broker may hand out. */
export interface ProducerIdBlock {
  readonly firstProducerId: number;
  readonly count: number;
}

/** Kafka's ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE. */
export const PRODUCER_ID_BLOCK_SIZE = 1000;

export interface ProducerIdDemand {
  readonly brokerId: number;
  readonly brokerEpoch: number;
  /** The greatest id that a log of the broker knows, or -1. */
  readonly greatestKnownId: number;
}

/**
 * The next block, for one incarnation of a broker. The record says where the next one begins, so a
 * block that is committed is never given again, used up or not; nor is an id that came with the log
 * of another cluster, whose producer's batches would be taken for the new one's (X4). Throws KafkaError
 * STALE_BROKER_EPOCH.
 */
export function allocateProducerIds(
  image: MetadataImage,
  { brokerId, brokerEpoch, greatestKnownId }: ProducerIdDemand,
): ControllerResult<ProducerIdBlock> {
  if (image.brokers.get(brokerId)?.brokerEpoch !== brokerEpoch) {
    throw new KafkaError("STALE_BROKER_EPOCH");
  }
  const firstProducerId = Math.max(image.nextProducerId, greatestKnownId + 1);
  const nextProducerId = firstProducerId + PRODUCER_ID_BLOCK_SIZE;
  if (nextProducerId > Number.MAX_SAFE_INTEGER) {
    throw new KafkaError("UNKNOWN_SERVER_ERROR", "all producer ids are used up");
  }
  return {
    records: [metadataRecord("producerIds", { brokerId, brokerEpoch, nextProducerId })],
    answer: { firstProducerId, count: PRODUCER_ID_BLOCK_SIZE },
  };
}
