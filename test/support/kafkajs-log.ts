import kafkajs, { type Kafka } from "kafkajs";

process.env["KAFKAJS_NO_PARTITIONER_WARNING"] = "1";

/** A kafkajs client that keeps trying while a broker is down. */
export function kafkaClient(...bootstrap: readonly string[]): Kafka {
  return new kafkajs.Kafka({
    clientId: "test",
    brokers: [...bootstrap],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 200, factor: 0.2, retries: 200 },
  });
}

export interface LogEntry {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string;
}

/** Reads every partition of a topic from its start to the end that it has now. */
export async function readTopic(kafka: Kafka, topic: string): Promise<LogEntry[]> {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  const missing = new Map(
    offsets
      .filter(({ low, high }) => Number(high) > Number(low))
      .map(({ partition, high }) => [partition, Number(high)]),
  );
  const entries: LogEntry[] = [];
  if (missing.size === 0) return entries;
  const consumer = kafka.consumer({
    groupId: `reader-${process.hrtime.bigint()}`,
    maxWaitTimeInMs: 100,
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer
      .run({
        autoCommit: false,
        eachMessage: ({ partition, message }) => {
          entries.push({
            partition,
            offset: Number(message.offset),
            key: message.key?.toString() ?? null,
            value: message.value?.toString() ?? "",
          });
          if (Number(message.offset) + 1 >= (missing.get(partition) ?? 0))
            missing.delete(partition);
          if (missing.size === 0) resolve();
          return Promise.resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return entries;
}
