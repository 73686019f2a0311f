// One producer and two consumers of a group, with kafkajs, against a broker on 127.0.0.1:9092:
//
//   node examples/orders.mjs [--bootstrap HOST:PORT,…] [--topic NAME] [--orders COUNT]
//
// Half-way through, one consumer leaves and the other takes over its partitions. Run it again, also
// after a `kill -9` of the broker: the group goes on where it had committed, and no order is handled twice.
// Each line it prints is one JSON object.
import { parseArgs } from "node:util";
import kafkajs from "kafkajs";

const { values: options } = parseArgs({
  options: {
    bootstrap: { type: "string", default: "127.0.0.1:9092" },
    topic: { type: "string", default: "orders" },
    orders: { type: "string", default: "200" },
  },
});
const orderCount = Number(options.orders);
const PARTITIONS = 4;

const say = (fact) => console.log(JSON.stringify(fact));
const kafka = new kafkajs.Kafka({
  clientId: "orders-example",
  brokers: options.bootstrap.split(","),
  logLevel: kafkajs.logLevel.ERROR,
  retry: { initialRetryTime: 100, retries: 12 },
});

const admin = kafka.admin();
await admin.connect();
const existing = await admin.listTopics();
if (!existing.includes(options.topic)) {
  await admin.createTopics({
    // -1: as many replicas as the broker's default.replication.factor says.
    topics: [{ topic: options.topic, numPartitions: PARTITIONS, replicationFactor: -1 }],
  });
}
await admin.disconnect();

const handled = new Set();
const waiting = [];

/** Resolves when `condition` holds; looked at again whenever an order was handled or a group changed. */
function until(condition) {
  return new Promise((resolve) => {
    waiting.push({ condition, resolve });
    wake();
  });
}

function wake() {
  for (const entry of [...waiting]) {
    if (!entry.condition()) continue;
    waiting.splice(waiting.indexOf(entry), 1);
    entry.resolve();
  }
}

async function startWorker(name) {
  const consumer = kafka.consumer({ groupId: `${options.topic}-workers`, sessionTimeout: 10_000 });
  const worker = { name, consumer, partitions: [] };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    worker.partitions = payload.memberAssignment[options.topic] ?? [];
    say({ worker: name, partitions: worker.partitions, generation: payload.groupProtocol });
    wake();
  });
  await consumer.connect();
  await consumer.subscribe({ topic: options.topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      const order = message.value.toString();
      say({ worker: name, order, partition, offset: message.offset });
      handled.add(order);
      wake();
    },
  });
  return worker;
}

const alice = await startWorker("alice");
const bob = await startWorker("bob");
await until(() => alice.partitions.length > 0 && bob.partitions.length > 0);

const producer = kafka.producer({ idempotent: true });
await producer.connect();
const run = `${Date.now().toString(36)}`;
const sent = [];
for (let n = 0; n < orderCount; n += 1) {
  const order = `${run}-${n}`;
  await producer.send({ topic: options.topic, messages: [{ key: String(n), value: order }] });
  sent.push(order);
  if (n === Math.floor(orderCount / 2)) {
    await bob.consumer.disconnect();
    say({ worker: "bob", left: true });
    await until(() => alice.partitions.length === PARTITIONS);
  }
}

await until(() => sent.every((order) => handled.has(order)));
await alice.consumer.disconnect();
await producer.disconnect();
say({ sent: sent.length, handled: handled.size });
