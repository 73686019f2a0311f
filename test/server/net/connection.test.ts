import { describe, expect, test } from "vitest";
import { BufferPool } from "../../../src/base/buffer-pool.ts";
import {
  ClientConnection,
  MAX_REQUEST_BYTES_IN_WORK,
  MAX_REQUESTS_IN_WORK,
  type Outcome,
  type RequestHooks,
} from "../../../src/server/net/connection.ts";
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import { ReadingTurns } from "../../../src/server/net/reading-turns.ts";
import { TurnTime } from "../../../src/server/net/turn-time.ts";
import { ManualClock } from "../../base/manual-clock.ts";
import { frame, MemoryConnection } from "../support/memory-connection.ts";
import { RecordingLogger } from "../support/recording-logger.ts";

const answer = (text: string): Outcome => ({ kind: "response", chunks: [Buffer.from(text)] });

/** A connection whose requests are answered when the test says so. */
function setUp(
  options: {
    budget?: MemoryBudget;
    budgetBytes?: number;
    turns?: ReadingTurns;
    turnTime?: TurnTime;
    maxRequestBytes?: number;
    maxIdleMs?: number;
  } = {},
) {
  const connection = new MemoryConnection();
  const clock = new ManualClock();
  const logger = new RecordingLogger();
  const budget = options.budget ?? new MemoryBudget(options.budgetBytes ?? -1);
  const started: string[] = [];
  const open = new Map<string, (outcome: Outcome) => void>();
  const pool = new BufferPool({ maxFreeBytes: 1024 * 1024 });
  const hooks = new Map<string, RequestHooks>();
  let closedCount = 0;
  let knownCount = 0;
  const client = new ClientConnection(
    {
      connection,
      clock,
      logger,
      budget,
      pool,
      startRequest: (bytes, _info, registered) => {
        const name = bytes.toString("latin1", 0, 20);
        started.push(name);
        hooks.set(name, registered);
        if (name.startsWith("now")) return answer(`<${name}>`);
        if (name.startsWith("silent")) return { kind: "none" };
        if (name.startsWith("close")) return { kind: "close" };
        return new Promise((resolve) => open.set(name, resolve));
      },
      turns: options.turns ?? new ReadingTurns(),
      turnTime: options.turnTime ?? new TurnTime(clock),
      mayOverlap: (bytes) => !bytes.toString("latin1").startsWith("alone"),
      needsNoRoom: (bytes) => !bytes.toString("latin1").includes("large answer"),
      admitsLarge: (head) => head.toString("latin1", 0, 4) !== "junk",
      onKnown: () => (knownCount += 1),
      onClosed: () => (closedCount += 1),
    },
    {
      connectionId: "c-1",
      listenerName: "PLAINTEXT",
      maxRequestBytes: options.maxRequestBytes ?? 100 * 1024 * 1024,
      maxIdleMs: options.maxIdleMs ?? -1,
    },
  );
  client.start();
  return {
    connection,
    clock,
    logger,
    budget,
    pool,
    client,
    started,
    hooks,
    closedCount: () => closedCount,
    knownCount: () => knownCount,
    answer: async (name: string, outcome: Outcome = answer(`<${name}>`)) => {
      open.get(name)!(outcome);
      await Promise.resolve();
      await Promise.resolve();
    },
  };
}

