// Producers that each send one record, wait for its ack, and send the next: what group commit is for.
//   node test/bench/sync-producers.mjs HOST:PORT TOPIC PRODUCERS SECONDS [BYTES] [ACKS]   (needs `npm run build`)
// All go to partition 0 of TOPIC, from one process over connections of their own. Prints one JSON line.
import { Buffer } from "node:buffer";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers";
import { APIS } from "../../dist/protocol/apis.js";
import { codecFor, joined } from "../../dist/protocol/codec.js";
import { FrameDecoder } from "../../dist/protocol/frame.js";
import { decodeResponseHeader, encodeRequestFrame } from "../../dist/protocol/header.js";
import { buildBatch } from "../../dist/protocol/records/batch-builder.js";

const [address, topic, producers, seconds, bytes = "1024", acks = "-1"] = process.argv.slice(2);
const [host, port] = address.split(":");
const VERSION = 9;
const codec = codecFor(APIS.produce.response, VERSION);
const records = buildBatch({
  timestampMs: Date.now(),
  records: [{ key: null, value: Buffer.alloc(Number(bytes), 120) }],
});
const request = joined(
  encodeRequestFrame(
    APIS.produce,
    VERSION,
    { correlationId: 1, clientId: "bench" },
    {
      transactionalId: null,
      acks: Number(acks),
      timeoutMs: 30_000,
      topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
    },
  ),
);

const latenciesMs = [];
let isOver = false;

function produce() {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), noDelay: true });
    const decoder = new FrameDecoder(1 << 20);
    let startMs = 0;
    const send = () => {
      startMs = performance.now();
      socket.write(request);
    };
    socket.on("error", reject);
    socket.on("connect", send);
    socket.on("data", (chunk) => {
      for (const frame of decoder.push(chunk)) {
        const { bodyOffset } = decodeResponseHeader(frame, APIS.produce, VERSION);
        const answer = codec.decode(frame, bodyOffset).responses[0].partitionResponses[0];
        if (answer.errorCode !== 0) reject(new Error(`error ${answer.errorCode}`));
        latenciesMs.push(performance.now() - startMs);
        if (!isOver) send();
        else {
          socket.destroy();
          resolve();
        }
      }
    });
  });
}

const startMs = performance.now();
setTimeout(() => (isOver = true), Number(seconds) * 1000);
await Promise.all(Array.from({ length: Number(producers) }, produce));
const tookMs = performance.now() - startMs;
latenciesMs.sort((a, b) => a - b);
const quantile = (q) => Number(latenciesMs[Math.floor((latenciesMs.length - 1) * q)].toFixed(3));
console.log(
  JSON.stringify({
    acks_s: Math.round((latenciesMs.length * 1000) / tookMs),
    acked: latenciesMs.length,
    p50_ms: quantile(0.5),
    p99_ms: quantile(0.99),
  }),
);
