import { describe, expect, test } from "vitest";
import { codecFor } from "../../../src/protocol/codec.ts";
import { errorName } from "../../../src/protocol/errors.ts";
import {
  type ProduceRequest,
  produceRequest,
  type ProduceResponse,
} from "../../../src/protocol/messages/00-produce.ts";
import { must } from "../../../src/base/assert.ts";
import { crc32c } from "../../../src/base/crc32c.ts";
import type { Offload } from "../../../src/base/offload.ts";
import { batchCompression } from "../../../src/protocol/records/batch.ts";
import { deflateSync, loadCodec } from "../../../src/protocol/records/compression.ts";
import { ClientBatches } from "../../../src/replica/client-batches.ts";
import { CLOSE_CONNECTION, NO_RESPONSE } from "../../../src/server/api-handler.ts";
import { produceHandler } from "../../../src/server/handlers/00-produce.ts";
import {
  assignmentOf,
  batch,
  LOG_CONFIG,
  Node,
  OTHER_TOPIC_ID,
  settle,
  stateOf,
  TOPIC_ID,
} from "../../replica/support.ts";
import { call, FakeContext } from "./support.ts";

const IDEMPOTENT = { producerId: 9, producerEpoch: 0, baseSequence: 0 };

interface Options {
  readonly version?: number;
  readonly acks?: number;
  readonly timeoutMs?: number;
  readonly transactionalId?: string | null;
  readonly clientId?: string;
  readonly topicId?: typeof TOPIC_ID;
}

type Sent = Promise<symbol | ProduceResponse>;

/** Sends one batch to each partition, in order; null: no records. */
function send(
  node: Node,
  batches: readonly (readonly [topic: string, index: number, records: Buffer | null])[],
  options: Options = {},
): Sent {
  const { version = 9, acks = -1, timeoutMs = 30_000, transactionalId = null } = options;
  const request: Pick<ProduceRequest, "acks" | "timeoutMs" | "topicData" | "transactionalId"> = {
    acks,
    timeoutMs,
    transactionalId,
    topicData: batches.map(([name, index, records]) => ({
      name,
      topicId: options.topicId ?? TOPIC_ID,
      partitionData: [{ index, records }],
    })),
  };
  const handler = produceHandler(node);
  return call(handler, new FakeContext(version, options.clientId), request);
}

async function partitionsOf(sent: Sent): Promise<
  {
    error: string;
    baseOffset: number;
    logStartOffset: number;
    logAppendTimeMs: number;
    message: string | null;
  }[]
> {
  const response = await sent;
  if (typeof response === "symbol") throw new Error("there is no response");
  return response.responses.flatMap(({ partitionResponses }) =>
    partitionResponses.map((each) => ({
      error: errorName(each.errorCode),
      baseOffset: each.baseOffset,
      logStartOffset: each.logStartOffset,
      logAppendTimeMs: each.logAppendTimeMs,
      message: each.errorMessage,
    })),
  );
}

async function refusalOf(sent: Sent): Promise<string> {
  const [partition] = await partitionsOf(sent);
  expect(partition).toMatchObject({ baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 });
  return partition!.error;
}

async function lead(): Promise<Node> {
  const node = new Node();
  await node.lead();
  return node;
}