describe("answers", () => {
  test("leave in the order of the requests, however they finish", async () => {
    const { connection, started, answer } = setUp();
    connection.send(Buffer.concat([frame("a"), frame("b"), frame("c")]));
    expect(started).toEqual(["a", "b", "c"]);
    await answer("c");
    await answer("b");
    expect(connection.written).toEqual([]);
    await answer("a");
    expect(connection.text).toBe("<a><b><c>");
    expect(connection.written).toHaveLength(1);
  });

  test("that may be large are made one at a time, in the order of all requests", async () => {
    const { connection, started, answer } = setUp();
    connection.send(Buffer.concat(["a", "alone1", "alone2", "b", "c"].map((name) => frame(name))));
    expect(started).toEqual(["a"]);
    await answer("a");
    expect(started).toEqual(["a", "alone1"]);
    await answer("alone1");
    expect(started).toEqual(["a", "alone1", "alone2"]);
    await answer("alone2");
    expect(started).toEqual(["a", "alone1", "alone2", "b", "c"]);
    await answer("c");
    await answer("b");
    expect(connection.text).toBe("<a><alone1><alone2><b><c>");
  });

  test("are left out for a request without a response, and later ones go on", async () => {
    const { connection, answer } = setUp();
    connection.send(frame("a"), frame("silent"), frame("b"));
    await answer("b");
    await answer("a");
    expect(connection.text).toBe("<a><b>");
  });

  test("of earlier requests leave before a connection is closed by a later one", async () => {
    const { connection, started, answer } = setUp();
    connection.send(Buffer.concat([frame("a"), frame("close"), frame("b")]));
    expect(started).toEqual(["a", "close"]);
    expect(connection.isEnded).toBe(false);
    await answer("a");
    expect(connection.text).toBe("<a>");
    expect(connection.isEnded).toBe(true);
  });

  test("of thousands of small requests in one chunk neither recurse nor pile up", () => {
    const { connection, started } = setUp();
    connection.send(Buffer.concat(Array.from({ length: 20_000 }, () => frame("now"))));
    expect(started).toHaveLength(20_000);
    expect(connection.text).toBe("<now>".repeat(20_000));
    expect(connection.isPaused).toBe(false);
  });

  test("to many requests in one chunk leave the event loop a turn after 5 ms of work", async () => {
    let nowMs = 0;
    const turns: (() => void)[] = [];
    const busy = { nowMs: () => (nowMs += 2), afterPoll: (turn: () => void) => turns.push(turn) };
    const own = setUp({ turnTime: new TurnTime(busy) });
    own.connection.send(Buffer.concat(Array.from({ length: 20 }, (_, n) => frame(`now ${n}`))));
    expect(own.started.length).toBe(4);
    for (const turn of turns.splice(0)) turn();
    await own.clock.stall(0);
    expect(own.started.length).toBe(8);
  });

  test("of a closed connection are dropped", async () => {
    const { connection, answer, closedCount, budget } = setUp();
    connection.send(frame("a"));
    connection.destroy();
    await answer("a");
    expect(connection.written).toEqual([]);
    expect(closedCount()).toBe(1);
    expect(budget.usedBytes).toBe(0);
  });
});

describe("reading stops", () => {
  test("at the limit of requests in work, and goes on as they finish", async () => {
    const { connection, started, answer } = setUp();
    const names = Array.from({ length: MAX_REQUESTS_IN_WORK + 2 }, (_, index) => `r${index}`);
    connection.send(Buffer.concat(names.map((name) => frame(name))));
    expect(started).toHaveLength(MAX_REQUESTS_IN_WORK);
    expect(connection.isPaused).toBe(true);
    await answer("r0");
    expect(started).toHaveLength(MAX_REQUESTS_IN_WORK + 1);
    expect(connection.isPaused).toBe(true);
    await answer("r1");
    await answer("r2");
    expect(started).toEqual(names);
    expect(connection.isPaused).toBe(false);
  });

  test("at the limit of bytes in work, but a larger request still gets in alone", async () => {
    const { connection, started, answer } = setUp();
    const large = Buffer.alloc(MAX_REQUEST_BYTES_IN_WORK + 1, "x");
    connection.send(frame(large), frame("next"));
    expect(started).toEqual(["x".repeat(20)]);
    expect(connection.isPaused).toBe(true);
    await answer("x".repeat(20));
    expect(started).toEqual(["x".repeat(20), "next"]);
    expect(connection.isPaused).toBe(false);
  });

  test("while the client does not read its answers", () => {
    const { connection, started } = setUp();
    connection.takesMore = false;
    connection.send(frame("now-1"), frame("now-2"));
    expect(started).toEqual(["now-1"]);
    expect(connection.isPaused).toBe(true);
    connection.drain();
    expect(started).toEqual(["now-1", "now-2"]);
    expect(connection.isPaused).toBe(false);
  });

  test("while the node's budget is used up by others, except for one request", () => {
    const { connection, started, budget } = setUp({ budgetBytes: 1000 });
    budget.take(1000);
    connection.send(frame("a"), frame("b"));
    expect(started).toEqual(["a"]);
    expect(connection.isPaused).toBe(true);
    budget.release(1000);
    expect(started).toEqual(["a", "b"]);
    expect(connection.isPaused).toBe(false);
  });

  test("for good when the broker drains, which ends after the last answer", async () => {
    const { connection, client, started, answer } = setUp();
    connection.send(frame("a"));
    client.drain();
    connection.send(frame("b"));
    expect(started).toEqual(["a"]);
    expect(connection.isEnded).toBe(false);
    await answer("a");
    expect(connection.text).toBe("<a>");
    expect(connection.isEnded).toBe(true);
  });
});

