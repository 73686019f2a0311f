import { describe, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../src/base/logger.ts";
import { errorName, KafkaError } from "../../../src/protocol/errors.ts";
import type {
  InitProducerIdRequest,
  InitProducerIdResponse,
} from "../../../src/protocol/messages/22-init-producer-id.ts";
import { initProducerIdHandler } from "../../../src/server/handlers/22-init-producer-id.ts";
import { ProducerIds } from "../../../src/server/metadata/producer-ids.ts";
import { call, FakeContext } from "./support.ts";

function handlerOver(allocate: () => Promise<{ firstProducerId: number; count: number }>) {
  const handler = initProducerIdHandler({
    producerIds: new ProducerIds(allocate),
    logger: SILENT_LOGGER,
  });
  return async (version: number, request: Partial<InitProducerIdRequest> = {}) => {
    const answer = await call(handler, new FakeContext(version), {
      transactionalId: null,
      transactionTimeoutMs: 60_000,
      ...request,
    });
    const { errorCode, producerId, producerEpoch } = answer as InitProducerIdResponse;
    return { error: errorName(errorCode), producerId, producerEpoch };
  };
}

/** Blocks of three, and how many there were. */
function blocks() {
  let count = 0;
  const init = handlerOver(() => {
    count += 1;
    return Promise.resolve({ firstProducerId: count * 100, count: 3 });
  });
  return { init, blockCount: () => count };
}

describe("InitProducerId", () => {
  test.each([0, 1, 2, 3, 4, 5])("%i: an idempotent producer gets an id and epoch 0", async (v) => {
    expect(await blocks().init(v)).toEqual({ error: "NONE", producerId: 100, producerEpoch: 0 });
  });

  test("X4: ids asked for at the same time are all different, from block to block", async () => {
    const { init, blockCount } = blocks();
    const answers = await Promise.all(Array.from({ length: 7 }, () => init(5)));
    expect(answers.map(({ producerId }) => producerId)).toEqual([
      100, 101, 102, 200, 201, 202, 300,
    ]);
    expect(blockCount()).toBe(3);
  });

  test.each([3, 4, 5])("%i, KIP-360: who has an id gets a fresh one", async (version) => {
    const { init } = blocks();
    await init(version);
    expect(await init(version, { producerId: 100, producerEpoch: 7 })).toEqual({
      error: "NONE",
      producerId: 101,
      producerEpoch: 0,
    });
  });

  test.each<[string, Partial<InitProducerIdRequest>]>([
    ["an id without an epoch", { producerId: 100 }],
    ["an epoch without an id", { producerEpoch: 1 }],
    ["an empty transactional id", { transactionalId: "" }],
  ])("refuses %s, and takes no id for it", async (_what, request) => {
    const { init, blockCount } = blocks();
    expect(await init(5, request)).toEqual({
      error: "INVALID_REQUEST",
      producerId: -1,
      producerEpoch: -1,
    });
    expect(blockCount()).toBe(0);
  });

  test.each([0, 1, 2, 3, 4, 5])("%i: a transactional id is refused for good", async (version) => {
    const { error, producerId } = await blocks().init(version, { transactionalId: "t" });
    expect(producerId).toBe(-1);
    expect(error).toBe("TRANSACTIONAL_ID_AUTHORIZATION_FAILED");
    expect(new KafkaError(error).retriable).toBe(false);
  });

  test("when no block can be had the client is told to ask again, and then gets one", async () => {
    let isAvailable = false;
    const init = handlerOver(() =>
      isAvailable
        ? Promise.resolve({ firstProducerId: 5, count: 1 })
        : Promise.reject(new KafkaError("KAFKA_STORAGE_ERROR")),
    );
    const refused = await init(5);
    expect(refused).toMatchObject({ error: "COORDINATOR_LOAD_IN_PROGRESS", producerId: -1 });
    expect(new KafkaError("COORDINATOR_LOAD_IN_PROGRESS").retriable).toBe(true);
    isAvailable = true;
    expect(await init(5)).toEqual({ error: "NONE", producerId: 5, producerEpoch: 0 });
  });
});
