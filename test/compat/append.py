"""Appends COUNT records to partition 0 of topics, idempotent, acks=all: append.py BOOTSTRAP COUNT TOPIC..."""
import sys

from confluent_kafka import Producer

bootstrap, count, topics = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
refused = []


def on_delivery(error, message):
    if error is not None:
        refused.append("%s: %s" % (message.topic(), error))


for topic in topics:
    for n in range(count):
        producer.produce(topic, key="key-%d" % (n % 60), value="appended %d" % n, on_delivery=on_delivery)
if producer.flush(60) > 0 or refused:
    sys.exit("not delivered: %s" % refused[:3])
