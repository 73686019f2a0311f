import { beforeEach, describe, expect, test } from "vitest";
import type { RpcEnd, RpcService, RpcStream } from "../../src/base/rpc.ts";
import type { SimRpcHost } from "../../src/sim/sim-rpc.ts";
import { CONTRACT_MAX_MESSAGE_BYTES, describeRpcContract } from "../base/rpc-contract.ts";
import { SimNodes } from "./sim-nodes.ts";

describeRpcContract("SimRpcNet", () => {
  const nodes = new SimNodes(1, { maxMessageBytes: CONTRACT_MAX_MESSAGE_BYTES });
  const { net } = nodes;
  return Promise.resolve({
    ...{ listening: net.host("b"), opening: net.host("a"), host: "b" },
    until: (condition) => nodes.until(condition),
    breakable: (port) => Promise.resolve({ port, break: () => net.breakConnections("a", "b") }),
    close: () => Promise.resolve(),
  });
});

const ADDRESS = { host: "b", port: 9093 };
const SERVICE = "test.Any/Exchange";

interface Told {
  readonly messages: string[];
  readonly ends: RpcEnd["kind"][];
  opens: number;
  stream: RpcStream | null;
}

describe("the faults of SimRpcNet", () => {
  let nodes: SimNodes;
  let a: SimRpcHost;
  let b: SimRpcHost;
  let far: Told;

  function told(): Told {
    return { messages: [], ends: [], opens: 0, stream: null };
  }

  function listenerOf(one: Told) {
    return {
      onOpen: () => void (one.opens += 1),
      onMessage: (message: Buffer) => void one.messages.push(message.toString()),
      onEnd: ({ kind }: RpcEnd) => void one.ends.push(kind),
    };
  }

  const service: RpcService = () => ({
    kind: "admitted",
    answer: Buffer.from("yes"),
    onStream: (stream) => {
      far = told();
      far.stream = stream;
      return listenerOf(far);
    },
  });

  function open(): Told {
    const near = told();
    near.stream = a.open(ADDRESS, SERVICE, Buffer.from("a"), listenerOf(near));
    return near;
  }

  async function connect(): Promise<Told> {
    const near = open();
    await nodes.until(() => near.opens === 1);
    return near;
  }

  beforeEach(async () => {
    nodes = new SimNodes();
    far = told();
    a = nodes.net.host("a");
    b = nodes.net.host("b");
    await b.listen(ADDRESS, new Map([[SERVICE, service]]));
  });

  test("a process that dies is noticed at once, and then nobody listens there", async () => {
    const near = await connect();
    b.kill();
    await nodes.runFor(50);
    expect(near.ends).toEqual(["lost"]);
    const again = open();
    await nodes.runFor(50);
    expect(again.ends).toEqual(["refused"]);
    expect(far.ends).toEqual([]);
  });

  test("a process that is dead opens and sends nothing more", async () => {
    const near = await connect();
    a.kill();
    near.stream!.send(Buffer.from("from beyond"));
    const ghost = open();
    ghost.stream!.send(Buffer.from("from beyond"));
    await nodes.runFor(1_000);
    expect([far.messages, far.opens, ghost.ends, ghost.opens]).toEqual([[], 0, [], 0]);
  });

  test("an opening that was given up never arrives, however late the way is mended", async () => {
    nodes.net.links.cut("a", "b");
    const near = open();
    await nodes.runFor(3_100);
    expect(near.ends).toEqual(["timedOut"]);
    nodes.net.links.mendAll();
    await nodes.runFor(1_000);
    expect(far.stream).toBeNull();
  });

  test("a dead process is told nothing, and its own streams break for others", async () => {
    const near = await connect();
    a.kill();
    await nodes.runFor(50);
    expect(far.ends).toEqual(["lost"]);
    expect(near.ends).toEqual([]);
  });

  test("what a process has sent before its death arrives up to some message, and none out of order", async () => {
    const counts = new Set<number>();
    for (let seed = 1; seed <= 20; seed += 1) {
      nodes = new SimNodes(seed);
      [a, b] = [nodes.net.host("a"), nodes.net.host("b")];
      await b.listen(ADDRESS, new Map([[SERVICE, service]]));
      const near = await connect();
      for (let index = 0; index < 10; index += 1) near.stream!.send(Buffer.from(String(index)));
      a.kill();
      await nodes.runFor(50);
      expect(far.messages).toEqual(Array.from(far.messages, (_, index) => String(index)));
      expect(far.ends).toEqual(["lost"]);
      counts.add(far.messages.length);
    }
    expect(counts.size).toBeGreaterThan(3);
  });

  test("a power cut is noticed by silence only, within four seconds", async () => {
    const near = await connect();
    b.cutPower();
    await nodes.runFor(1_900);
    expect(near.ends).toEqual([]);
    const again = open();
    await nodes.runFor(2_200);
    expect(near.ends).toEqual(["lost"]);
    await nodes.runFor(1_000);
    expect(again.ends).toEqual(["timedOut"]);
  });

  test("a machine that is back resets the streams of before at their next message", async () => {
    const near = await connect();
    b.cutPower();
    await nodes.runFor(100);
    b = nodes.net.host("b");
    near.stream!.send(Buffer.from("are you there?"));
    await nodes.runFor(50);
    expect(near.ends).toEqual(["lost"]);
    const again = open();
    await nodes.runFor(50);
    expect(again.ends).toEqual(["refused"]);
  });

  test("a short cut only delays, in both directions by itself", async () => {
    const near = await connect();
    nodes.net.links.cut("a", "b");
    near.stream!.send(Buffer.from("one"));
    near.stream!.send(Buffer.from("two"));
    far.stream!.send(Buffer.from("the other way"));
    await nodes.runFor(1_000);
    expect([near.messages, far.messages]).toEqual([["the other way"], []]);
    expect(near.stream!.queuedBytes).toBe(6);
    nodes.net.links.mend("a", "b");
    await nodes.runFor(50);
    expect(far.messages).toEqual(["one", "two"]);
    await nodes.runFor(5_000);
    expect([near.ends, far.ends, near.stream!.queuedBytes]).toEqual([[], [], 0]);
  });

  test("a cut of one way only breaks both ends when it lasts, and openings time out", async () => {
    const near = await connect();
    nodes.net.links.cut("b", "a");
    const again = open();
    await nodes.runFor(4_100);
    expect([near.ends, far.opens, again.ends]).toEqual([["lost"], 0, ["timedOut"]]);
    nodes.net.links.mendAll();
    await connect();
  });

  test("two short cuts do not add up to a long one", async () => {
    const near = await connect();
    for (let round = 0; round < 10; round += 1) {
      nodes.net.links.cut("a", "b");
      await nodes.runFor(1_500);
      nodes.net.links.mend("a", "b");
      await nodes.runFor(100);
    }
    expect([near.ends, far.ends]).toEqual([[], []]);
  });

  test("machines of different groups of a partition do not reach each other, others reach all", async () => {
    nodes.net.links.partition([["a"], ["b", "c"]]);
    const cut = open();
    const fromC = told();
    nodes.net.host("c").open(ADDRESS, SERVICE, Buffer.from("c"), listenerOf(fromC));
    const fromD = told();
    nodes.net.host("d").open(ADDRESS, SERVICE, Buffer.from("d"), listenerOf(fromD));
    await nodes.runFor(3_100);
    expect([cut.ends, fromC.opens, fromD.opens]).toEqual([["timedOut"], 1, 1]);
  });

  test("a delay holds for one direction, and keeps the order", async () => {
    const near = await connect();
    nodes.net.links.delay("a", "b", 500);
    near.stream!.send(Buffer.from("slow"));
    nodes.net.links.delay("a", "b", 0);
    near.stream!.send(Buffer.from("behind it"));
    far.stream!.send(Buffer.from("fast"));
    await nodes.runFor(400);
    expect([near.messages, far.messages]).toEqual([["fast"], []]);
    await nodes.runFor(200);
    expect(far.messages).toEqual(["slow", "behind it"]);
  });

  test("the same seed gives the same world", async () => {
    const run = async () => {
      nodes = new SimNodes(7);
      [a, b] = [nodes.net.host("a"), nodes.net.host("b")];
      await b.listen(ADDRESS, new Map([[SERVICE, service]]));
      const near = await connect();
      for (let index = 0; index < 50; index += 1) near.stream!.send(Buffer.from("x"));
      await nodes.until(() => far.messages.length === 50);
      return nodes.clock.nowMs;
    };
    expect(await run()).toBe(await run());
  });
});
