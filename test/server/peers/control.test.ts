import { beforeEach, describe, expect, test } from "vitest";
import { uuidFromBytes } from "../../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../../src/base/logger.ts";
import { TimerQueue } from "../../../src/base/timer-queue.ts";
import { KafkaError, ProtocolError } from "../../../src/protocol/errors.ts";
import { encodeHello, type Hello } from "../../../src/protocol/peers/hello.ts";
import type { LeaderAndEpoch } from "../../../src/raft/raft-client.ts";
import type {
  ControllerAnswer,
  ControllerRequest,
} from "../../../src/server/metadata/controller-apis.ts";
import { ControlClient } from "../../../src/server/peers/control-client.ts";
import { CONTROL_SERVICE } from "../../../src/server/peers/control-codec.ts";
import { ControlServer, type LostSession } from "../../../src/server/peers/control-server.ts";
import { SimNodes } from "../../sim/sim-nodes.ts";

const PORT = 9093;

function addressOf(id: number) {
  return { host: `node-${id}`, port: PORT };
}

/** Its answer is the request turned round, unless a test says otherwise. */
function answered({ body }: ControllerRequest): Promise<ControllerAnswer> {
  return Promise.resolve({ lastOffset: body.length, body: Buffer.from(body).reverse() });
}

function request(text: string): ControllerRequest {
  return { apiKey: 63, apiVersion: 1, body: Buffer.from(text) };
}

