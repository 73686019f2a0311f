import { describe, expect, test } from "vitest";
import { APIS } from "../../src/protocol/apis.ts";
import { codecFor, joined } from "../../src/protocol/codec.ts";
import { errorCode } from "../../src/protocol/errors.ts";
import { decodeResponseHeader, encodeRequestFrame } from "../../src/protocol/header.ts";
import type { Encodable } from "../../src/protocol/schema.ts";
import {
  type ApiHandler,
  CLOSE_CONNECTION,
  handlerFor,
  NO_RESPONSE,
  type RequestContext,
} from "../../src/server/api-handler.ts";
import { Dispatcher } from "../../src/server/dispatch.ts";
import { apiVersionsHandler } from "../../src/server/handlers/18-api-versions.ts";
import type { Outcome } from "../../src/server/net/connection.ts";
import { RecordingLogger } from "./support/recording-logger.ts";

const CONNECTION = { connectionId: "c-1", clientHost: "10.0.0.7", listenerName: "PLAINTEXT" };
const { apiVersions, heartbeat, produce, initProducerId } = APIS;

const software = { clientSoftwareName: "test-client", clientSoftwareVersion: "1.0" };

type HeartbeatFunction = Parameters<
  typeof handlerFor<typeof heartbeat.request, typeof heartbeat.response>
>[1];

function setUp(heartbeatFunction: HeartbeatFunction = () => ({ errorCode: 0 })) {
  const logger = new RecordingLogger();
  const others: ApiHandler[] = [
    handlerFor(heartbeat, heartbeatFunction),
    handlerFor(produce, () => NO_RESPONSE),
    handlerFor(initProducerId, () => CLOSE_CONNECTION),
  ];
  const versions = apiVersionsHandler({
    handlers: others,
    supportedFeatures: [
      { name: "metadata.version", minVersion: 7, maxVersion: 30 },
      { name: "group.version", minVersion: 0, maxVersion: 0 },
    ],
    finalizedFeatures: () => ({
      epoch: 42,
      levels: new Map([
        ["metadata.version", 30],
        ["group.version", 0],
      ]),
    }),
    clusterId: "this-cluster",
    nodeId: 3,
  });
  const dispatcher = new Dispatcher([...others, versions], { clock: { nowMs: () => 0 }, logger });
  const start = (frame: Buffer, onClose: (callback: () => void) => void = () => undefined) =>
    dispatcher.start(frame, CONNECTION, { onClose, onSent: () => undefined });
  return { logger, start };
}

/** A request frame as the connection cuts it: without the size. */
function requestFrame(...args: Parameters<typeof encodeRequestFrame>): Buffer {
  return joined(encodeRequestFrame(...args)).subarray(4);
}

function heartbeatFrame(version = 4): Buffer {
  const client = { correlationId: 9, clientId: "me" };
  return requestFrame(heartbeat, version, client, {
    groupId: "g",
    generationId: 1,
    memberId: "m",
  });
}

/** Header and rest of an ApiVersions request, as any client of any time might send them. */
function rawApiVersions(version: number, rest = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(8);
  header.writeInt16BE(apiVersions.key, 0);
  header.writeInt16BE(version, 2);
  header.writeInt32BE(77, 4);
  return Buffer.concat([header, rest]);
}

function askVersions(
  start: (frame: Buffer) => Outcome | Promise<Outcome>,
  version: number,
  body: Encodable<typeof apiVersions.request>,
) {
  const client = { correlationId: 5, clientId: null };
  return versionsIn(start(requestFrame(apiVersions, version, client, body)), version, 5);
}

function versionsIn(outcome: Outcome | Promise<Outcome>, version: number, correlationId: number) {
  const bytes = bytesOf(outcome);
  expect(bytes.readInt32BE(0)).toBe(bytes.length - 4);
  // Header 0 in every version: correlation id, then the body at once.
  expect(bytes.readInt32BE(4)).toBe(correlationId);
  return codecFor(apiVersions.response, version).decode(bytes, 8);
}

