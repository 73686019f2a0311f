import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { SystemClock } from "../../../src/base/clock.ts";
import type { Outcome, StartRequest } from "../../../src/server/net/connection.ts";
import { Listeners, type ListenersOptions } from "../../../src/server/net/listeners.ts";
import type { Connection } from "../../../src/base/net.ts";
import { NodeNet } from "../../../src/server/net/node-net.ts";
import { until } from "../../support/until.ts";
import { limitsOf } from "../support/connection-limits.ts";
import { frame } from "../support/memory-connection.ts";
import { RecordingLogger } from "../support/recording-logger.ts";

const LOOPBACK = {
  name: "PLAINTEXT",
  host: "127.0.0.1",
  port: 0,
  advertisedHost: "broker.example",
  advertisedPort: 0,
};

const toClose: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

function listenersOn(options: Partial<ListenersOptions> = {}) {
  const logger = new RecordingLogger();
  const listeners = new Listeners(
    { net: new NodeNet(), clock: new SystemClock(), logger },
    {
      listeners: [LOOPBACK],
      maxRequestBytes: 1024 * 1024,
      limits: limitsOf({}),
      maxIdleMs: -1,
      maxQueuedRequestBytes: -1,
      ...options,
    },
  );
  toClose.push(() => listeners.close(1000));
  return { listeners, logger };
}

const echo: StartRequest = (bytes) => ({ kind: "response", chunks: [frame(bytes)] });

async function client(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  toClose.push(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

async function readBytes(socket: Socket, count: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < count) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    chunks.push(chunk);
    length += chunk.length;
  }
  return Buffer.concat(chunks);
}