describe("Produce", () => {
  test.each([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])(
    "version %i answers where the records lie, once they are safe (R4)",
    async (version) => {
      const node = await lead();
      const sent = send(node, [["t", 0, batch(3)]], { version });
      expect(await stateOf(sent)).toBe("pending");
      node.log().makeSafe();
      expect(await partitionsOf(sent)).toEqual([
        {
          error: "NONE",
          baseOffset: 0,
          logAppendTimeMs: -1,
          logStartOffset: version >= 5 ? 0 : -1,
          message: null,
        },
      ]);
    },
  );

  test("acks=1 waits for the safe position, too (R4)", async () => {
    const node = await lead();
    const sent = send(node, [["t", 0, batch()]], { acks: 1 });
    expect(await stateOf(sent)).toBe("pending");
    node.log().makeSafe();
    expect(await partitionsOf(sent)).toMatchObject([{ error: "NONE", baseOffset: 0 }]);
  });

  test("all partitions are appended before the handler first waits, in the request's order", async () => {
    const node = await lead();
    await node.lead({ partitionIndex: 1 });
    const handler = produceHandler(node);
    const request = (value: number): ProduceRequest => ({
      transactionalId: null,
      acks: 1,
      timeoutMs: 1_000,
      topicData: [0, 1].map((index) => ({
        name: "t",
        topicId: TOPIC_ID,
        partitionData: [{ index, records: batch(value) }],
      })),
    });
    void handler.handle(request(1), new FakeContext(9));
    void handler.handle(request(2), new FakeContext(9));
    expect(node.log("t", 0).logEndOffset).toBe(3);
    expect(node.log("t", 1).logEndOffset).toBe(3);
    await node.replicas.close();
  });

  test("each partition fails alone, with a message from version 8 on", async () => {
    const node = await lead();
    const sent = send(node, [
      ["t", 7, batch()],
      ["t", 0, batch()],
      ["unknown", 0, batch()],
      ["t", 0, null],
    ]);
    node.log().makeSafe();
    const partitions = await partitionsOf(sent);
    expect(partitions.map(({ error }) => error)).toEqual([
      "UNKNOWN_TOPIC_OR_PARTITION",
      "NONE",
      "UNKNOWN_TOPIC_OR_PARTITION",
      "INVALID_RECORD",
    ]);
    expect(partitions[3]!.message).toBe("there is no record batch");
    const [old] = await partitionsOf(send(node, [["t", 0, null]], { version: 7 }));
    expect(old).toMatchObject({ error: "INVALID_RECORD", message: null });
  });

  test("a topic is named by its id from version 13 on", async () => {
    const node = await lead();
    const options = { version: 13, topicId: OTHER_TOPIC_ID };
    expect(await refusalOf(send(node, [["t", 0, batch()]], options))).toBe("UNKNOWN_TOPIC_ID");
    const sent = send(node, [["", 0, batch()]], { version: 13 });
    node.log().makeSafe();
    expect(await partitionsOf(sent)).toMatchObject([{ error: "NONE" }]);
  });

  test.each([2, -2, 127])("acks=%i is refused before anything is appended", async (acks) => {
    const node = await lead();
    const refusal = await refusalOf(send(node, [["t", 0, batch()]], { acks }));
    expect(refusal).toBe("INVALID_REQUIRED_ACKS");
    expect(node.log().logEndOffset).toBe(0);
  });

  test("a partition that is not safe in time answers REQUEST_TIMED_OUT, the others their offsets", async () => {
    const node = await lead();
    await node.lead({ partitionIndex: 1 });
    const sent = send(
      node,
      [
        ["t", 0, batch()],
        ["t", 1, batch()],
      ],
      { timeoutMs: 1_500 },
    );
    node.log("t", 1).makeSafe();
    node.clock.advance(1_499);
    expect(await stateOf(sent)).toBe("pending");
    node.clock.advance(101);
    const partitions = await partitionsOf(sent);
    expect(partitions).toMatchObject([
      { error: "REQUEST_TIMED_OUT", baseOffset: -1 },
      { error: "NONE", baseOffset: 0 },
    ]);
  });

  test("a repeat answers the old offset, but waits for the high watermark as the first did (X2)", async () => {
    const node = await lead();
    const first = send(node, [["t", 0, batch(2, IDEMPOTENT)]]);
    const repeat = send(node, [["t", 0, batch(2, IDEMPOTENT)]]);
    expect(await stateOf(repeat)).toBe("pending");
    node.log().makeSafe();
    expect(await partitionsOf(first)).toMatchObject([{ error: "NONE", baseOffset: 0 }]);
    expect(await partitionsOf(repeat)).toMatchObject([{ error: "NONE", baseOffset: 0 }]);
    const late = await partitionsOf(send(node, [["t", 0, batch(2, IDEMPOTENT)]]));
    expect(late).toMatchObject([{ error: "NONE", baseOffset: 0 }]);
    expect(node.log().logEndOffset).toBe(2);
  });

  test("the end of leadership is told to those who wait", async () => {
    const node = await lead();
    const sent = send(node, [["t", 0, batch()]]);
    node.replicas.partition("t", 0)!.resign();
    expect(await refusalOf(sent)).toBe("NOT_LEADER_OR_FOLLOWER");
  });

  test("a failing disk is told to those who wait and to all after them (R9)", async () => {
    const node = await lead();
    const sent = send(node, [["t", 0, batch()]]);
    node.log().fail();
    expect(await refusalOf(sent)).toBe("KAFKA_STORAGE_ERROR");
    expect(await refusalOf(send(node, [["t", 0, batch()]]))).toBe("KAFKA_STORAGE_ERROR");
  });

  test("a batch above the topic's max.message.bytes is refused", async () => {
    const node = new Node();
    await node.lead({ config: { ...LOG_CONFIG, maxMessageBytes: 100 } });
    const big = batch(1, { valueBytes: 200 });
    expect(await refusalOf(send(node, [["t", 0, big]]))).toBe("MESSAGE_TOO_LARGE");
  });

  test("damaged bytes are refused before they reach the log (S2)", async () => {
    const node = await lead();
    const records = batch();
    records[records.length - 1]! ^= 1;
    expect(await refusalOf(send(node, [["t", 0, records]]))).toBe("CORRUPT_MESSAGE");
    expect(node.log().logEndOffset).toBe(0);
  });

  test("too small an ISR refuses acks=all and lets acks=1 pass (R6)", async () => {
    const node = new Node();
    await node.lead({ replicas: [1, 2], minInsyncReplicas: 2 });
    expect(await refusalOf(send(node, [["t", 0, batch()]]))).toBe("NOT_ENOUGH_REPLICAS");
    const sent = send(node, [["t", 0, batch()]], { acks: 1 });
    node.log().makeSafe();
    expect(await partitionsOf(sent)).toMatchObject([{ error: "NONE" }]);
  });

  test("zstd is refused below version 7", async () => {
    await loadCodec("zstd");
    const node = await lead();
    const records = (): Buffer => batch(1, { compression: "zstd" });
    const refusal = await refusalOf(send(node, [["t", 0, records()]], { version: 6 }));
    expect(refusal).toBe("UNSUPPORTED_COMPRESSION_TYPE");
    const sent = send(node, [["t", 0, records()]], { version: 7 });
    node.log().makeSafe();
    expect(await partitionsOf(sent)).toMatchObject([{ error: "NONE" }]);
  });

  test("internal topics are closed to clients, the admin client excepted", async () => {
    const node = new Node();
    await node.lead({ topic: "__consumer_offsets" });
    const refusal = await refusalOf(send(node, [["__consumer_offsets", 0, batch()]]));
    expect(refusal).toBe("INVALID_TOPIC_EXCEPTION");
    const byId = send(node, [["", 0, batch()]], { version: 13 });
    expect(await refusalOf(byId)).toBe("INVALID_TOPIC_EXCEPTION");
    const options = { clientId: "__admin_client" };
    const sent = send(node, [["__consumer_offsets", 0, batch()]], options);
    node.log("__consumer_offsets").makeSafe();
    expect(await partitionsOf(sent)).toMatchObject([{ error: "NONE" }]);
  });

  test("transactions are refused with a message, by batch and by id", async () => {
    const node = await lead();
    const transactional = batch(1, { ...IDEMPOTENT, isTransactional: true });
    const byBatch = await partitionsOf(send(node, [["t", 0, transactional]]));
    const byId = await partitionsOf(send(node, [["t", 0, batch()]], { transactionalId: "x" }));
    for (const [partition] of [byBatch, byId]) {
      expect(partition).toMatchObject({
        error: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        message: "this broker does not serve transactions yet",
      });
    }
    expect(node.log().logEndOffset).toBe(0);
  });

  test("a request of no partitions is answered", async () => {
    expect(await partitionsOf(send(await lead(), []))).toEqual([]);
  });
});

