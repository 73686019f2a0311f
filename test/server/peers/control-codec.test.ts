import { describe, expect, test } from "vitest";
import {
  CONTROL_SERVICE,
  type ControlAnswer,
  type ControlRequest,
  decodeControlAnswer,
  decodeControlRequest,
  encodeControlAnswer,
  encodeControlRequest,
} from "../../../src/server/peers/control-codec.ts";
import { RAFT_SERVICE } from "../../../src/raft/peer-transport.ts";
import { protoFile } from "../../support/proto-file.ts";

const control = protoFile("src/server/peers/control.proto");

const REQUESTS: readonly ControlRequest[] = [
  { correlationId: 2 ** 40, apiKey: 63, apiVersion: 1, body: Buffer.from("body"), brokerEpoch: 7 },
  { correlationId: 0, apiKey: 0, apiVersion: 0, body: Buffer.alloc(0), brokerEpoch: 0 },
  { correlationId: 1, apiKey: 62, apiVersion: 4, body: Buffer.from("x"), brokerEpoch: null },
];

const leader = { leaderId: 0, leaderEpoch: 9 };
const ANSWERS: readonly ControlAnswer[] = [
  {
    correlationId: 5,
    outcome: { kind: "answered", answer: { lastOffset: 0, body: Buffer.from("answer") } },
  },
  {
    correlationId: 0,
    outcome: { kind: "answered", answer: { lastOffset: null, body: Buffer.alloc(0) } },
  },
  {
    correlationId: 6,
    outcome: { kind: "refused", error: "NOT_CONTROLLER", message: "not me", leader },
  },
  {
    correlationId: 7,
    outcome: {
      ...{ kind: "refused", error: "STALE_BROKER_EPOCH", message: "" },
      leader: { leaderId: null, leaderEpoch: 0 },
    },
  },
];

describe("the codec of the control stream", () => {
  test.each(REQUESTS)(
    "a request comes back as it went, also by way of the .proto: %#",
    (request) => {
      const bytes = encodeControlRequest(request);
      expect(decodeControlRequest(bytes)).toEqual(request);
      const proto = control.message("ControlRequest");
      expect(decodeControlRequest(proto.encode(proto.decode(bytes)))).toEqual(request);
    },
  );

  test.each(ANSWERS)("an answer comes back as it went, also by way of the .proto: %#", (answer) => {
    const bytes = encodeControlAnswer(answer);
    expect(decodeControlAnswer(bytes)).toEqual(answer);
    const proto = control.message("ControlAnswer");
    expect(decodeControlAnswer(proto.encode(proto.decode(bytes)))).toEqual(answer);
  });

  test("the fields have the numbers of the .proto", () => {
    const [request] = REQUESTS;
    expect(control.message("ControlRequest").decode(encodeControlRequest(request!))).toMatchObject({
      ...{ correlationId: 2 ** 40, apiKey: 63, apiVersion: 1, brokerEpoch: 7 },
      body: Buffer.from("body"),
    });
    expect(control.message("ControlAnswer").decode(encodeControlAnswer(ANSWERS[2]!))).toMatchObject(
      {
        ...{ correlationId: 6, error: "NOT_CONTROLLER", errorMessage: "not me" },
        ...{ leaderId: 0, leaderEpoch: 9 },
      },
    );
  });

  test("an error that a newer node has is taken for one that nobody knows", () => {
    const bytes = control.message("ControlAnswer").encode({ correlationId: 1, error: "NEWER" });
    expect(decodeControlAnswer(bytes).outcome).toMatchObject({ error: "UNKNOWN_SERVER_ERROR" });
  });

  test("the services are called as the .proto files call them", () => {
    expect(control.paths).toEqual([`/${CONTROL_SERVICE}`]);
    expect(protoFile("src/raft/raft.proto").paths).toEqual([`/${RAFT_SERVICE}`]);
  });
});
