// Holds connections open, idle or busy (one ApiVersions request a second on each), until its input closes.
//   node test/bench/connections.mjs HOST:PORT COUNT idle|busy      prints "ready" when all are open
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect } from "node:net";
import { setInterval } from "node:timers";

const [bootstrap, count, state] = process.argv.slice(2);
const [host, port] = bootstrap.split(":");
const AT_ONCE = 50;
const PERIOD_MS = 1000;

/** ApiVersions, version 0: size, api key, api version, correlation id, no client id. */
const REQUEST = Buffer.from("0000000a" + "0012" + "0000" + "00000001" + "ffff", "hex");

const sockets = [];
while (sockets.length < Number(count)) {
  const opened = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () =>
    connect(Number(port), host),
  );
  await Promise.all(opened.map((socket) => once(socket, "connect")));
  for (const socket of opened) {
    socket.resume();
    socket.write(REQUEST);
    socket.on("close", () => {
      console.error("a connection was closed by the broker");
      process.exit(1);
    });
  }
  sockets.push(...opened);
}
if (state === "busy") {
  const slices = 100;
  let next = 0;
  setInterval(() => {
    for (let at = next; at < sockets.length; at += slices) sockets[at].write(REQUEST);
    next = (next + 1) % slices;
  }, PERIOD_MS / slices);
}
console.log("ready");
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