describe("Produce with acks=0", () => {
  test("is never answered, and counts as in work until its bytes are safe", async () => {
    const node = await lead();
    const sent = send(node, [["t", 0, batch()]], { acks: 0 });
    expect(node.log().logEndOffset).toBe(1);
    expect(await stateOf(sent)).toBe("pending");
    node.log().makeSafe();
    expect(await sent).toBe(NO_RESPONSE);
  });

  test("is not cut short by its timeout, which would be an error to a client that asked for none", async () => {
    const node = await lead();
    const sent = send(node, [["t", 0, batch()]], { acks: 0, timeoutMs: 100 });
    node.clock.advance(10_000);
    expect(await stateOf(sent)).toBe("pending");
    node.log().makeSafe();
    expect(await sent).toBe(NO_RESPONSE);
  });

  test("closes the connection on an error, at the append or after it", async () => {
    const node = await lead();
    expect(await send(node, [["unknown", 0, batch()]], { acks: 0 })).toBe(CLOSE_CONNECTION);
    const sent = send(node, [["t", 0, batch()]], { acks: 0 });
    node.log().fail();
    expect(await sent).toBe(CLOSE_CONNECTION);
  });
});

test("records are appended as the slice of the frame that they are, without a copy", async () => {
  const node = await lead();
  const frame = codecFor(produceRequest, 9).encode({
    acks: 1,
    timeoutMs: 1_000,
    topicData: [{ name: "t", partitionData: [{ index: 0, records: batch(1) }] }],
  });
  const handler = produceHandler(node);
  const reply = handler.respond(frame, 0, new FakeContext(9));
  expect(node.log().batches[0]!.buffer).toBe(frame.buffer);
  node.log().makeSafe();
  await reply;
});

