import { connect, type Socket } from "node:net";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loopTurn } from "../../../src/base/clock.ts";
import type { Listener } from "../../../src/base/net.ts";
import type { RpcAdmission, RpcOpening } from "../../../src/base/rpc.ts";
import { uuidFromBytes } from "../../../src/base/ids.ts";
import { encodeHello, judgeHello } from "../../../src/protocol/peers/hello.ts";
import { GrpcRpc } from "../../../src/server/net/grpc-rpc.ts";
import { ManualClock } from "../../base/manual-clock.ts";

const SERVICE = "holdfast.Raft/Exchange";

const SELF = {
  clusterId: "4L6g3nShT-eMCtK--X86sw",
  nodeId: 1,
  directoryId: uuidFromBytes(Buffer.alloc(16, 1)),
  brokerEpoch: null,
  address: null,
};

const OTHER = uuidFromBytes(Buffer.alloc(16, 2));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await loopTurn();
}

describe("a stranger at the port of the nodes", () => {
  let clock: ManualClock;
  let port: Listener;
  let admitted: number;
  const sockets: Socket[] = [];
  const clients: Client[] = [];

  function service({ bytes }: RpcOpening): RpcAdmission {
    const verdict = judgeHello(bytes, SELF);
    if (verdict.kind === "stranger") return { kind: "rejected", message: verdict.message };
    return {
      kind: "admitted",
      answer: encodeHello(SELF),
      onStream: () => {
        admitted += 1;
        return { onMessage: () => undefined, onEnd: () => undefined };
      },
    };
  }

  beforeEach(async () => {
    clock = new ManualClock();
    admitted = 0;
    const rpc = new GrpcRpc({ clock }, { tls: null });
    port = await rpc.listen({ host: "127.0.0.1", port: 0 }, new Map([[SERVICE, service]]));
  });

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const client of clients.splice(0)) client.close();
    await port.close();
  });

  function dial(bytes: Buffer | string = ""): {
    readonly socket: Socket;
    readonly got: Buffer[];
    isOver: boolean;
  } {
    const socket = connect(port.port, "127.0.0.1");
    sockets.push(socket);
    const state = { socket, got: [] as Buffer[], isOver: false };
    socket.on("data", (chunk: Buffer) => state.got.push(chunk));
    socket.on("error", () => undefined).on("close", () => (state.isOver = true));
    if (bytes.length > 0) socket.write(bytes);
    return state;
  }

  /** How a call of a gRPC client ends. */
  function call(method: string, metadata = new Metadata()): Promise<ServiceError> {
    const client = new Client(`127.0.0.1:${port.port}`, credentials.createInsecure());
    clients.push(client);
    const asItIs = (bytes: Buffer): Buffer => bytes;
    const stream = client.makeBidiStreamRequest(method, asItIs, asItIs, metadata);
    stream.write(Buffer.alloc(100_000));
    stream.on("data", () => undefined);
    return new Promise((resolve) => stream.on("error", resolve));
  }

  test.each([
    ["garbage", Buffer.from("c0ffee".repeat(1000), "hex")],
    ["HTTP/1", Buffer.from("GET / HTTP/1.1\r\nHost: here\r\n\r\n")],
    // ApiVersions, version 3, from a client that was given the controllers' port.
    [
      "a Kafka client",
      Buffer.from("0000001b0012000300000001000474657374000474657374063100", "hex"),
    ],
    ["TLS, where there is none", Buffer.from("16030100c8010000c40303", "hex")],
  ])("that speaks %s is cut off, and is told nothing of use", async (_what, bytes) => {
    const stranger = dial(bytes);
    await until(() => stranger.isOver);
    expect(Buffer.concat(stranger.got).length).toBeLessThan(200);
    expect(admitted).toBe(0);
  });

  test("that says nothing is cut off after ten seconds", async () => {
    const stranger = dial();
    await until(() => clock.pendingCount === 1);
    await clock.advance(9_999);
    expect(stranger.socket.destroyed).toBe(false);
    await clock.advance(1);
    await until(() => stranger.isOver);
  });

  test("that is a gRPC client without a hello is refused, and cut off after ten seconds", async () => {
    const error = await call(`/${SERVICE}`);
    expect(error.details).toBe("this port is for the nodes of a Holdfast cluster");
    expect(admitted).toBe(0);
    expect(clock.pendingCount).toBe(1);
    await clock.advance(10_000);
    expect(clock.pendingCount).toBe(0);
  });

  test.each([
    [
      "of another cluster",
      encodeHello({ ...SELF, nodeId: 2, clusterId: "other" }),
      "cluster other",
    ],
    ["of our own id", encodeHello({ ...SELF, directoryId: OTHER }), "two nodes have node.id=1"],
    ["that is damaged", Buffer.from("08011aff", "hex"), "damaged"],
    ["that is empty", Buffer.alloc(0), "for the nodes of a Holdfast cluster"],
  ])("with a hello %s is refused with a reason", async (_what, hello, reason) => {
    const metadata = new Metadata();
    metadata.set("holdfast-hello-bin", hello);
    expect((await call(`/${SERVICE}`, metadata)).details).toContain(reason);
    expect(admitted).toBe(0);
  });

  test("that asks for another service, or for gRPC's own ones, finds none", async () => {
    for (const method of ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/a.B/C"]) {
      expect((await call(method)).details).toContain("does not implement");
    }
  });

  test("that comes in hundreds costs no more than sixty-four connections, and shuts nobody out", async () => {
    const strangers = Array.from({ length: 300 }, () => dial());
    await until(() => strangers.filter(({ isOver }) => isOver).length === 300 - 64);
    expect(clock.pendingCount).toBe(64);
    // The oldest have gone; a node of the cluster still comes in, and stays.
    const rpc = new GrpcRpc({ clock }, { tls: null });
    const opens: Buffer[] = [];
    const ends: string[] = [];
    const hello = encodeHello({ ...SELF, nodeId: 2 });
    const stream = rpc.open({ host: "127.0.0.1", port: port.port }, SERVICE, hello, {
      onOpen: (answer) => void opens.push(answer),
      onMessage: () => undefined,
      onEnd: ({ kind }) => void ends.push(kind),
    });
    await until(() => opens.length === 1);
    const more = Array.from({ length: 100 }, () => dial());
    await until(() => more.filter(({ isOver }) => isOver).length === 100 - 64);
    await clock.advance(60_000);
    await until(() => more.every(({ isOver }) => isOver));
    expect([admitted, ends]).toEqual([1, []]);
    stream.end();
  });

  test("that sends a header without end is cut off before it fills the memory", async () => {
    // The preface, empty SETTINGS, then a HEADERS frame that is never complete: END_HEADERS is not set.
    const preface = Buffer.concat([
      Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      Buffer.from("000000040000000000", "hex"),
      Buffer.from("000001010000000001" + "82", "hex"),
    ]);
    const stranger = dial(preface);
    const continuation = Buffer.concat([
      Buffer.from("004000090000000001", "hex"),
      Buffer.alloc(0x4000, 0x61),
    ]);
    let sentBytes = 0;
    const pour = (): void => {
      while (!stranger.isOver && sentBytes < 64 * 1024 * 1024) {
        sentBytes += continuation.length;
        if (!stranger.socket.write(continuation)) break;
      }
    };
    stranger.socket.on("drain", pour);
    pour();
    await until(() => stranger.isOver);
    expect(sentBytes).toBeLessThan(8 * 1024 * 1024);
  });
});
