import { afterEach, describe, expect, test } from "vitest";
import type { Listener } from "../../src/base/net.ts";
import {
  callOnce,
  type Rpc,
  type RpcEnd,
  RpcError,
  type RpcService,
  type RpcStream,
} from "../../src/base/rpc.ts";

/** Somewhere with two nodes, of which one listens and the other opens. */
export interface RpcWorld {
  readonly listening: Rpc;
  readonly opening: Rpc;
  /** Of the listening node. */
  readonly host: string;
  /** Lets the world go on until it holds; rejects when it never does. */
  until(condition: () => boolean): Promise<void>;
  /** A way to that port of the listening node that can be broken, as by the death of either process. */
  breakable(port: number): Promise<{ readonly port: number; break(): void }>;
  close(): Promise<void>;
}

export const CONTRACT_MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

const SERVICE = "test.Echo/Exchange";

/** One side of a stream, and all that it was told. */
class Side {
  readonly opens: string[] = [];
  readonly messages: string[] = [];
  readonly ends: RpcEnd[] = [];
  readonly queuedAtDrain: number[] = [];
  stream: RpcStream | null = null;
  onMessage: (message: Buffer) => void = () => undefined;

  readonly listener = {
    onOpen: (answer: Buffer) => void this.opens.push(answer.toString()),
    onMessage: (message: Buffer) => {
      this.messages.push(message.toString());
      this.onMessage(message);
    },
    onDrain: () => void this.queuedAtDrain.push(this.stream!.queuedBytes),
    onEnd: (end: RpcEnd) => void this.ends.push(end),
  };

  say(...texts: readonly string[]): void {
    for (const text of texts) this.stream!.send(Buffer.from(text));
  }
}

