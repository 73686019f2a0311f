import { describe, expect, test } from "vitest";
import { loopTurn } from "../../src/base/clock.ts";
import type { Connection } from "../../src/base/net.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { SimClock } from "../../src/sim/sim-clock.ts";
import { SimNet } from "../../src/sim/sim-net.ts";

function world(seed: number) {
  const clock = new SimClock();
  const net = new SimNet({ clock, random: new SeededRandom(seed) });
  const settle = async (): Promise<void> => {
    for (let event = clock.next(); event !== null; event = clock.next()) {
      event();
      await loopTurn();
    }
  };
  return { clock, net, settle };
}

/** Listens, and keeps what happens. */
function watch(connection: Connection) {
  const seen = { chunks: [] as Buffer[], events: [] as string[] };
  connection.listen({
    onData: (chunk) => seen.chunks.push(Buffer.from(chunk)),
    onDrain: () => seen.events.push("drain"),
    onEnd: () => seen.events.push("end"),
    onClose: (error) => seen.events.push(error === null ? "close" : error.message),
  });
  return { seen, connection, text: () => Buffer.concat(seen.chunks).toString("latin1") };
}

async function connected(seed: number) {
  const { clock, net, settle } = world(seed);
  const host = net.host();
  const servers: ReturnType<typeof watch>[] = [];
  const listener = await host.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    servers.push(watch(connection));
  });
  const connecting = net.connect(listener.port);
  await settle();
  const client = watch(await connecting);
  return { clock, net, settle, host, listener, client, server: servers[0]! };
}

describe("SimNet", () => {
  test("bytes arrive whole and in order, in chunks that differ by seed", async () => {
    const cuts = new Set<string>();
    for (let seed = 0; seed < 20; seed += 1) {
      const { client, server, settle } = await connected(seed);
      const text = Array.from({ length: 300 }, (_, i) => String(i)).join(",");
      for (let at = 0; at < text.length; at += 100) {
        client.connection.write([Buffer.from(text.slice(at, at + 100))]);
      }
      await settle();
      expect(server.text()).toBe(text);
      cuts.add(server.seen.chunks.map(({ length }) => length).join());
    }
    expect(cuts.size).toBeGreaterThan(8);
  });

  test("a writer above the high-water mark is told, and told again when it is empty", async () => {
    const { client, server, settle } = await connected(1);
    expect(server.connection.write([Buffer.alloc(1000)])).toBe(true);
    expect(server.connection.write([Buffer.alloc(200_000)])).toBe(false);
    await settle();
    expect(server.seen.events).toEqual(["drain"]);
    expect(Buffer.concat(client.seen.chunks).length).toBe(201_000);
  });

  test("a paused end is given nothing until it resumes", async () => {
    const { client, server, settle } = await connected(2);
    server.connection.pause();
    client.connection.write([Buffer.from("later")]);
    await settle();
    expect(server.text()).toBe("");
    server.connection.resume();
    await settle();
    expect(server.text()).toBe("later");
  });

  test("an end lets the other half go on; when both have ended, both close", async () => {
    const { client, server, settle } = await connected(3);
    client.connection.write([Buffer.from("question")]);
    client.connection.end();
    await settle();
    expect(server.text()).toBe("question");
    expect(server.seen.events).toEqual(["end"]);
    server.connection.write([Buffer.from("answer")]);
    server.connection.end();
    await settle();
    expect(client.text()).toBe("answer");
    expect(client.seen.events).toEqual(["end", "close"]);
    expect(server.seen.events).toEqual(["end", "close"]);
  });

  test("destroy closes here and resets there", async () => {
    const { client, server, settle } = await connected(4);
    server.connection.destroy();
    await settle();
    expect(server.seen.events).toEqual(["close"]);
    expect(client.seen.events).toEqual(["ECONNRESET"]);
  });

  test("a killed host is told nothing; its peers see a part of what it sent, then a reset", async () => {
    const texts = new Set<string>();
    for (let seed = 0; seed < 30; seed += 1) {
      const { client, server, settle, host, net, listener } = await connected(seed);
      server.connection.write([Buffer.from("abcdef")]);
      host.kill();
      await settle();
      expect(server.seen.events).toEqual([]);
      expect(client.seen.events).toEqual(["ECONNRESET"]);
      expect("abcdef".startsWith(client.text())).toBe(true);
      texts.add(client.text());
      const refused = expect(net.connect(listener.port)).rejects.toThrow("ECONNREFUSED");
      await settle();
      await refused;
    }
    expect(texts.size).toBeGreaterThan(3);
  });

  test("who is handed a connection whose peer has died is told so", async () => {
    const { net, settle } = world(6);
    const host = net.host();
    const { port } = await host.listen({ host: "127.0.0.1", port: 0 }, () => undefined);
    const connecting = net.connect(port);
    const early = connecting.then(async (connection) => {
      host.kill();
      await settle();
      return watch(connection);
    });
    await settle();
    const client = await early;
    await settle();
    expect(client.seen.events).toEqual(["ECONNRESET"]);
  });

  test("a port is bound once, and free again after close", async () => {
    const { net } = world(5);
    const listener = await net.host().listen({ host: "127.0.0.1", port: 9092 }, () => undefined);
    const address = { host: "127.0.0.1", port: 9092 };
    await expect(net.host().listen(address, () => undefined)).rejects.toThrow("EADDRINUSE");
    await listener.close();
    await net.host().listen(address, () => undefined);
  });
});
