import { describe, expect, test } from "vitest";
import type { Rpc } from "../../src/base/rpc.ts";
import { Trace } from "../../src/sim/trace.ts";
import { tracedOpenRpc } from "../../src/sim/traced-rpc.ts";
import { CONTRACT_MAX_MESSAGE_BYTES, describeRpcContract } from "../base/rpc-contract.ts";
import { SimNodes } from "./sim-nodes.ts";

function traced(rpc: Rpc, trace: Trace): Promise<Rpc> {
  return tracedOpenRpc(() => Promise.resolve(rpc), trace)({ tls: null });
}

describeRpcContract("SimRpcNet under a trace", async () => {
  const nodes = new SimNodes(1, { maxMessageBytes: CONTRACT_MAX_MESSAGE_BYTES });
  const { net } = nodes;
  const trace = new Trace();
  return {
    listening: await traced(net.host("b"), trace),
    opening: await traced(net.host("a"), trace),
    ...{ host: "b", until: (condition) => nodes.until(condition) },
    breakable: (port) => Promise.resolve({ port, break: () => net.breakConnections("a", "b") }),
    close: () => Promise.resolve(),
  };
});

describe("the trace of an Rpc", () => {
  async function lines(message: string, seed: number): Promise<readonly string[]> {
    const nodes = new SimNodes(seed);
    const trace = new Trace({ keepsLines: true });
    const listening = await traced(nodes.net.host("b"), trace);
    let isOver = false;
    await listening.listen(
      { host: "b", port: 1 },
      new Map([
        [
          "test.Any/Exchange",
          () => ({
            kind: "admitted",
            answer: Buffer.from("welcome"),
            onStream: () => ({ onMessage: () => undefined, onEnd: () => void (isOver = true) }),
          }),
        ],
      ]),
    );
    const opening = await traced(nodes.net.host("a"), trace);
    const stream = opening.open({ host: "b", port: 1 }, "test.Any/Exchange", Buffer.from("me"), {
      onMessage: () => undefined,
      onEnd: () => undefined,
    });
    stream.send(Buffer.from(message));
    stream.end();
    await nodes.until(() => isOver);
    return trace.lines;
  }

  test("is the same for the same events, and another for another byte", async () => {
    expect(await lines("one", 1)).toEqual(await lines("one", 1));
    expect(await lines("one", 1)).not.toEqual(await lines("two", 1));
    expect((await lines("one", 1)).length).toBeGreaterThan(8);
  });
});