/** What any Rpc promises, whatever carries it. */
export function describeRpcContract(name: string, makeWorld: () => Promise<RpcWorld>): void {
  let world: RpcWorld;
  let port: Listener;
  let accepted: Side[];

  async function start(service: RpcService = admitAll): Promise<void> {
    world = await makeWorld();
    accepted = [];
    port = await world.listening.listen(
      { host: world.host, port: 0 },
      new Map([[SERVICE, service]]),
    );
  }

  const admitAll: RpcService = ({ bytes }) => ({
    kind: "admitted",
    answer: Buffer.from(`welcome ${bytes.toString()}`),
    onStream: (stream) => {
      const side = new Side();
      side.stream = stream;
      accepted.push(side);
      return side.listener;
    },
  });

  function open(service = SERVICE, address = { host: world.host, port: port.port }): Side {
    const side = new Side();
    side.stream = world.opening.open(address, service, Buffer.from("me"), side.listener);
    return side;
  }

  async function connected(): Promise<{ near: Side; far: Side }> {
    const near = open();
    await world.until(() => near.opens.length === 1 && accepted.length > 0);
    return { near, far: accepted.at(-1)! };
  }

  describe(`${name} as an Rpc`, () => {
    afterEach(async () => {
      await port.close();
      await world.close();
    });

    test("both sides learn what the other says of itself, before any message", async () => {
      const openings: string[] = [];
      await start((opening) => {
        openings.push(opening.bytes.toString());
        return admitAll(opening);
      });
      const { near, far } = await connected();
      expect(openings).toEqual(["me"]);
      expect(near.opens).toEqual(["welcome me"]);
      expect(far.stream!.remote).not.toBe("");
      expect(near.messages).toEqual([]);
    });

    test("messages arrive whole and in order, both ways at once, large and empty ones too", async () => {
      await start();
      const { near, far } = await connected();
      const texts = Array.from({ length: 500 }, (_, index) => `message ${index}`);
      const large = "x".repeat(3 * 1024 * 1024);
      near.say(...texts, "", large);
      far.say(large, ...texts, "");
      await world.until(() => far.messages.length === 502 && near.messages.length === 502);
      expect(far.messages).toEqual([...texts, "", large]);
      expect(near.messages).toEqual([large, ...texts, ""]);
      await world.until(() => near.stream!.queuedBytes === 0 && far.stream!.queuedBytes === 0);
    });

    test("either side is told when all that it has sent has left, each time", async () => {
      await start();
      const { near, far } = await connected();
      for (const [sender, other] of [
        [near, far],
        [far, near],
      ] as const) {
        for (const round of [1, 2]) {
          sender.say("x".repeat(3 * 1024 * 1024), "y");
          expect(sender.stream!.queuedBytes).toBe(3 * 1024 * 1024 + 1);
          await world.until(() => sender.queuedAtDrain.length === round);
          await world.until(() => other.messages.length === 2 * round);
        }
        expect(sender.queuedAtDrain).toEqual([0, 0]);
      }
    });

    test("what is sent before the admission is delivered after it", async () => {
      await start();
      const near = open();
      near.say("early");
      await world.until(() => accepted[0]?.messages.length === 1);
      expect(accepted[0]!.messages).toEqual(["early"]);
    });

    test("each stream is by itself", async () => {
      await start();
      const [first, second] = [await connected(), await connected()];
      first.near.say("to the first");
      second.near.say("to the second");
      await world.until(() => first.far.messages.length + second.far.messages.length === 2);
      first.near.stream!.end();
      await world.until(() => first.far.ends.length === 1);
      second.far.say("still here");
      await world.until(() => second.near.messages.length === 1);
      expect(second.far.messages).toEqual(["to the second"]);
      expect(second.far.ends).toEqual([]);
    });

    test("whoever is rejected is told why, and no message of his is seen", async () => {
      await start(() => ({ kind: "rejected", message: "no friend of ours" }));
      const near = open();
      near.say("let me in");
      await world.until(() => near.ends.length === 1);
      expect(near.ends).toEqual([{ kind: "rejected", message: "no friend of ours" }]);
      expect(near.opens).toEqual([]);
    });

    test("a service that is not there rejects", async () => {
      await start();
      const near = open("test.Nothing/Exchange");
      await world.until(() => near.ends.length === 1);
      expect(near.ends[0]!.kind).toBe("rejected");
    });

    test("where nobody listens the opening is refused, at once", async () => {
      await start();
      await port.close();
      const near = open();
      await world.until(() => near.ends.length === 1);
      expect(near.ends[0]!.kind).toBe("refused");
    });

    test("an end comes after all that was sent, and whoever ends hears no more", async () => {
      await start();
      const { near, far } = await connected();
      far.onMessage = () => far.say("too late to be heard");
      near.say("one", "two");
      near.stream!.end();
      await world.until(() => far.ends.length === 1);
      expect(far.messages).toEqual(["one", "two"]);
      expect(far.ends[0]!.kind).toBe("ended");
      const other = await connected();
      other.far.say("three", "four");
      other.far.stream!.end();
      await world.until(() => other.near.ends.length === 1);
      expect(other.near.messages).toEqual(["three", "four"]);
      expect(other.near.ends[0]!.kind).toBe("ended");
      expect([near.ends, near.messages, other.far.ends]).toEqual([[], [], []]);
    });

    test.each(["near", "far"] as const)(
      "what the %s side destroys is over for both",
      async (who) => {
        await start();
        const sides = await connected();
        const [breaker, other] = who === "near" ? [sides.near, sides.far] : [sides.far, sides.near];
        breaker.stream!.destroy();
        breaker.stream!.destroy();
        breaker.stream!.end();
        breaker.say("into nothing");
        await world.until(() => other.ends.length === 1);
        expect(["ended", "lost"]).toContain(other.ends[0]!.kind);
        expect(breaker.ends).toEqual([]);
        other.say("into nothing, too");
        await connected();
        expect(other.ends).toHaveLength(1);
      },
    );

    test("a connection that breaks is lost to both sides, and never ended", async () => {
      await start();
      const way = await world.breakable(port.port);
      for (let round = 1; round <= 30; round += 1) {
        const near = open(SERVICE, { host: world.host, port: way.port });
        await world.until(() => near.opens.length === 1 && accepted.length === round);
        const far = accepted.at(-1)!;
        // Whatever is on its way then, or nothing.
        if (round % 3 === 1) near.say("a", "b".repeat(100_000));
        if (round % 3 === 2) far.say("a", "b".repeat(100_000));
        way.break();
        await world.until(() => near.ends.length === 1 && far.ends.length === 1);
        expect([near.ends[0]!.kind, far.ends[0]!.kind]).toEqual(["lost", "lost"]);
      }
    });

    test("a listener that is closed breaks its streams, and its port is free at once", async () => {
      await start();
      const { near } = await connected();
      await port.close();
      await port.close();
      await world.until(() => near.ends.length === 1);
      expect(near.ends[0]!.kind).toBe("lost");
      port = await world.listening.listen(
        { host: world.host, port: port.port },
        new Map([[SERVICE, admitAll]]),
      );
      await connected();
    });

    test("a port that is taken is told by the system's code", async () => {
      await start();
      const second = world.listening.listen({ host: world.host, port: port.port }, new Map());
      await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
    });

    test.each(["near", "far"] as const)(
      "a message from the %s side that is too long ends the stream",
      async (who) => {
        await start();
        const { near, far } = await connected();
        const [sender, other] = who === "near" ? [near, far] : [far, near];
        sender.stream!.send(Buffer.alloc(CONTRACT_MAX_MESSAGE_BYTES + 1));
        await world.until(() => near.ends.length === 1 && far.ends.length === 1);
        expect(other.messages).toEqual([]);
      },
    );

    test("nothing is called from inside open, send and destroy", async () => {
      await start();
      await port.close();
      const near = open();
      expect(near.ends).toEqual([]);
      near.say("hello");
      expect(near.ends).toEqual([]);
      near.stream!.destroy();
      expect(near.ends).toEqual([]);
    });

    test("a call is one message there and one back", async () => {
      await start((opening) => {
        const admission = admitAll(opening);
        queueMicrotask(() => {
          const side = accepted.at(-1)!;
          side.onMessage = (message) => {
            side.say(`you said ${message.toString()}`);
          };
        });
        return admission;
      });
      const call = { service: SERVICE, opening: Buffer.from("me"), message: Buffer.from("hi") };
      const answers: string[] = [];
      const address = { host: world.host, port: port.port };
      void callOnce(world.opening, address, call).then((answer) => answers.push(answer.toString()));
      await world.until(() => answers.length === 1);
      expect(answers).toEqual(["you said hi"]);
      await port.close();
      const errors: unknown[] = [];
      callOnce(world.opening, address, call).catch((error: unknown) => errors.push(error));
      await world.until(() => errors.length === 1);
      expect(errors[0]).toBeInstanceOf(RpcError);
      expect(errors[0]).toMatchObject({ kind: "refused" });
    });
  });
}
