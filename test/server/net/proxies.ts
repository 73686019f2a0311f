import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

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
    server,
  };
}

/** Ways to ports of this machine that a test can break, and closes at its end. */
export function proxies() {
  const servers: Server[] = [];
  return {
    breakable: async (target: number) => {
      const { server, ...proxy } = await proxyTo(target);
      servers.push(server);
      return proxy;
    },
    close: () => {
      for (const server of servers) server.close();
      return Promise.resolve();
    },
  };
}
