import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { SystemClock } from "../../../src/base/clock.ts";
import { reachabilityWarning } from "../../../src/server/net/reachability.ts";

test("an advertised address is warned of where nobody listens, with the way out", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const listener = { name: "PLAINTEXT", host: "127.0.0.1", port };
  const clock = new SystemClock();
  expect(await reachabilityWarning(clock, listener)).toBeNull();
  server.close();
  await once(server, "close");
  expect(await reachabilityWarning(clock, listener)).toBe(
    `clients are told to connect to 127.0.0.1:${port} (PLAINTEXT), and from here that fails ` +
      "(ECONNREFUSED): if it fails for them, too, set " +
      `advertised.listeners=PLAINTEXT://<a name that they can reach>:${port}`,
  );
});

test("and where its name is nobody's", async () => {
  const listener = { name: "A", host: "no-such-host.invalid", port: 9092 };
  expect(await reachabilityWarning(new SystemClock(), listener)).toMatch(
    /no-such-host\.invalid:9092 \(A\), and from here that fails \((ENOTFOUND|EAI_AGAIN)\)/,
  );
});
