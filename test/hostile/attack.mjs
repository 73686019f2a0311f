// node test/hostile/attack.mjs PORT KIND COUNT
//
// Holds COUNT connections to a broker, from the addresses 127.0.0.2 and up, a thousand each, and on all
// of them does one thing (KIND):
//   silent    nothing
//   garbage   sends 2 KiB that are no request; thrown out, it comes back and sends them again
//   trickle   begins a large Produce request, and goes on with one byte a second
// Prints a line when all are there, and ends when its standard input does.
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { setInterval, setTimeout } from "node:timers";

const [port, kind, count] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const PER_ADDRESS = 1000;
const AT_A_TIME = 200;
const COME_BACK_MS = 10_000;

/** The size of a frame of 1 MiB and the header of a Produce request. */
const LARGE_PRODUCE = Buffer.from("00100000000000090000000100047465737400", "hex");

let connectedCount = 0;
const trickling = new Set();

function open(index) {
  const localAddress = `127.0.0.${2 + Math.floor(index / PER_ADDRESS)}`;
  const socket = connect({ host: "127.0.0.1", port, localAddress });
  let hasConnected = false;
  socket.on("connect", () => {
    hasConnected = true;
    connectedCount += 1;
    act(socket);
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    if (hasConnected) connectedCount -= 1;
    trickling.delete(socket);
    setTimeout(() => open(index), COME_BACK_MS);
  });
  return new Promise((resolve) => {
    socket.once("connect", resolve).once("close", resolve);
  });
}

function act(socket) {
  switch (kind) {
    case "silent":
      socket.resume();
      break;
    case "garbage":
      socket.resume();
      socket.write(randomBytes(2048));
      break;
    case "trickle":
      socket.resume();
      socket.write(LARGE_PRODUCE);
      trickling.add(socket);
      break;
    default:
      throw new Error(`no such attack: ${kind}`);
  }
}

setInterval(() => {
  for (const socket of trickling) socket.write(Buffer.alloc(1));
}, 1000);

for (let start = 0; start < count; start += AT_A_TIME) {
  const size = Math.min(AT_A_TIME, count - start);
  await Promise.all(Array.from({ length: size }, (_, index) => open(start + index)));
}
console.log(JSON.stringify({ kind, connected: connectedCount }));
process.stdin.resume().on("end", () => process.exit(0));
