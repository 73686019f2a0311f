"""Reads one partition from its start to its end with librdkafka: consume.py BOOTSTRAP TOPIC PARTITION

Prints "OFFSET VALUE" for each record, read_uncommitted, up to the end offset seen at the start.
"""
import sys

from confluent_kafka import Consumer, TopicPartition

bootstrap, topic, partition = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({
    "bootstrap.servers": bootstrap,
    "group.id": "reader",
    "enable.auto.commit": False,
    "isolation.level": "read_uncommitted",
    "check.crcs": True,
    "fetch.wait.max.ms": 50,
})
low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
consumer.assign([TopicPartition(topic, partition, low)])
position = low
out = sys.stdout
while position < high:
    for message in consumer.consume(num_messages=10000, timeout=10):
        if message.error():
            sys.exit("error: %s" % message.error())
        out.write("%d %s\n" % (message.offset(), message.value().decode()))
        position = message.offset() + 1
consumer.close()