describe("batches that must be opened", () => {
  const GZIP = { config: { ...LOG_CONFIG, compressionType: "gzip" } } as const;

  /** A node whose packing waits until the test lets it go on. */
  async function leadPacking(): Promise<{ node: Node; goOn: () => void }> {
    const node = await lead();
    await node.lead(GZIP);
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const offload: Offload = {
      inflate: () => Promise.reject(new Error("nothing is packed here")),
      deflate: async (type, bytes, level) => {
        await gate;
        return deflateSync(type, bytes, level);
      },
    };
    const clientBatches = new ClientBatches({ clock: node.clock, offload });
    return { node: Object.assign(node, { clientBatches }), goOn };
  }

  test("are answered when they are appended and safe, in the order of arrival", async () => {
    const { node, goOn } = await leadPacking();
    const first = send(node, [["t", 0, batch(3)]]);
    await node.lead();
    const second = send(node, [["t", 0, batch(2)]]);
    expect(await stateOf(Promise.race([first, second]))).toBe("pending");
    goOn();
    await settle();
    expect(node.log().batches.map((bytes) => batchCompression(bytes))).toEqual(["gzip", "none"]);
    node.log().makeSafe();
    expect(await partitionsOf(first)).toMatchObject([{ error: "NONE", baseOffset: 0 }]);
    expect(await partitionsOf(second)).toMatchObject([{ error: "NONE", baseOffset: 3 }]);
  });

  test("are not answered before, not even when the time is over: the bytes are in use", async () => {
    const { node, goOn } = await leadPacking();
    const sent = send(node, [["t", 0, batch(3)]], { timeoutMs: 10 });
    await settle();
    node.clock.advance(1_000);
    expect(await stateOf(sent)).toBe("pending");
    goOn();
    await settle();
    node.clock.advance(1_000);
    expect(await refusalOf(sent)).toBe("REQUEST_TIMED_OUT");
  });

  test("with acks=0 close the connection when they turn out to be wrong", async () => {
    const { node, goOn } = await leadPacking();
    goOn();
    const bad = batch(2);
    bad.writeInt32BE(0x7f7f7f7f, 61);
    fixCrc(bad);
    expect(await send(node, [["t", 0, bad]], { acks: 0 })).toBe(CLOSE_CONNECTION);
    const good = send(node, [["t", 0, batch(2)]], { acks: 0 });
    await settle();
    node.log().makeSafe();
    expect(await good).toBe(NO_RESPONSE);
  });
});