describe("answers that the client has not taken", () => {
  test("count as the node's memory until they have left", async () => {
    const { connection, budget, answer } = setUp();
    connection.send(frame("a"));
    connection.takesMore = false;
    await answer("a", { kind: "response", chunks: [Buffer.alloc(1000), Buffer.alloc(500)] });
    expect(budget.usedBytes).toBe(1500);
    connection.drain();
    expect(budget.usedBytes).toBe(0);
  });

  test("keep others from being read, but not from one request at a time", async () => {
    const slow = setUp({ budgetBytes: 1000 });
    slow.connection.send(frame("a"));
    slow.connection.takesMore = false;
    await slow.answer("a", { kind: "response", chunks: [Buffer.alloc(2000)] });
    expect(slow.connection.isPaused).toBe(true);
    slow.connection.drain();
    expect(slow.connection.isPaused).toBe(false);
  });

  test("keep what was lent to them until they have left", async () => {
    const { connection, hooks, answer } = setUp();
    const back: string[] = [];
    connection.send(frame("a"), frame("silent"));
    hooks.get("a")!.onSent(() => back.push("a"));
    hooks.get("silent")!.onSent(() => back.push("silent"));
    connection.takesMore = false;
    await answer("a");
    expect(back).toEqual([]);
    connection.drain();
    expect(back).toEqual(["a", "silent"]);
  });

  test("give back what was lent to them when the connection closes", async () => {
    const { connection, hooks, answer } = setUp();
    const back: string[] = [];
    connection.send(frame("a"), frame("b"), frame("c"));
    for (const name of ["a", "b", "c"]) hooks.get(name)!.onSent(() => back.push(name));
    connection.takesMore = false;
    await answer("a");
    await answer("c");
    connection.destroy();
    expect(back).toEqual(["a", "c"]);
    await answer("b");
    expect(back).toEqual(["a", "c", "b"]);
  });
});

describe("the memory of a frame", () => {
  test("is used again when its request may overlap and is done, and not before", async () => {
    const { connection, pool, answer } = setUp();
    connection.send(frame(`a${" ".repeat(16_000)}`));
    expect(pool.freeBytes).toBe(0);
    await answer(`a${" ".repeat(19)}`);
    expect(pool.freeBytes).toBeGreaterThan(16_000);
  });

  test("is left to those who may have kept a part of it", async () => {
    const { connection, pool, answer } = setUp();
    connection.send(frame(`alone${" ".repeat(16_000)}`));
    await answer(`alone${" ".repeat(15)}`);
    expect(pool.freeBytes).toBe(0);
  });

  test("is given back when the connection closes before it is complete", () => {
    const { connection, pool } = setUp();
    connection.send(frame(Buffer.alloc(100_000)).subarray(0, 50_000));
    connection.destroy();
    expect(pool.freeBytes).toBeGreaterThan(100_000);
  });
});

test("a drain lets go of what is parked and may go unanswered", async () => {
  const { connection, client, hooks, answer } = setUp();
  connection.send(frame("fetch"), frame("produce"));
  hooks.get("fetch")!.onClose(() => void answer("fetch", { kind: "none" }));
  client.drain();
  await answer("produce");
  expect(connection.text).toBe("<produce>");
  expect(connection.isEnded).toBe(true);
});

