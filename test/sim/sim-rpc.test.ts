import { loopTurn } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { SimClock } from "../../src/sim/sim-clock.ts";
import { SimRpcNet } from "../../src/sim/sim-rpc.ts";
import { CONTRACT_MAX_MESSAGE_BYTES, describeRpcContract } from "../base/rpc-contract.ts";

function makeNet(seed = 1) {
  const clock = new SimClock();
  const random = new SeededRandom(seed);
  const net = new SimRpcNet({ clock, random }, { maxMessageBytes: CONTRACT_MAX_MESSAGE_BYTES });
  return { clock, net };
}

async function runUntil(clock: SimClock, condition: () => boolean): Promise<void> {
  while (!condition()) {
    const event = clock.next();
    if (event === null) throw new Error("nothing will ever happen any more");
    event();
    await loopTurn();
  }
}

describeRpcContract("SimRpcNet", () => {
  const { clock, net } = makeNet();
  return Promise.resolve({
    ...{ listening: net.host("b"), opening: net.host("a"), host: "b" },
    until: (condition) => runUntil(clock, condition),
    breakable: (port) => Promise.resolve({ port, break: () => net.breakConnections("a", "b") }),
    close: () => Promise.resolve(),
  });
});
