import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { loopTurn, SystemClock } from "../../../src/base/clock.ts";
import { GrpcRpc } from "../../../src/server/net/grpc-rpc.ts";
import { CONTRACT_MAX_MESSAGE_BYTES, describeRpcContract } from "../../base/rpc-contract.ts";

/** The system takes its time: the test's own time limit ends what never comes. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await loopTurn();
}

/** Passes bytes on, until it resets both sides as the system does for a process that dies. */
async function proxyTo(target: number) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => undefined).on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    break: () => {
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    close: () => server.close(),
  };
}

describeRpcContract("GrpcRpc", () => {
  const rpc = new GrpcRpc(
    { clock: new SystemClock() },
    { tls: null, maxMessageBytes: CONTRACT_MAX_MESSAGE_BYTES },
  );
  const proxies: Awaited<ReturnType<typeof proxyTo>>[] = [];
  return Promise.resolve({
    ...{ listening: rpc, opening: rpc, host: "127.0.0.1", until },
    breakable: async (port: number) => {
      const proxy = await proxyTo(port);
      proxies.push(proxy);
      return proxy;
    },
    close: () => {
      for (const proxy of proxies) proxy.close();
      return Promise.resolve();
    },
  });
});
