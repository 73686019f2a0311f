import { loopTurn, SystemClock } from "../../../src/base/clock.ts";
import { GrpcRpc } from "../../../src/server/net/grpc-rpc.ts";
import { CONTRACT_MAX_MESSAGE_BYTES, describeRpcContract } from "../../base/rpc-contract.ts";
import { proxies } from "./proxies.ts";

/** The system takes its time: the test's own time limit ends what never comes. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await loopTurn();
}

describeRpcContract("GrpcRpc", () => {
  const rpc = new GrpcRpc(
    { clock: new SystemClock() },
    { tls: null, maxMessageBytes: CONTRACT_MAX_MESSAGE_BYTES },
  );
  return Promise.resolve({
    ...{ listening: rpc, opening: rpc, host: "127.0.0.1", until },
    ...proxies(),
  });
});