function bytesOf(outcome: Outcome | Promise<Outcome>): Buffer {
  if (outcome instanceof Promise || outcome.kind !== "response") throw new Error("no answer");
  return Buffer.concat(outcome.chunks);
}

describe("ApiVersions", () => {
  test("advertises what is served, and Produce from 0 on for old librdkafka (KAFKA-18659)", () => {
    const { start } = setUp();
    for (const version of [0, 1, 2, 3, 4, 5]) {
      const answer = askVersions(start, version, version >= 3 ? software : {});
      expect(answer.errorCode).toBe(0);
      expect(answer.apiKeys).toEqual([
        { apiKey: 0, minVersion: 0, maxVersion: 13 },
        { apiKey: 12, minVersion: 0, maxVersion: 4 },
        { apiKey: 18, minVersion: 0, maxVersion: 5 },
        { apiKey: 22, minVersion: 0, maxVersion: 5 },
      ]);
    }
  });

  test("tells features from version 3 on, those from level 0 up only from version 4 on", () => {
    const { start } = setUp();
    expect(askVersions(start, 2, {}).supportedFeatures).toEqual([]);
    const third = askVersions(start, 3, software);
    expect(third.supportedFeatures.map(({ name }) => name)).toEqual(["metadata.version"]);
    expect(third.finalizedFeaturesEpoch).toBe(42);
    expect(third.finalizedFeatures).toEqual([
      { name: "metadata.version", maxVersionLevel: 30, minVersionLevel: 30 },
    ]);
    const fourth = askVersions(start, 4, software);
    expect(fourth.supportedFeatures.map(({ name }) => name)).toEqual([
      "metadata.version",
      "group.version",
    ]);
  });

  test.each([6, 99, 32767, -1])(
    "of version %i gets the one entry it needs, in version 0, and its body is not looked at",
    (version) => {
      const { start, logger } = setUp();
      const answer = versionsIn(start(rawApiVersions(version, Buffer.alloc(3, 0xff))), 0, 77);
      expect(answer.errorCode).toBe(errorCode("UNSUPPORTED_VERSION"));
      expect(answer.apiKeys).toEqual([{ apiKey: 18, minVersion: 0, maxVersion: 5 }]);
      expect(logger.lines).toEqual([]);
    },
  );

  test.each([
    ["", "1.0"],
    ["me", ""],
    ["-me", "1.0"],
    ["me", "1.0-"],
    ["my client", "1.0"],
  ])("refuses the software name %j, version %j", (clientSoftwareName, clientSoftwareVersion) => {
    const { start } = setUp();
    const answer = askVersions(start, 3, { clientSoftwareName, clientSoftwareVersion });
    expect(answer.errorCode).toBe(errorCode("INVALID_REQUEST"));
    expect(answer.apiKeys).toEqual([]);
  });

  test.each([
    [{ clusterId: "this-cluster", nodeId: 3 }, "NONE"],
    [{ clusterId: null, nodeId: -1 }, "NONE"],
    [{ clusterId: "other", nodeId: -1 }, "REBOOTSTRAP_REQUIRED"],
    [{ clusterId: "this-cluster", nodeId: 4 }, "REBOOTSTRAP_REQUIRED"],
  ] as const)("of version 5 for %j answers %s (KIP-1242)", (meant, error) => {
    const { start } = setUp();
    const answer = askVersions(start, 5, { ...software, ...meant });
    expect(answer.errorCode).toBe(errorCode(error));
  });
});

