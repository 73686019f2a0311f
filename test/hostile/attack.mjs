// node test/hostile/attack.mjs PORT KIND COUNT
//
// Holds COUNT connections to a broker, from the addresses 127.0.0.2 and up, a thousand each, and on all
// of them does one thing (KIND):
//   silent    nothing
//   garbage   sends 2 KiB that are no request; thrown out, it comes back and sends them again
//   trickle   begins a large Produce request, and goes on with one byte a second
//   deaf-metadata, deaf-fetch
//             asks for all topics, or for the large records of the topic "large", again and again, and reads
//             no answer; thrown out, it comes back
// Prints a line when all are there, and ends when its standard input does.
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { setInterval, setTimeout } from "node:timers";

const [port, kind, count] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const PER_ADDRESS = 1000;
const AT_A_TIME = 200;
const COME_BACK_MS = kind.startsWith("deaf") ? 1_000 : 10_000;
/** Each comes back after a time of its own, or all would in one burst: half as long to one and a half. */
const SPREAD = 101;
/** A deaf client asks so often at once, and once more each second: it learns by that that it was thrown out. */
const DEAF_REQUESTS = 200;

/** The size of a frame of 1 MiB and the header of a Produce request. */
const LARGE_PRODUCE = Buffer.from("00100000000000090000000100047465737400", "hex");

/** By kind. */
const DEAF = {
  // Metadata, version 1: a client id, no list of topics.
  "deaf-metadata": Buffer.from("000000140003000100000001" + "0006646561662d31" + "ffffffff", "hex"),
  // Fetch, version 4: half a second, a byte at least, 50 MiB at most, uncommitted; "large", partition 0 from 0.
  "deaf-fetch": Buffer.from(
    "000000400001000400000001" +
      "0006646561662d31" +
      ("ffffffff" + "000001f4" + "00000001" + "03200000" + "00") +
      ("00000001" + "00056c61726765" + "00000001" + "00000000" + "0000000000000000" + "03200000"),
    "hex",
  ),
};

let connectedCount = 0;
/** What goes on with something each second: socket -> the bytes. */
const goingOn = new Map();

function open(index) {
  const localAddress = `127.0.0.${2 + Math.floor(index / PER_ADDRESS)}`;
  const socket = connect({ host: "127.0.0.1", port, localAddress });
  if (kind.startsWith("deaf")) socket.pause();
  let hasConnected = false;
  socket.on("connect", () => {
    hasConnected = true;
    connectedCount += 1;
    act(socket);
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    if (hasConnected) connectedCount -= 1;
    goingOn.delete(socket);
    setTimeout(() => open(index), COME_BACK_MS * (0.5 + (index % SPREAD) / SPREAD));
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
      goingOn.set(socket, Buffer.alloc(1));
      break;
    case "deaf-metadata":
    case "deaf-fetch":
      socket.write(Buffer.concat(Array.from({ length: DEAF_REQUESTS }, () => DEAF[kind])));
      goingOn.set(socket, DEAF[kind]);
      break;
    default:
      throw new Error(`no such attack: ${kind}`);
  }
}

/** Each once a second, and at a moment of its own. */
const SLICES = 100;
let slice = 0;
setInterval(() => {
  slice = (slice + 1) % SLICES;
  let index = 0;
  for (const [socket, bytes] of goingOn) {
    if (index % SLICES === slice) socket.write(bytes);
    index += 1;
  }
}, 1000 / SLICES);

for (let start = 0; start < count; start += AT_A_TIME) {
  const size = Math.min(AT_A_TIME, count - start);
  await Promise.all(Array.from({ length: size }, (_, index) => open(start + index)));
}
console.log(JSON.stringify({ kind, connected: connectedCount }));
process.stdin.resume().on("end", () => process.exit(0));