describe("records against the topic's rules", () => {
  const COMPACTED = {
    config: { ...LOG_CONFIG, cleanupPolicy: { compacts: true, deletes: false } },
  } as const;

  test.each([3, 7, 8, 9, 13])("are named from version 8 on (KIP-467): %i", async (version) => {
    const node = new Node();
    await node.lead(COMPACTED);
    const response = await send(node, [["t", 0, batch(2)]], { version });
    if (typeof response === "symbol") throw new Error("there is no response");
    const [partition] = must(response.responses[0], "one topic").partitionResponses;
    expect(errorName(must(partition, "one partition").errorCode)).toBe("INVALID_RECORD");
    const message = "a compacted topic takes no record without a key";
    expect(partition).toMatchObject(
      version < 8
        ? { recordErrors: [], errorMessage: null }
        : {
            recordErrors: [0, 1].map((batchIndex) => ({
              batchIndex,
              batchIndexErrorMessage: message,
            })),
            errorMessage: expect.stringContaining(`record 0: ${message}`) as string,
          },
    );
    expect(node.log().batches).toEqual([]);
  });
});

function fixCrc(bytes: Buffer): void {
  bytes.writeUInt32BE(crc32c(bytes, 21), 17);
}

describe("a cluster of several nodes", () => {
  const topic = { name: "t", topicId: TOPIC_ID, partitions: [{}, {}] };
  const CLUSTER = {
    topicsByName: new Map([["t", topic]]),
    topicsById: new Map([[TOPIC_ID, topic]]),
  };

  test.each([0, 1, -1])("acks=%i: a follower takes nothing", async (acks) => {
    const node = new Node();
    node.replicas.follow(CLUSTER);
    await node.replicas.becomeFollower({ ...assignmentOf(), leaderId: 2 });
    const answer = await send(node, [["t", 0, batch()]], { acks });
    if (acks === 0) expect(answer).toBe(CLOSE_CONNECTION);
    else {
      expect(await partitionsOf(Promise.resolve(answer))).toMatchObject([
        { error: "NOT_LEADER_OR_FOLLOWER" },
      ]);
    }
    expect(node.log().logEndOffset).toBe(0);
  });

  test.each([9, 10, 12, 13])(
    "version %i: a partition of another node is named with its leader",
    async (version) => {
      const node = new Node();
      node.replicas.follow(CLUSTER);
      const endPoint = { nodeId: 2, host: "host2", port: 9092 };
      const asked: unknown[] = [];
      const leaderOf = (partition: object, listenerName: string) => {
        asked.push({ ...partition, listenerName });
        return { leaderEpoch: 6, endPoint };
      };
      const handler = produceHandler({
        ...{ replicas: node.replicas, clientBatches: node.clientBatches },
        leaderOf,
      });
      const answer = await call(handler, new FakeContext(version), {
        acks: -1,
        timeoutMs: 1000,
        topicData: [
          {
            name: "t",
            topicId: TOPIC_ID,
            partitionData: [
              { index: 1, records: batch() },
              { index: 2, records: batch() },
            ],
          },
        ],
      });
      if (typeof answer === "symbol") throw new Error("there is no response");
      const [elsewhere, unknown] = answer.responses[0]!.partitionResponses;
      expect(errorName(elsewhere!.errorCode)).toBe("NOT_LEADER_OR_FOLLOWER");
      expect(errorName(unknown!.errorCode)).toBe("UNKNOWN_TOPIC_OR_PARTITION");
      expect(unknown!.currentLeader.leaderId).toBe(-1);
      if (version < 10) {
        expect(answer.nodeEndpoints).toEqual([]);
        return;
      }
      expect(elsewhere!.currentLeader).toEqual({ leaderId: 2, leaderEpoch: 6 });
      expect(answer.nodeEndpoints).toEqual([{ ...endPoint, rack: null }]);
      expect(asked).toEqual([{ topic: "t", partitionIndex: 1, listenerName: "PLAINTEXT" }]);
    },
  );
});
