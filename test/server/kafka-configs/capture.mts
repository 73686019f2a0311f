// Asks a fresh Apache Kafka node (test/peers/kafka/single.sh start) all the cases, in order, and writes
// what it answered: npx tsx test/server/kafka-configs/capture.mts [PORT]. Not the documentation of its keys:
// those are Kafka's own words.
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { codecFor } from "../../../src/protocol/codec.ts";
import { decodeResponseHeader, encodeRequestFrame } from "../../../src/protocol/header.ts";
import type { Encodable, Message } from "../../../src/protocol/schema.ts";
import { CASES, type Case } from "./cases.ts";
import { RECORDED_APIS, type RecordedAnswer } from "./record.ts";

const PORT = Number(process.argv[2] ?? 19092);

const answers: RecordedAnswer[] = [];
for (const each of CASES) {
  answers.push({ name: each.name, response: await ask(each) });
  // Kafka answers before the broker has taken the change over; nothing tells when it has.
  if (each.api !== "describeConfigs") await setTimeout(500);
}
const lines = answers.map((answer) => JSON.stringify(answer)).join("\n");
// Where it has its data is of no interest.
const logDirs = /"name":"log\.dirs","value":"([^"]+)"/.exec(lines)?.[1] ?? "/data/kafka";
writeFileSync(
  "test/server/kafka-configs/kafka-4.3.1.jsonl.gz",
  gzipSync(`${lines.replaceAll(logDirs, "/data/kafka")}\n`),
);

async function ask({ api, version, request }: Case): Promise<unknown> {
  const { request: message, response } = RECORDED_APIS[api];
  const frame = await exchange(
    Buffer.concat(
      encodeRequestFrame(
        { ...RECORDED_APIS[api], request: message as Message },
        version,
        { correlationId: 1, clientId: "capture" },
        request as Encodable<Message>,
      ),
    ),
  );
  if (frame === null) return null;
  const { bodyOffset } = decodeResponseHeader(frame, RECORDED_APIS[api], version);
  return codecFor(response as Message, version).decode(frame, bodyOffset);
}

/** One request on a connection of its own; null: it was closed without an answer. */
function exchange(bytes: Buffer): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(PORT, "127.0.0.1", () => socket.write(bytes));
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return;
      socket.destroy();
      resolve(received.subarray(4));
    });
    socket.on("close", () => resolve(null));
    socket.on("error", reject);
  });
}
