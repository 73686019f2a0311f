import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loopTurn, SystemClock } from "../../../src/base/clock.ts";
import type { Listener } from "../../../src/base/net.ts";
import type { RpcEnd } from "../../../src/base/rpc.ts";
import type { RpcTls } from "../../../src/base/rpc.ts";
import { GrpcRpc } from "../../../src/server/net/grpc-rpc.ts";
import { CONTRACT_MAX_MESSAGE_BYTES, describeRpcContract } from "../../base/rpc-contract.ts";
import { proxies } from "./proxies.ts";

function pem(name: string): string {
  return readFileSync(`test/support/certificates/${name}`, "utf8");
}

/** Whom it trusts, and who it is. */
function tlsOf(authority: "cluster" | "stranger", node: "cluster" | "stranger"): RpcTls {
  return {
    authorities: pem(`${authority}-authority.pem`),
    certificateChain: pem(`${node}-node.pem`),
    privateKey: pem(`${node}-node.key`),
  };
}

function rpcWith(tls: RpcTls | null): GrpcRpc {
  return new GrpcRpc(
    { clock: new SystemClock() },
    { tls, maxMessageBytes: CONTRACT_MAX_MESSAGE_BYTES },
  );
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await loopTurn();
}

describe("streams between nodes with certificates of both sides", () => {
  let port: Listener;
  let admitted: number;

  beforeEach(async () => {
    admitted = 0;
    port = await rpcWith(tlsOf("cluster", "cluster")).listen(
      { host: "127.0.0.1", port: 0 },
      new Map([
        [
          "test.Any/Exchange",
          () => ({
            kind: "admitted",
            answer: Buffer.from("welcome"),
            onStream: () => {
              admitted += 1;
              return { onMessage: () => undefined, onEnd: () => undefined };
            },
          }),
        ],
      ]),
    );
  });

  afterEach(() => port.close());

  async function opened(tls: RpcTls | null): Promise<string> {
    const told: string[] = [];
    const address = { host: "127.0.0.1", port: port.port };
    const stream = rpcWith(tls).open(address, "test.Any/Exchange", Buffer.from("me"), {
      onOpen: (answer) => void told.push(answer.toString()),
      onMessage: () => undefined,
      onEnd: (end: RpcEnd) => void told.push(end.kind),
    });
    await until(() => told.length > 0);
    stream.destroy();
    return told[0]!;
  }

  test("a node of the cluster is admitted", async () => {
    expect(await opened(tlsOf("cluster", "cluster"))).toBe("welcome");
  });

  test.each([
    ["that has a certificate of another authority", tlsOf("cluster", "stranger")],
    ["that does not trust our authority", tlsOf("stranger", "cluster")],
    ["that has none and speaks plaintext", null],
  ])("whoever opens a stream %s gets none", async (_what, tls) => {
    expect(await opened(tls)).not.toBe("welcome");
    expect(admitted).toBe(0);
  });

  test("garbage instead of a handshake is cut off", async () => {
    const socket = connect(port.port, "127.0.0.1");
    let isOver = false;
    socket.on("error", () => undefined).on("close", () => (isOver = true));
    socket.write(Buffer.alloc(5_000, 0x41));
    socket.resume();
    await until(() => isOver);
    expect(admitted).toBe(0);
  });
});

describeRpcContract("GrpcRpc with TLS", () => {
  const rpc = rpcWith(tlsOf("cluster", "cluster"));
  return Promise.resolve({
    ...{ listening: rpc, opening: rpc, host: "127.0.0.1", until },
    ...proxies(),
  });
});