describe("a request", () => {
  test("is answered under its correlation id, with what its context says", () => {
    const seen: RequestContext[] = [];
    const { start } = setUp((_request, context) => {
      seen.push(context);
      return { errorCode: 27 };
    });
    const bytes = bytesOf(start(heartbeatFrame()));
    const { correlationId, bodyOffset } = decodeResponseHeader(bytes.subarray(4), heartbeat, 4);
    expect(correlationId).toBe(9);
    const body = codecFor(heartbeat.response, 4).decode(bytes.subarray(4), bodyOffset);
    expect(body.errorCode).toBe(27);
    expect(seen[0]).toMatchObject({ ...CONNECTION, apiVersion: 4, clientId: "me" });
  });

  test("that takes longer is answered when it is done", async () => {
    const { start } = setUp(() => Promise.resolve({ errorCode: 0 }));
    expect((await start(heartbeatFrame())).kind).toBe("response");
  });

  test("may want no answer, or the end of the connection", () => {
    const { start } = setUp();
    const client = { correlationId: 1, clientId: null };
    const produced = requestFrame(produce, 9, client, {
      transactionalId: null,
      acks: 0,
      timeoutMs: 1,
      topicData: [],
    });
    const initialised = requestFrame(initProducerId, 0, client, {
      transactionalId: null,
      transactionTimeoutMs: 1,
    });
    expect(start(produced)).toEqual({ kind: "none" });
    expect(start(initialised)).toEqual({ kind: "close" });
  });
});

test("bytes behind the body are ignored, as librdkafka leaves some and Kafka reads on", () => {
  const { start, logger } = setUp();
  const trailing = Buffer.concat([heartbeatFrame(), Buffer.from([1, 0, 0])]);
  expect(start(trailing)).toEqual(start(heartbeatFrame()));
  expect(logger.lines).toEqual([]);
});

describe("a connection is closed with one line", () => {
  const unknownApi = rawApiVersions(0);
  unknownApi.writeInt16BE(999, 0);
  const noClientNoTags = Buffer.from([0xff, 0xff, 0]);
  const unservedApi = rawApiVersions(2, noClientNoTags);
  unservedApi.writeInt16BE(36, 0);
  const oldProduce = rawApiVersions(2);
  oldProduce.writeInt16BE(0, 0);
  const unstable = rawApiVersions(6, noClientNoTags);
  unstable.writeInt16BE(22, 0);
  const truncated = heartbeatFrame().subarray(0, -3);

  test.each([
    ["an unknown API", unknownApi, "API key 999 is not served"],
    ["an API that is known but not served", unservedApi, "API key 36 is not served"],
    ["Produce below 3, though 0 is advertised", oldProduce, "Produce version 2 is not served"],
    ["an unstable version", unstable, "InitProducerId version 6 is not served"],
    ["a body that ends too early", truncated, "Heartbeat"],
    ["half a header", Buffer.from([0, 18, 0]), "header"],
    ["nothing at all", Buffer.alloc(0), "header"],
  ])("for %s", (_name, frame, mentioned) => {
    const { start, logger } = setUp();
    expect(start(frame)).toEqual({ kind: "close" });
    expect(logger.lines).toHaveLength(1);
    expect(logger.lines[0]).toMatchObject({ level: "warn", facts: CONNECTION });
    expect(logger.lines[0]!.message).toContain(mentioned);
  });

  test.each([
    [
      "throws",
      () => {
        throw new RangeError("a bug");
      },
    ],
    ["rejects", () => Promise.reject(new RangeError("a bug"))],
    ["answers what cannot be encoded", () => ({ errorCode: "x" }) as never],
    ["later answers what cannot be encoded", () => Promise.resolve({ errorCode: "x" } as never)],
  ])("for a handler that %s, and the process goes on", async (_name, heartbeatFunction) => {
    const { start, logger } = setUp(heartbeatFunction);
    expect(await start(heartbeatFrame())).toEqual({ kind: "close" });
    expect(logger.lines).toHaveLength(1);
    expect(logger.lines[0]).toMatchObject({
      level: "error",
      facts: { apiKey: 12, apiVersion: 4, clientId: "me" },
    });
    expect(
      (await start(requestFrame(apiVersions, 0, { correlationId: 1, clientId: null }, {}))).kind,
    ).toBe("response");
  });
});
