import { beforeEach, describe, expect, test } from "vitest";
import { uuidFromBytes } from "../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../src/base/logger.ts";
import type { RpcAddress } from "../../src/base/rpc.ts";
import { encodeHello } from "../../src/protocol/peers/hello.ts";
import type { ReplicaKey } from "../../src/raft/core/voters.ts";
import { PeerTransport, RAFT_SERVICE } from "../../src/raft/peer-transport.ts";
import type { RaftMessage } from "../../src/raft/transport.ts";
import type { SimRpcHost } from "../../src/sim/sim-rpc.ts";
import { SimNodes } from "../sim/sim-nodes.ts";

const CLUSTER = "4L6g3nShT-eMCtK--X86sw";
const PORT = 9093;

interface Node {
  readonly id: number;
  readonly rpc: SimRpcHost;
  readonly transport: PeerTransport;
  readonly got: [from: ReplicaKey, message: RaftMessage][];
  readonly unreachable: number[];
  readonly warnings: string[];
  kill(): void;
}

interface Special {
  readonly clusterId?: string;
  readonly directoryByte?: number;
  readonly bootstrap?: readonly RpcAddress[];
  readonly addresses?: ReadonlyMap<number, RpcAddress>;
  /** As an observer that nobody knows. */
  readonly nodeId?: number;
}

function addressOf(id: number): RpcAddress {
  return { host: `node-${id}`, port: PORT };
}

function directory(byte: number) {
  return uuidFromBytes(Buffer.alloc(16, byte));
}

const fetch = (fetchOffset: number): RaftMessage => ({
  kind: "fetch",
  epoch: 3,
  fetchOffset,
  lastFetchedEpoch: 2,
  highWatermark: 1,
});