describe("the control stream", () => {
  let nodes: SimNodes;
  /** Who leads, as brokers and controllers know it. */
  let leader: LeaderAndEpoch;

  beforeEach(() => {
    nodes = new SimNodes();
    leader = { leaderId: 1, leaderEpoch: 5 };
  });

  function helloOf(nodeId: number, brokerEpoch: number | null = null): Hello {
    const directoryId = uuidFromBytes(Buffer.alloc(16, nodeId));
    const clusterId = "4L6g3nShT-eMCtK--X86sw";
    return { clusterId, nodeId, directoryId, brokerEpoch, address: addressOf(nodeId) };
  }

  async function controller(nodeId: number, knownLeader: () => LeaderAndEpoch = () => leader) {
    const { rpc, clock } = nodes.process(`node-${nodeId}`);
    const requests: [from: number, body: string][] = [];
    const lost: LostSession[] = [];
    const state = { serve: answered };
    const server = new ControlServer(
      { rpc, clock, logger: SILENT_LOGGER },
      {
        hello: () => helloOf(nodeId),
        leader: knownLeader,
        serve: (asked, from) => {
          requests.push([from.nodeId, asked.body.toString()]);
          return state.serve(asked);
        },
        onSessionLost: (session) => void lost.push(session),
      },
    );
    await rpc.listen(addressOf(nodeId), new Map([[CONTROL_SERVICE, server.service]]));
    const kill = (): void => {
      clock.kill();
      rpc.kill();
    };
    return { server, rpc, requests, lost, state, kill };
  }

  async function broker(nodeId: number, brokerEpoch: () => number | null = () => 40) {
    const { rpc, clock } = nodes.process(`node-${nodeId}`);
    const port = await rpc.listen(addressOf(nodeId), new Map());
    const client = new ControlClient(
      {
        ...{ rpc, clock, logger: SILENT_LOGGER, random: nodes.random.fork(`${nodeId}`) },
        timers: new TimerQueue(clock),
      },
      { hello: () => helloOf(nodeId, brokerEpoch()), leader: () => leader, addressOf },
    );
    const kill = (): void => {
      clock.kill();
      rpc.kill();
    };
    return { client, rpc, port, kill };
  }

  /** What comes of a promise, while the world goes on. */
  async function outcomeOf<T>(promise: Promise<T>): Promise<T | KafkaError> {
    let outcome: T | KafkaError | undefined;
    promise.then(
      (value) => (outcome = value),
      (error: unknown) => (outcome = error as KafkaError),
    );
    await nodes.until(() => outcome !== undefined);
    return outcome!;
  }

  test("each request gets its own answer, in whatever order they come", async () => {
    const { state } = await controller(1);
    const waiting: (() => void)[] = [];
    state.serve = (asked) => new Promise((resolve) => waiting.push(() => resolve(answered(asked))));
    const { client } = await broker(9);
    const answers = ["abc", "de", ""].map((text) => client.request(request(text), 5_000));
    await nodes.until(() => waiting.length === 3);
    for (const answer of waiting.reverse()) answer();
    const all = (await outcomeOf(Promise.all(answers))) as ControllerAnswer[];
    expect(all.map(({ lastOffset, body }) => [lastOffset, body.toString()])).toEqual([
      [3, "cba"],
      [2, "ed"],
      [0, ""],
    ]);
  });

  test("an answer that changed nothing says so", async () => {
    const { state } = await controller(1);
    state.serve = () => Promise.resolve({ lastOffset: null, body: Buffer.from("x") });
    const { client } = await broker(9);
    expect(await outcomeOf(client.request(request(""), 5_000))).toMatchObject({ lastOffset: null });
  });

  test.each([
    [
      new KafkaError("BROKER_ID_NOT_REGISTERED", "who are you?"),
      "BROKER_ID_NOT_REGISTERED",
      "who are you?",
    ],
    [new ProtocolError("truncated", "too short"), "INVALID_REQUEST", "too short"],
    [new Error("a bug"), "UNKNOWN_SERVER_ERROR", "the controller failed"],
  ])("a refusal comes with its name and its words: %s", async (error, name, message) => {
    const { state } = await controller(1);
    state.serve = () => Promise.reject(error);
    const { client } = await broker(9);
    const outcome = await outcomeOf(client.request(request("x"), 5_000));
    expect(outcome).toBeInstanceOf(KafkaError);
    expect(outcome).toMatchObject({ errorName: name, message });
  });

  test("a request that is not answered in its time is given up, and its late answer is nobody's", async () => {
    const { state } = await controller(1);
    let answer = (): void => undefined;
    state.serve = (asked) => new Promise((resolve) => (answer = () => resolve(answered(asked))));
    const { client } = await broker(9);
    const outcome = await outcomeOf(client.request(request("x"), 500));
    expect(outcome).toMatchObject({ errorName: "REQUEST_TIMED_OUT" });
    answer();
    state.serve = answered;
    expect(await outcomeOf(client.request(request("ab"), 500))).toMatchObject({ lastOffset: 2 });
  });

  test("where no leader is known nothing is asked", async () => {
    leader = { leaderId: null, leaderEpoch: 5 };
    const { client } = await broker(9);
    await expect(client.request(request("x"), 5_000)).rejects.toMatchObject({
      errorName: "NOT_CONTROLLER",
    });
  });

  test("a controller that is not there has done nothing: NOT_CONTROLLER", async () => {
    const { client } = await broker(9);
    const outcome = await outcomeOf(client.request(request("x"), 5_000));
    expect(outcome).toMatchObject({ errorName: "NOT_CONTROLLER" });
  });

  test("a request whose answer is lost with the controller may have been done: NETWORK_EXCEPTION", async () => {
    const one = await controller(1);
    one.state.serve = () => new Promise(() => undefined);
    const { client } = await broker(9);
    const outcome = outcomeOf(client.request(request("x"), 5_000));
    await nodes.until(() => one.requests.length === 1);
    one.kill();
    expect(await outcome).toMatchObject({ errorName: "NETWORK_EXCEPTION" });
  });

  test("a new leader is followed as soon as it is known, without a request", async () => {
    const [one, two] = [await controller(1), await controller(2)];
    const { client } = await broker(9);
    await outcomeOf(client.request(request("x"), 5_000));
    leader = { leaderId: 2, leaderEpoch: 6 };
    client.follow();
    await nodes.runFor(100);
    await outcomeOf(client.request(request("y"), 5_000));
    expect([one.requests, two.requests]).toEqual([[[9, "x"]], [[9, "y"]]]);
    // The process is alive, and its stream was only moved.
    expect(one.lost).toEqual([]);
  });

  test("a node that leads now needs no stream, and leaves that to the leader before it", async () => {
    const { requests } = await controller(1);
    const nine = await broker(9);
    await outcomeOf(nine.client.request(request("x"), 5_000));
    leader = { leaderId: 9, leaderEpoch: 6 };
    nine.client.follow();
    await expect(nine.client.request(request("y"), 5_000)).rejects.toMatchObject({
      errorName: "NOT_CONTROLLER",
    });
    await nodes.runFor(1_000);
    expect(requests).toEqual([[9, "x"]]);
  });

  test("a controller that does not lead says who does, and the next request goes there", async () => {
    const one = await controller(1, () => ({ leaderId: 2, leaderEpoch: 6 }));
    one.state.serve = () => Promise.reject(new KafkaError("NOT_CONTROLLER"));
    const two = await controller(2);
    const { client } = await broker(9);
    expect(await outcomeOf(client.request(request("x"), 5_000))).toMatchObject({
      errorName: "NOT_CONTROLLER",
    });
    expect(await outcomeOf(client.request(request("y"), 5_000))).toMatchObject({ lastOffset: 1 });
    expect(two.requests).toEqual([[9, "y"]]);
  });

  test("an old hint does not go before what the quorum here knows", async () => {
    const one = await controller(1, () => ({ leaderId: 2, leaderEpoch: 4 }));
    one.state.serve = () => Promise.reject(new KafkaError("NOT_CONTROLLER"));
    const { client } = await broker(9);
    await outcomeOf(client.request(request("x"), 5_000));
    one.state.serve = answered;
    expect(await outcomeOf(client.request(request("y"), 5_000))).toMatchObject({ lastOffset: 1 });
  });

  test("the stream is there again after the controller's restart, without a request", async () => {
    const one = await controller(1);
    const { client } = await broker(9);
    await outcomeOf(client.request(request("x"), 5_000));
    one.kill();
    await nodes.runFor(3_000);
    const again = await controller(1);
    await nodes.runFor(2_000);
    expect(await outcomeOf(client.request(request("yy"), 100))).toMatchObject({ lastOffset: 2 });
    expect(again.requests).toEqual([[9, "yy"]]);
  });

  test("after close what waits is rejected, and so is what comes", async () => {
    const { state } = await controller(1);
    state.serve = () => new Promise(() => undefined);
    const { client } = await broker(9);
    const waiting = client.request(request("x"), 5_000).catch((error: unknown) => error);
    client.close();
    client.close();
    expect(await waiting).toMatchObject({ errorName: "NETWORK_EXCEPTION" });
    await expect(client.request(request("x"), 5_000)).rejects.toMatchObject({
      errorName: "NOT_CONTROLLER",
    });
  });

  test("requests beyond a thousand that wait are refused", async () => {
    const { state, requests } = await controller(1);
    state.serve = () => new Promise(() => undefined);
    const { client } = await broker(9);
    const refusals: unknown[] = [];
    for (let count = 0; count < 1_010; count += 1) {
      client.request(request("x"), 60_000).catch((error: unknown) => refusals.push(error));
    }
    await nodes.until(() => requests.length === 1_000);
    expect(refusals).toHaveLength(10);
    expect(refusals[0]).toMatchObject({ errorName: "NOT_CONTROLLER" });
  });

  describe("a session that is lost (R16)", () => {
    test("a process that is gone is reported within 300 ms, with the epoch of its last request", async () => {
      const one = await controller(1);
      let brokerEpoch: number | null = null;
      const nine = await broker(9, () => brokerEpoch);
      await outcomeOf(nine.client.request(request("register"), 5_000));
      brokerEpoch = 41;
      await outcomeOf(nine.client.request(request("heartbeat"), 5_000));
      nine.kill();
      await nodes.runFor(300);
      expect(one.lost).toEqual([{ brokerId: 9, brokerEpoch: 41, how: "lost" }]);
    });

    test("a broker that closes its stream and its port is gone, too", async () => {
      const one = await controller(1);
      const nine = await broker(9);
      await outcomeOf(nine.client.request(request("x"), 5_000));
      nine.client.close();
      await nine.port.close();
      await nodes.runFor(300);
      expect(one.lost).toMatchObject([{ brokerId: 9, how: "ended" }]);
    });

    test("a connection that breaks while the process lives is no loss, and the stream comes back", async () => {
      const one = await controller(1);
      const nine = await broker(9);
      await outcomeOf(nine.client.request(request("x"), 5_000));
      nodes.net.breakConnections("node-1", "node-9");
      await nodes.runFor(1_000);
      expect(one.lost).toEqual([]);
      expect(await outcomeOf(nine.client.request(request("y"), 50))).toMatchObject({
        lastOffset: 1,
      });
    });

    test("silence is no loss: a cut network and a power cut wait for the session", async () => {
      const one = await controller(1);
      const nine = await broker(9);
      const eight = await broker(8);
      await outcomeOf(nine.client.request(request("x"), 5_000));
      await outcomeOf(eight.client.request(request("x"), 5_000));
      nodes.net.links.partition([["node-1"], ["node-9"]]);
      eight.rpc.cutPower();
      await nodes.runFor(20_000);
      expect(one.lost).toEqual([]);
    });

    test("a process that is there again between the two looks is not reported", async () => {
      const one = await controller(1);
      const nine = await broker(9);
      await outcomeOf(nine.client.request(request("x"), 5_000));
      nine.kill();
      await nodes.runFor(50);
      await broker(9, () => null);
      await nodes.runFor(1_000);
      expect(one.lost).toEqual([]);
    });

    test("a broker that died with the controller before is missed by the next one; others are not", async () => {
      const one = await controller(1);
      const nine = await broker(9);
      await broker(7);
      one.server.expect([
        { brokerId: 9, brokerEpoch: 40, address: addressOf(9) },
        { brokerId: 8, brokerEpoch: 30, address: addressOf(8) },
        // It has not come, and can be reached.
        { brokerId: 7, brokerEpoch: 20, address: addressOf(7) },
      ]);
      await outcomeOf(nine.client.request(request("x"), 5_000));
      await nodes.runFor(600);
      expect(one.lost).toEqual([{ brokerId: 8, brokerEpoch: 30, how: "absent" }]);
    });

    test("a node that has never been registered is nobody's loss", async () => {
      const one = await controller(1);
      const nine = await broker(9, () => null);
      await outcomeOf(nine.client.request(request("x"), 5_000));
      nine.kill();
      await nodes.runFor(1_000);
      expect(one.lost).toEqual([]);
    });
  });

  test("a node that sends what is no request, or too much, is cut off, and asks nobody anything", async () => {
    const one = await controller(1);
    const { rpc } = nodes.process("node-7");
    const ends: string[] = [];
    const stream = rpc.open(addressOf(1), CONTROL_SERVICE, encodeHello(helloOf(7)), {
      onMessage: () => undefined,
      onEnd: ({ kind }) => void ends.push(kind),
    });
    stream.send(Buffer.from("ffff", "hex"));
    await nodes.until(() => ends.length === 1);
    one.state.serve = () => new Promise(() => undefined);
    const greedy = rpc.open(addressOf(1), CONTROL_SERVICE, encodeHello(helloOf(7)), {
      onMessage: () => undefined,
      onEnd: ({ kind }) => void ends.push(kind),
    });
    for (let count = 0; count < 2_010; count += 1) greedy.send(Buffer.from("0801", "hex"));
    await nodes.until(() => ends.length === 2);
    expect(one.requests).toHaveLength(2_000);
  });

  test("a node of another cluster is turned away with a sentence that names both", async () => {
    await controller(1);
    const { rpc } = nodes.process("node-7");
    const told: string[] = [];
    const foreign = { ...helloOf(7), clusterId: "another-cluster-000000" };
    rpc.open(addressOf(1), CONTROL_SERVICE, encodeHello(foreign), {
      onMessage: () => undefined,
      onEnd: ({ kind, message }) => void told.push(kind, message),
    });
    await nodes.until(() => told.length > 0);
    expect(told).toEqual([
      "rejected",
      "node 7 belongs to cluster another-cluster-000000, node 1 to cluster 4L6g3nShT-eMCtK--X86sw",
    ]);
  });
});
