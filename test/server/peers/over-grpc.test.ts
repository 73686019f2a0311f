import { afterEach, describe, expect, test } from "vitest";
import { loopTurn, SystemClock } from "../../../src/base/clock.ts";
import { uuidFromBytes } from "../../../src/base/ids.ts";
import { SILENT_LOGGER } from "../../../src/base/logger.ts";
import type { Listener } from "../../../src/base/net.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import type { RpcAddress } from "../../../src/base/rpc.ts";
import { TimerQueue } from "../../../src/base/timer-queue.ts";
import type { Hello } from "../../../src/protocol/peers/hello.ts";
import { PeerTransport, RAFT_SERVICE } from "../../../src/raft/peer-transport.ts";
import type { RaftMessage } from "../../../src/raft/transport.ts";
import { GrpcRpc } from "../../../src/server/net/grpc-rpc.ts";
import { ControlClient } from "../../../src/server/peers/control-client.ts";
import { CONTROL_SERVICE } from "../../../src/server/peers/control-codec.ts";
import { ControlServer, type LostSession } from "../../../src/server/peers/control-server.ts";
import { proxies } from "../net/proxies.ts";

const clock = new SystemClock();
const rpc = new GrpcRpc({ clock }, { tls: null });
const dependencies = { rpc, clock, random: new SeededRandom(1), logger: SILENT_LOGGER };
const ANYWHERE = { host: "127.0.0.1", port: 0 };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await loopTurn();
}

function helloOf(nodeId: number, address: RpcAddress | null = null): Hello {
  const directoryId = uuidFromBytes(Buffer.alloc(16, nodeId));
  return { clusterId: "4L6g3nShT-eMCtK--X86sw", nodeId, directoryId, brokerEpoch: 7, address };
}

/** The rest is proven in virtual time; here is what only the real network can show. */
describe("nodes that talk over gRPC", () => {
  const closers: (() => unknown)[] = [];
  const ways = proxies();

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    await ways.close();
  });

  test("carry the messages of the quorum both ways, and notice a node that is gone (R16)", async () => {
    const got: RaftMessage[][] = [[], []];
    const unreachable: number[] = [];
    const ports: Listener[] = [];
    const transports: PeerTransport[] = [];
    for (const index of [0, 1]) {
      const first = ports[0];
      const addresses =
        first === undefined ? [] : [[1, { host: "127.0.0.1", port: first.port }] as const];
      const transport = new PeerTransport(dependencies, {
        hello: () => helloOf(index + 1),
        addresses: new Map(addresses),
        bootstrap: [],
      });
      transport.setListener({
        onMessage: (_from, message) => void got[index]!.push(message),
        onUnreachable: (nodeId) => void unreachable.push(nodeId),
      });
      ports.push(await rpc.listen(ANYWHERE, new Map([[RAFT_SERVICE, transport.service]])));
      transports.push(transport);
      closers.push(() => transport.close());
      closers.push(() => ports[index]!.close());
    }
    const [one, two] = transports;
    const bytes = Buffer.alloc(2 * 1024 * 1024, 7);
    const large: RaftMessage = {
      ...{ kind: "snapshotChunk", epoch: 3, id: { endOffset: 9, epoch: 2 } },
      ...{ position: 0, sizeBytes: bytes.length, bytes },
    };
    two!.send(1, large);
    await until(() => got[0]!.length === 1);
    one!.send(2, { kind: "refusal", epoch: 4, leaderId: 2 });
    await until(() => got[1]!.length === 1);
    // Compared as bytes: an equality of values takes seconds for so many.
    const [chunk] = got[0]!;
    expect(chunk?.kind === "snapshotChunk" && chunk.bytes.equals(bytes)).toBe(true);
    expect(got[1]).toEqual([{ kind: "refusal", epoch: 4, leaderId: 2 }]);
    await ports[0]!.close();
    await until(() => unreachable.length >= 2);
    expect(new Set(unreachable)).toEqual(new Set([1]));
  });

  test("ask the active controller, and are missed by it when their process is gone (R16)", async () => {
    const lost: LostSession[] = [];
    const server = new ControlServer(dependencies, {
      hello: () => helloOf(1),
      leader: () => ({ leaderId: 1, leaderEpoch: 3 }),
      serve: ({ body }) => Promise.resolve({ lastOffset: body.length, body }),
      onSessionLost: (session) => void lost.push(session),
    });
    const port = await rpc.listen(ANYWHERE, new Map([[CONTROL_SERVICE, server.service]]));
    const way = await ways.breakable(port.port);
    const brokersPort = await rpc.listen(ANYWHERE, new Map());
    const timers = new TimerQueue(clock);
    const client = new ControlClient(
      { ...dependencies, timers },
      {
        hello: () => helloOf(9, { host: "127.0.0.1", port: brokersPort.port }),
        leader: () => ({ leaderId: 1, leaderEpoch: 3 }),
        addressOf: () => ({ host: "127.0.0.1", port: way.port }),
      },
    );
    closers.push(
      () => server.close(),
      () => port.close(),
      () => timers.close(),
      () => brokersPort.close(),
    );
    const request = { apiKey: 63, apiVersion: 1, body: Buffer.from("beat") };
    expect(await client.request(request, 60_000)).toEqual({ lastOffset: 4, body: request.body });
    // As when the process dies: its port and its connections go, and it opens no others.
    await brokersPort.close();
    client.close();
    way.break();
    await until(() => lost.length === 1);
    expect(lost).toMatchObject([{ brokerId: 9, brokerEpoch: 7 }]);
  });
});