describe("a connection is closed", () => {
  test.each([
    ["a frame above socket.request.max.bytes", frame(Buffer.alloc(101)), "101 bytes"],
    ["a negative size", Buffer.from([0xff, 0xff, 0xff, 0xff]), "-1 bytes"],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n"), "looks like HTTP"],
    ["TLS", Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]), "looks like TLS"],
  ])("for %s, with one line that says why", (_name, bytes, why) => {
    const { connection, logger } = setUp({ maxRequestBytes: 100 });
    connection.send(bytes);
    expect(connection.isEnded).toBe(true);
    expect(logger.lines).toHaveLength(1);
    expect(logger.lines[0]!.message).toContain(why);
  });

  test.each([
    ["a refused request", frame("close")],
    ["a stream that is not Kafka's", Buffer.from("GET / HTTP/1.1\r\n")],
  ])("after %s it reads on, to see the peer's end behind what still comes", (_name, bytes) => {
    const { connection, started, closedCount } = setUp({ maxRequestBytes: 100 });
    connection.send(bytes);
    expect(connection.isEnded).toBe(true);
    expect(connection.isPaused).toBe(false);
    const startedBefore = started.length;
    connection.send(frame("more"));
    expect(started).toHaveLength(startedBefore);
    connection.endInput();
    expect(closedCount()).toBe(1);
  });

  test("when the client has ended its half, and what is parked learns of it", () => {
    const { connection, hooks } = setUp();
    connection.send(frame("a"));
    const freed: string[] = [];
    hooks.get("a")!.onClose(() => freed.push("a"));
    connection.endInput();
    expect(connection.isDestroyed).toBe(true);
    expect(freed).toEqual(["a"]);
    hooks.get("a")!.onClose(() => freed.push("late"));
    expect(freed).toEqual(["a", "late"]);
  });

  test("what was answered before the close is not told of it", async () => {
    const { connection, hooks, answer } = setUp();
    connection.send(frame("a"));
    const freed: string[] = [];
    hooks.get("a")!.onClose(() => freed.push("a"));
    await answer("a");
    connection.destroy();
    expect(freed).toEqual([]);
  });

  test("after connections.max.idle.ms of silence, but not while a request is parked", async () => {
    const { connection, clock, answer } = setUp({ maxIdleMs: 1000 });
    await clock.advance(900);
    connection.send(frame("a"));
    await clock.advance(5000);
    expect(connection.isDestroyed).toBe(false);
    await answer("a");
    await clock.advance(999);
    expect(connection.isDestroyed).toBe(false);
    await clock.advance(1002);
    expect(connection.isDestroyed).toBe(true);
    expect(clock.pendingCount).toBe(0);
  });
});

/** The first `byteCount` bytes of a frame of `sizeBytes`. */
/** Others hold all of it, and somebody waits. */
function makeShort(budget: MemoryBudget): void {
  budget.take(budget.roomBytes);
  budget.whenRoom(() => true);
}

function partOf(sizeBytes: number, byteCount: number, begin = "part"): Buffer {
  const part = Buffer.alloc(4 + byteCount, begin);
  part.writeInt32BE(sizeBytes);
  return part;
}