describe("PeerTransport", () => {
  let nodes: SimNodes;

  beforeEach(() => {
    nodes = new SimNodes();
  });

  /** A node on the machine of that number; voters 1 to 3 know each other. */
  async function start(machine: number, special: Special = {}): Promise<Node> {
    const { rpc, clock } = nodes.process(`node-${machine}`);
    const id = special.nodeId ?? machine;
    const others = [1, 2, 3].filter((other) => other !== id);
    const warnings: string[] = [];
    const logger = {
      ...SILENT_LOGGER,
      warn: (_facts: object, text: string) => void warnings.push(text),
    };
    const transport = new PeerTransport(
      { rpc, clock, random: nodes.random.fork(`node ${machine}`), logger },
      {
        hello: () => ({
          clusterId: special.clusterId ?? CLUSTER,
          nodeId: id,
          directoryId: directory(special.directoryByte ?? id),
          brokerEpoch: null,
          address: addressOf(machine),
        }),
        addresses: special.addresses ?? new Map(others.map((other) => [other, addressOf(other)])),
        bootstrap: special.bootstrap ?? [],
      },
    );
    await rpc.listen(addressOf(machine), new Map([[RAFT_SERVICE, transport.service]]));
    const got: Node["got"] = [];
    const unreachable: number[] = [];
    transport.setListener({
      onMessage: (from, message) => void got.push([from, message]),
      onUnreachable: (nodeId) => void unreachable.push(nodeId),
    });
    const kill = (): void => {
      clock.kill();
      rpc.kill();
    };
    return { id, rpc, transport, got, unreachable, warnings, kill };
  }

  test("a message goes to the node of that id, and names its sender and the sender's directory", async () => {
    const [one, two, three] = [await start(1), await start(2), await start(3)];
    one.transport.send(2, fetch(10));
    two.transport.send(3, fetch(20));
    three.transport.send(1, fetch(30));
    await nodes.runFor(100);
    expect(two.got).toEqual([[{ nodeId: 1, directoryId: directory(1) }, fetch(10)]]);
    expect(three.got).toEqual([[{ nodeId: 2, directoryId: directory(2) }, fetch(20)]]);
    expect(one.got).toEqual([[{ nodeId: 3, directoryId: directory(3) }, fetch(30)]]);
  });

  test("an observer that nobody knows is answered on the stream that it has opened", async () => {
    const one = await start(1);
    const observer = await start(9);
    await nodes.runFor(100);
    observer.transport.send(1, fetch(5));
    await nodes.runFor(100);
    expect(one.got.map(([from]) => from)).toEqual([{ nodeId: 9, directoryId: directory(9) }]);
    one.transport.send(9, fetch(6));
    await nodes.runFor(100);
    expect(observer.got).toEqual([[{ nodeId: 1, directoryId: directory(1) }, fetch(6)]]);
  });

  test("a node is found by its address alone, and tells its id", async () => {
    const one = await start(1, { addresses: new Map(), bootstrap: [addressOf(2), addressOf(3)] });
    const two = await start(2, { addresses: new Map() });
    await nodes.runFor(1_500);
    one.transport.send(2, fetch(5));
    await nodes.runFor(100);
    expect(two.got).toHaveLength(1);
    // Node 3 has never been there, so it has no id that could be told.
    expect(one.unreachable).toEqual([]);
    two.kill();
    await nodes.runFor(100);
    expect(one.unreachable[0]).toBe(2);
  });

  test("a node that is found in two ways gets one stream, and keeps it", async () => {
    const two = await start(2, { addresses: new Map() });
    const one = await start(1, {
      addresses: new Map(),
      bootstrap: [addressOf(2), { host: "node-2", port: PORT }],
    });
    await nodes.runFor(5_000);
    one.transport.setAddress(2, addressOf(2));
    await nodes.runFor(5_000);
    const before = nodes.net.openedCount;
    await nodes.runFor(60_000);
    expect(nodes.net.openedCount).toBe(before);
    one.transport.send(2, fetch(1));
    two.transport.send(1, fetch(2));
    await nodes.runFor(100);
    expect([one.got.length, two.got.length]).toEqual([1, 1]);
  });

  test("two processes that fight for one id do so at most twice a second each", async () => {
    await start(1);
    await start(8, { nodeId: 9, directoryByte: 8, addresses: new Map([[1, addressOf(1)]]) });
    await start(9, { addresses: new Map([[1, addressOf(1)]]) });
    await nodes.runFor(10_000);
    const before = nodes.net.openedCount;
    await nodes.runFor(60_000);
    // Node 1 itself looks for nodes 2 and 3, too.
    expect(nodes.net.openedCount - before).toBeLessThan(4 * 2 * 60);
  });

  test("an address that is its own is left alone, without a word", async () => {
    const all = { addresses: new Map(), bootstrap: [addressOf(1), addressOf(2)] };
    const [one, two] = [await start(1, all), await start(2, all)];
    await nodes.runFor(10_000);
    one.transport.send(2, fetch(1));
    two.transport.send(1, fetch(2));
    await nodes.runFor(100);
    expect([one.got.length, two.got.length]).toEqual([1, 1]);
    expect([one.warnings, two.warnings]).toEqual([[], []]);
  });

  test("nothing is sent, and nothing fails, where nobody is known", async () => {
    const one = await start(1);
    one.transport.send(77, fetch(1));
    one.transport.send(2, fetch(1));
    await nodes.runFor(100);
    expect(one.got).toEqual([]);
  });

  test("a refused connection is told at once and again, silence is not (R16)", async () => {
    const [one, two] = [await start(1), await start(2)];
    await nodes.runFor(1_000);
    one.unreachable.length = 0;
    two.kill();
    await nodes.runFor(300);
    expect(one.unreachable.filter((id) => id === 2).length).toBeGreaterThanOrEqual(2);

    const again = await start(2);
    await nodes.runFor(1_500);
    one.unreachable.length = 0;
    again.rpc.cutPower();
    await nodes.runFor(10_000);
    expect(one.unreachable.filter((id) => id === 2)).toEqual([]);
  });

  test("a node that comes back is reached within two seconds, as what it is now", async () => {
    const one = await start(1);
    const two = await start(2);
    await nodes.runFor(500);
    two.kill();
    await nodes.runFor(20_000);
    const wiped = await start(2, { directoryByte: 77 });
    await nodes.runFor(2_000);
    one.transport.send(2, fetch(5));
    wiped.transport.send(1, fetch(6));
    await nodes.runFor(100);
    expect(wiped.got).toHaveLength(1);
    expect(one.got).toEqual([[{ nodeId: 2, directoryId: directory(77) }, fetch(6)]]);
  });

  test("attempts that fail become rare: at most once a second or so", async () => {
    const one = await start(1, { addresses: new Map([[2, addressOf(2)]]) });
    await nodes.runFor(60_000);
    expect(one.unreachable.length).toBeGreaterThan(40);
    expect(one.unreachable.length).toBeLessThan(130);
  });

  test("a node of another cluster gets nothing, and both say which two they are", async () => {
    const one = await start(1);
    const foreign = await start(2, { clusterId: "another-cluster-000000" });
    one.transport.send(2, fetch(1));
    foreign.transport.send(1, fetch(2));
    await nodes.runFor(5_000);
    expect([one.got, foreign.got]).toEqual([[], []]);
    for (const { warnings } of [one, foreign]) {
      expect(warnings.join()).toContain(CLUSTER);
      expect(warnings.join()).toContain("another-cluster-000000");
      // Said once a side, and not with each attempt.
      expect(warnings.length).toBeLessThan(4);
    }
  });

  test("a node that is not the one its address is known for gets no messages on that stream", async () => {
    const one = await start(1, { addresses: new Map([[2, addressOf(3)]]) });
    await start(3);
    await nodes.runFor(1_000);
    expect(one.warnings).toEqual([
      "no stream to another node: node-3:9093 should be node 2, and is node 3",
    ]);
  });

  test("two nodes of one id do not talk to each other", async () => {
    const one = await start(1);
    const addresses = new Map([[3, addressOf(1)]]);
    const double = await start(4, { nodeId: 1, directoryByte: 4, addresses });
    double.transport.send(3, fetch(1));
    await nodes.runFor(1_000);
    expect(one.got).toEqual([]);
    expect(one.warnings.join()).toContain("two nodes have node.id=1");
  });

  test("an address that is new takes the place of the old one", async () => {
    const one = await start(1);
    const moved = await start(5, { nodeId: 2 });
    one.transport.setAddress(2, addressOf(5));
    await nodes.runFor(1_500);
    one.transport.send(2, fetch(9));
    await nodes.runFor(100);
    expect(moved.got).toHaveLength(1);
  });

  test("what waits for a node that takes nothing is bounded, and the rest is dropped", async () => {
    const [one, two] = [await start(1), await start(2)];
    await nodes.runFor(100);
    nodes.net.links.cut("node-1", "node-2");
    const bytes = Buffer.alloc(1024 * 1024);
    const batch = { baseOffset: 0, endOffset: 1, leaderEpoch: 1, bytes };
    for (let count = 0; count < 100; count += 1) {
      one.transport.send(2, {
        kind: "fetchAnswer",
        epoch: 1,
        fetchOffset: 0,
        lastFetchedEpoch: 0,
        highWatermark: 0,
        outcome: { kind: "records", batches: [batch] },
      });
    }
    nodes.net.links.mendAll();
    await nodes.runFor(100);
    expect(two.got.length).toBeGreaterThan(7);
    expect(two.got.length).toBeLessThan(11);
  });

  test("bytes that are no message end the stream, and nothing of it is delivered", async () => {
    const one = await start(1);
    const { rpc } = nodes.process("node-8");
    const ends: string[] = [];
    const stream = rpc.open(
      addressOf(1),
      RAFT_SERVICE,
      encodeHello({
        clusterId: CLUSTER,
        nodeId: 8,
        directoryId: directory(8),
        brokerEpoch: 5,
        address: null,
      }),
      { onMessage: () => undefined, onEnd: ({ kind }) => void ends.push(kind) },
    );
    stream.send(Buffer.from("ffffffff", "hex"));
    await nodes.runFor(100);
    expect(ends).toHaveLength(1);
    expect(one.got).toEqual([]);
    expect(one.warnings.join()).toContain("a damaged message from node 8");
  });

  test("after close nothing is sent or told, and whoever comes is turned away", async () => {
    const [one, two] = [await start(1), await start(2)];
    await nodes.runFor(100);
    two.transport.send(1, fetch(1));
    await one.transport.close();
    await one.transport.close();
    one.transport.send(2, fetch(2));
    await nodes.runFor(3_000);
    expect([one.got, two.got]).toEqual([[], []]);
    expect(two.warnings.join()).toContain("this node is stopping");
  });
});
