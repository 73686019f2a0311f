// Makes or deletes so many partitions, in topics of at most a thousand; ends when all have leaders.
//   node test/bench/partitions.mjs create|delete BOOTSTRAP COUNT
import kafkajs from "kafkajs";

const PER_TOPIC = 1000;
const [operation, bootstrap, count] = process.argv.slice(2);
const topics = Array.from({ length: Math.ceil(Number(count) / PER_TOPIC) }, (_, index) => ({
  topic: `held-${count}-${index}`,
  numPartitions: Math.min(PER_TOPIC, Number(count) - index * PER_TOPIC),
}));

const kafka = new kafkajs.Kafka({
  brokers: [bootstrap],
  logLevel: kafkajs.logLevel.ERROR,
  requestTimeout: 120_000,
});
const admin = kafka.admin();
await admin.connect();
for (const each of topics) {
  if (operation === "delete") await admin.deleteTopics({ topics: [each.topic], timeout: 120_000 });
  else await admin.createTopics({ topics: [each], waitForLeaders: true, timeout: 120_000 });
}
await admin.disconnect();
