"""Produces and consumes through one node with librdkafka in every compression: librdkafka.py BOOTSTRAP"""
import json
import sys

from confluent_kafka import Consumer, Producer, TIMESTAMP_CREATE_TIME
from confluent_kafka.admin import AdminClient, NewTopic

bootstrap = sys.argv[1]
result = {}
admin = AdminClient({"bootstrap.servers": bootstrap})
for future in admin.create_topics([NewTopic("rd", num_partitions=3, replication_factor=1)]).values():
    future.result(30)

# All topics at once: its request has bytes behind the body, which Kafka ignores.
result["topics"] = sorted(name for name in admin.list_topics(timeout=10).topics)

sent = {}
errors = []
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    producer = Producer({
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "compression.type": codec,
        "linger.ms": 5,
    })

    def on_delivery(error, message):
        if error is not None:
            errors.append(str(error))
            return
        sent[(message.partition(), message.offset())] = (
            message.key().decode(), message.value().decode(), message.timestamp()[1])

    for n in range(2000):
        # Repetitive, so that librdkafka keeps the compressed form.
        producer.produce("rd", key="%s-%d" % (codec, n), value="%s %d " % (codec, n) * 20,
                         headers={"codec": codec}, timestamp=1700000000000 + n if n % 2 else 0,
                         on_delivery=on_delivery)
        producer.poll(0)
    producer.flush(30)
result["sent"] = len(sent)
result["errors"] = errors

consumer = Consumer({
    "bootstrap.servers": bootstrap,
    "group.id": "rd-readers",
    "auto.offset.reset": "earliest",
    "check.crcs": True,
    "enable.auto.commit": False,
})
consumer.subscribe(["rd"])
got, wrong, idle = {}, [], 0
while len(got) < len(sent) and idle < 30:
    messages = consumer.consume(num_messages=1000, timeout=1)
    idle = 0 if messages else idle + 1
    for message in messages:
        if message.error():
            errors.append(str(message.error()))
            continue
        key, value = message.key().decode(), message.value().decode()
        kind, timestamp = message.timestamp()
        got[(message.partition(), message.offset())] = (key, value, timestamp)
        if message.headers() != [("codec", key.split("-")[0].encode())] or kind != TIMESTAMP_CREATE_TIME:
            wrong.append(key)
committed = consumer.commit(asynchronous=False)
consumer.close()
result["received"] = len(got)
result["equal"] = got == sent
result["wrong"] = wrong[:3]
result["committed"] = sum(partition.offset for partition in committed)
print(json.dumps(result))
