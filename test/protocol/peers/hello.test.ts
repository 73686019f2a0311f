import { describe, expect, test } from "vitest";
import { uuidFromBytes } from "../../../src/base/ids.ts";
import {
  encodeHello,
  type Hello,
  judgeHello,
  REACHED_ITSELF,
} from "../../../src/protocol/peers/hello.ts";
import { protoFile } from "../../support/proto-file.ts";

const proto = protoFile("src/protocol/peers/hello.proto").message("Hello");

function helloOf(nodeId: number, special: Partial<Hello> = {}): Hello {
  return {
    clusterId: "4L6g3nShT-eMCtK--X86sw",
    nodeId,
    directoryId: uuidFromBytes(Buffer.alloc(16, nodeId)),
    brokerEpoch: 2 ** 45,
    address: { host: "10.0.0.7", port: 9093 },
    ...special,
  };
}

function messageOf(bytes: Buffer): string {
  const verdict = judgeHello(bytes, helloOf(2));
  return verdict.kind === "stranger" ? verdict.message : "a peer";
}

describe("hello", () => {
  test.each([
    helloOf(1),
    helloOf(0, { brokerEpoch: 0, address: { host: "", port: 1 } }),
    helloOf(3, { brokerEpoch: null, address: null }),
  ])("a node of the cluster is known by what it says: %#", (hello) => {
    expect(judgeHello(encodeHello(hello), helloOf(2))).toEqual({ kind: "peer", hello });
    const byWayOfProto = proto.encode(proto.decode(encodeHello(hello)));
    expect(judgeHello(byWayOfProto, helloOf(2))).toEqual({ kind: "peer", hello });
  });

  test("the fields have the numbers of the .proto", () => {
    expect(proto.decode(encodeHello(helloOf(1)))).toMatchObject({
      protocolVersion: 1,
      clusterId: "4L6g3nShT-eMCtK--X86sw",
      nodeId: 1,
      directoryId: Buffer.alloc(16, 1),
      brokerEpoch: 2 ** 45,
      host: "10.0.0.7",
      port: 9093,
    });
  });

  test("another cluster is refused, and both are named", () => {
    expect(messageOf(encodeHello(helloOf(1, { clusterId: "other" })))).toBe(
      "node 1 belongs to cluster other, node 2 to cluster 4L6g3nShT-eMCtK--X86sw",
    );
  });

  test("another version is refused, and both are named, whatever else it says", () => {
    expect(messageOf(proto.encode({ protocolVersion: 2, nodeId: 1 }))).toBe(
      "node 1 speaks version 2 of the protocol between nodes, node 2 version 1",
    );
  });

  test("a node with our own id is refused", () => {
    const directoryId = uuidFromBytes(Buffer.alloc(16, 99));
    expect(messageOf(encodeHello(helloOf(2, { directoryId })))).toContain(
      "two nodes have node.id=2",
    );
    expect(messageOf(encodeHello(helloOf(2)))).toBe(REACHED_ITSELF);
  });

  test.each(["", "00", "ffffffff", "08", "1801", "474554202f20485454502f312e31"])(
    "bytes that are no hello are refused: %s",
    (hex) => {
      expect(judgeHello(Buffer.from(hex, "hex"), helloOf(2)).kind).toBe("stranger");
    },
  );

  test("a directory id that is none, or a port that is none, is refused", () => {
    const fields = { protocolVersion: 1, clusterId: helloOf(1).clusterId, nodeId: 1 };
    expect(messageOf(proto.encode({ ...fields, directoryId: Buffer.alloc(3) }))).toContain(
      "damaged",
    );
    const directoryId = Buffer.alloc(16, 1);
    expect(messageOf(proto.encode({ ...fields, directoryId, port: 70_000 }))).toContain("damaged");
  });
});
