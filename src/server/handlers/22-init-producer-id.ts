import type { Logger } from "../../base/logger.ts";
import { APIS } from "../../protocol/apis.ts";
import { errorCode, type ErrorName, KafkaError } from "../../protocol/errors.ts";
import type { InitProducerIdRequest } from "../../protocol/messages/22-init-producer-id.ts";
import type { ProducerIds } from "../metadata/producer-ids.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";

/**
 * InitProducerId 0-5: an id for an idempotent producer, epoch 0, that nobody ever had (X4). 3 lets a
 * producer say which id and epoch it has (KIP-360): without a transactional id it gets a fresh one all
 * the same, as in Kafka. 4 and 5 only add errors of transactions.
 *
 * With a transactional id, until transactions are served: TRANSACTIONAL_ID_AUTHORIZATION_FAILED. It is
 * the one error that the Java client, librdkafka and kafkajs all take as final; UNSUPPORTED_VERSION
 * makes librdkafka ask for ever. The broker's log says what it means.
 */
export function initProducerIdHandler(dependencies: {
  readonly producerIds: Pick<ProducerIds, "next">;
  readonly logger: Logger;
}): TypedApiHandler<typeof APIS.initProducerId.request, typeof APIS.initProducerId.response> {
  return handlerFor(APIS.initProducerId, async (request, { clientId }) => {
    const { transactionalId } = request;
    if (transactionalId !== null && transactionalId !== "") {
      dependencies.logger.warn(
        { transactionalId, clientId },
        "refused a transactional producer: transactions are not supported yet",
      );
      return refusal("TRANSACTIONAL_ID_AUTHORIZATION_FAILED");
    }
    if (!isWellFormed(request)) return refusal("INVALID_REQUEST");
    try {
      const producerId = await dependencies.producerIds.next();
      return { errorCode: errorCode("NONE"), producerId, producerEpoch: 0 };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      // Clients ask again on this one; what went wrong here is in the broker's log.
      return refusal("COORDINATOR_LOAD_IN_PROGRESS");
    }
  });
}

/** An empty id is no id, and a producer has both, its id and its epoch, or neither. */
function isWellFormed({
  transactionalId,
  producerId,
  producerEpoch,
}: InitProducerIdRequest): boolean {
  return transactionalId !== "" && (producerId === -1) === (producerEpoch === -1);
}

function refusal(name: ErrorName) {
  return { errorCode: errorCode(name), producerId: -1, producerEpoch: -1 };
}