describe("memory", () => {
  const MIB = 1024 * 1024;

  test("what is half read, waits or was not taken yet counts, and comes back in the end", async () => {
    const budget = new MemoryBudget(100 * MIB);
    const { connection, answer } = setUp({ budget });
    connection.send(frame("alone"));
    connection.send(frame("waits"));
    connection.send(partOf(MIB, 5_000));
    expect(budget.usedBytes).toBeGreaterThanOrEqual(10 + 5_000);
    connection.takesMore = false;
    await answer("alone", { kind: "response", chunks: [Buffer.alloc(7_000)] });
    expect(budget.usedBytes).toBeGreaterThanOrEqual(5_000 + 7_000);
    connection.destroy();
    await answer("waits").catch(() => undefined);
    expect(budget.usedBytes).toBe(0);
  });

  test("without room only the first that is in the middle of a frame reads on", () => {
    const budget = new MemoryBudget(MIB);
    const turns = new ReadingTurns();
    const [first, second] = [setUp({ budget, turns }), setUp({ budget, turns })];
    first.connection.send(partOf(2 * MIB, 60_000));
    second.connection.send(partOf(2 * MIB, 60_000));
    expect(budget.hasRoom).toBe(false);
    expect([first.connection.isPaused, second.connection.isPaused]).toEqual([false, true]);
    first.connection.destroy();
    expect(second.connection.isPaused).toBe(false);
    second.connection.destroy();
    expect(budget.usedBytes).toBe(0);
  });

  test("a request whose answer is large waits for room, others begin", () => {
    const budget = new MemoryBudget(1_000);
    budget.take(1_000);
    const large = setUp({ budget });
    large.connection.send(frame("now large answer"));
    expect(large.started).toEqual([]);
    const small = setUp({ budget });
    small.connection.send(frame("now"));
    expect(small.started).toEqual(["now"]);
    budget.release(1_000);
    expect(large.started).toEqual(["now large answer"]);
  });

  test("a shortage cuts off who has been writing one frame for too long, and nobody else", async () => {
    const budget = new MemoryBudget(MIB);
    const slow = setUp({ budget });
    slow.connection.send(partOf(MIB, 40_000));
    await slow.clock.advance(20_000);
    slow.client.maybeCutOff();
    expect(slow.connection.isDestroyed).toBe(false);
    makeShort(budget);
    slow.client.maybeCutOff();
    expect(slow.connection.isDestroyed).toBe(true);
    const idle = setUp({ budget });
    idle.connection.send(frame("a"));
    await idle.clock.advance(100_000);
    idle.client.maybeCutOff();
    expect(idle.connection.isDestroyed).toBe(false);
  });

  /** A client that takes nothing of an answer of a thousand bytes. */
  function deaf() {
    const all = setUp({ budgetBytes: MIB });
    all.connection.takesMore = false;
    all.connection.queuedBytes = 1_000;
    all.connection.send(frame("first"));
    return all;
  }
  const THOUSAND: Outcome = { kind: "response", chunks: [Buffer.alloc(1_000)] };

  test("a shortage cuts off who takes nothing of an answer for two seconds", async () => {
    const { connection, client, clock, budget, answer } = deaf();
    await answer("first", THOUSAND);
    makeShort(budget);
    await clock.advance(2_000);
    client.maybeCutOff();
    expect(connection.isDestroyed).toBe(false);
    await clock.advance(1);
    client.maybeCutOff();
    expect(connection.isDestroyed).toBe(true);
    expect(budget.usedBytes).toBe(MIB - 1_000);
  });

  test("a shortage cuts off who goes on taking one answer for ten seconds, and not sooner", async () => {
    const { connection, client, clock, budget, answer } = deaf();
    await answer("first", THOUSAND);
    makeShort(budget);
    for (let second = 1; second <= 10; second += 1) {
      await clock.advance(1_000);
      connection.queuedBytes -= 1;
      client.maybeCutOff();
      expect(connection.isDestroyed).toBe(false);
    }
    await clock.advance(1);
    connection.queuedBytes -= 1;
    client.maybeCutOff();
    expect(connection.isDestroyed).toBe(true);
  });

  test("while memory is tight and nobody waits, ten seconds without a byte are too long", async () => {
    const { connection, client, clock, budget, answer } = deaf();
    await answer("first", THOUSAND);
    budget.take(MIB / 2);
    for (let turn = 0; turn < 3; turn += 1) {
      connection.queuedBytes -= 1;
      client.maybeCutOff();
      await clock.advance(10_000);
      client.maybeCutOff();
      expect(connection.isDestroyed).toBe(false);
    }
    await clock.advance(1);
    client.maybeCutOff();
    expect(connection.isDestroyed).toBe(true);
  });

  test("while memory is tight nobody gets an answer who has not taken the one before", async () => {
    const { connection, started, budget, answer } = deaf();
    budget.take(MIB / 2);
    await answer("first", THOUSAND);
    connection.send(frame("second"));
    expect(started).toEqual(["first"]);
    connection.drain();
    expect(started).toEqual(["first", "second"]);
  });

  test("of who is cut off nothing more is started", async () => {
    const { connection, client, started, budget, answer } = deaf();
    budget.take(MIB / 2);
    await answer("first", THOUSAND);
    connection.send(frame("second"));
    client.destroy();
    expect(started).toEqual(["first"]);
    expect(budget.usedBytes).toBe(MIB / 2);
  });
});

describe("a peer that is not known yet", () => {
  test("is refused a large frame by its first bytes", () => {
    const { connection, logger } = setUp();
    connection.send(partOf(50_000, 3, "junk"));
    expect(connection.isEnded).toBe(false);
    connection.send(Buffer.alloc(2_000, "k"));
    expect(connection.isEnded).toBe(true);
    expect(logger.lines[0]!.message).toContain("a frame of 50000 bytes that is no request");
  });

  test("may send 32 KiB of anything", () => {
    const { connection, started } = setUp();
    connection.send(frame(Buffer.alloc(32 * 1024, "junk")));
    expect(started).toHaveLength(1);
  });

  test("is known when a request of it was answered, once", async () => {
    const { connection, answer, knownCount } = setUp();
    connection.send(frame("silent"));
    connection.send(frame("a"));
    expect(knownCount()).toBe(0);
    await answer("a");
    connection.send(frame("now"));
    expect(knownCount()).toBe(1);
  });

  test("that was told of the end and does not end is cut off soon", async () => {
    const { connection, clock, closedCount } = setUp();
    connection.send(partOf(-1, 0));
    expect(connection.isEnded).toBe(true);
    await clock.advance(4_999);
    expect(closedCount()).toBe(0);
    await clock.advance(1);
    expect(closedCount()).toBe(1);
  });
});