describe("over real sockets", () => {
  test("a port of 0 is advertised as the one that was bound", async () => {
    const { listeners } = listenersOn();
    await listeners.bindFreePorts();
    const [bound] = listeners.bound;
    expect(bound).toMatchObject({ name: "PLAINTEXT", host: "broker.example" });
    expect(bound!.port).toBeGreaterThan(0);
  });

  test("requests that come before the broker serves are answered once it does", async () => {
    const { listeners } = listenersOn();
    await listeners.bindFreePorts();
    const socket = await client(listeners.bound[0]!.port);
    socket.write(Buffer.concat([frame("one"), frame("two")]));
    await listeners.serve(echo);
    const answer = Buffer.concat([frame("one"), frame("two")]);
    expect(await readBytes(socket, answer.length)).toEqual(answer);
  });

  test("large answers are made as the client reads them, not all at once", async () => {
    const { listeners } = listenersOn();
    await listeners.bindFreePorts();
    const answerBytes = 256 * 1024;
    let startedCount = 0;
    await listeners.serve(() => {
      startedCount += 1;
      return { kind: "response", chunks: [Buffer.alloc(answerBytes, startedCount)] };
    });
    const socket = await client(listeners.bound[0]!.port);
    let receivedBytes = 0;
    let maxAheadBytes = 0;
    let isInOrder = true;
    socket.on("data", (chunk: Buffer) => {
      maxAheadBytes = Math.max(maxAheadBytes, startedCount * answerBytes - receivedBytes);
      isInOrder &&= chunk[0] === 1 + Math.floor(receivedBytes / answerBytes);
      receivedBytes += chunk.length;
      if (receivedBytes === 200 * answerBytes) socket.end();
    });
    // One chunk: without back-pressure all 50 MiB would be made before the first of them leaves.
    socket.write(Buffer.concat(Array.from({ length: 200 }, () => frame("give"))));
    await once(socket, "close");
    expect(receivedBytes).toBe(200 * answerBytes);
    expect(isInOrder).toBe(true);
    expect(maxAheadBytes).toBeLessThan(25 * 1024 * 1024);
  });

  test("who reads slowly is told from who does not read at all", async () => {
    const connections: Connection[] = [];
    const listener = await new NodeNet().listen({ host: "127.0.0.1", port: 0 }, (connection) => {
      connections.push(connection);
    });
    toClose.push(() => listener.close());
    const socket = await client(listener.port);
    const [connection] = connections;
    connection!.listen({
      onData: () => undefined,
      onDrain: () => undefined,
      onEnd: () => undefined,
      onClose: () => undefined,
    });
    const answer = Buffer.alloc(64 * 1024 * 1024);
    let hasLeft = false;
    connection!.write([answer], () => (hasLeft = true));
    await once(socket, "readable");
    const queuedBytes = connection!.queuedBytes;
    let readBytes = 0;
    socket.on("data", (chunk: Buffer) => {
      readBytes += chunk.length;
      if (readBytes >= answer.length / 2 && readBytes < answer.length * 0.6) socket.pause();
    });
    await until(() => socket.isPaused(), "it has read a half");
    expect(hasLeft).toBe(false);
    expect(connection!.queuedBytes).toBeLessThan(queuedBytes);
    socket.removeAllListeners("data").resume();
    await until(() => hasLeft, "it has read all");
    expect(connection!.queuedBytes).toBe(0);
  });

  test("a port in use is named, with what to do", async () => {
    const { listeners } = listenersOn();
    await listeners.bindFreePorts();
    const { port } = listeners.bound[0]!;
    const second = listenersOn({ listeners: [{ ...LOOPBACK, port }] });
    await expect(second.listeners.serve(echo)).rejects.toThrow(
      `listener PLAINTEXT: 127.0.0.1:${port} is in use: stop the other process, or choose another port`,
    );
  });

  test("connections above max.connections.per.ip are refused, and a place that is free again is given", async () => {
    const { listeners, logger } = listenersOn({ limits: limitsOf({ maxConnectionsPerIp: 1 }) });
    await listeners.bindFreePorts();
    await listeners.serve(echo);
    const { port } = listeners.bound[0]!;
    const first = await client(port);
    first.write(frame("a"));
    await readBytes(first, 5);
    const second = await client(port);
    await once(second, "close");
    expect(logger.lines[0]!.message).toContain("max.connections.per.ip");
    first.destroy();
    for (;;) {
      const third = await client(port);
      third.write(frame("b"));
      const [event] = await Promise.race([
        once(third, "data").then(() => ["data"]),
        once(third, "close").then(() => ["close"]),
      ]);
      if (event === "data") break;
    }
  });

  test("a stop answers what is in work, then closes; whoever is never answered is cut off in time", async () => {
    const { listeners } = listenersOn();
    await listeners.bindFreePorts();
    let answer: ((outcome: Outcome) => void) | null = null;
    const started = new Promise<void>((resolve) => {
      void listeners.serve((bytes) => {
        if (bytes.toString() === "never") return new Promise(() => undefined);
        resolve();
        return new Promise((done) => (answer = done));
      });
    });
    const { port } = listeners.bound[0]!;
    const answered = await client(port);
    const stuck = await client(port);
    stuck.write(frame("never"));
    answered.write(frame("soon"));
    await started;
    const closed = listeners.close(50);
    answer!({ kind: "response", chunks: [frame("done")] });
    const ends = [once(answered, "close"), once(stuck, "close")];
    expect(await readBytes(answered, 8)).toEqual(frame("done"));
    await Promise.all([closed, ...ends]);
    await expect(client(port)).rejects.toThrow("ECONNREFUSED");
  });

  test("a full node drops whoever has said nothing yet for one that comes, the oldest first", async () => {
    const { listeners } = listenersOn({ limits: limitsOf({ maxConnections: 3 }) });
    await listeners.bindFreePorts();
    await listeners.serve(echo);
    const { port } = listeners.bound[0]!;
    const known = await client(port);
    known.write(frame("a"));
    await readBytes(known, 5);
    const silent = [await client(port), await client(port)];
    const newcomer = await client(port);
    newcomer.write(frame("b"));
    const [, answered] = await Promise.all([once(silent[0]!, "close"), readBytes(newcomer, 5)]);
    expect(answered).toEqual(frame("b"));
    known.write(frame("c"));
    expect(await readBytes(known, 5)).toEqual(frame("c"));
    expect(listeners.connectionCounts).toEqual(new Map([["PLAINTEXT", 3]]));
  });

  test("a full node of clients refuses who comes", async () => {
    const { listeners, logger } = listenersOn({ limits: limitsOf({ maxConnections: 1 }) });
    await listeners.bindFreePorts();
    await listeners.serve(echo);
    const { port } = listeners.bound[0]!;
    const known = await client(port);
    known.write(frame("a"));
    await readBytes(known, 5);
    await once(await client(port), "close");
    expect(listeners.refusedCount).toBe(1);
    expect(logger.lines[0]!.message).toContain("there are 1 (max.connections)");
  });

  test("connections that come too fast are served all the same, later", async () => {
    const { listeners } = listenersOn({ limits: limitsOf({ maxCreationRate: 20 }) });
    await listeners.bindFreePorts();
    await listeners.serve(echo);
    const { port } = listeners.bound[0]!;
    const sockets = await Promise.all(Array.from({ length: 24 }, () => client(port)));
    const answers = sockets.map((socket) => {
      socket.write(frame("a"));
      return readBytes(socket, 5);
    });
    expect(await Promise.all(answers)).toEqual(answers.map(() => frame("a")));
    expect(listeners.refusedCount).toBe(0);
  });
});
