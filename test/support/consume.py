"""Reads one partition from its start to its end with librdkafka: consume.py BOOTSTRAP TOPIC PARTITION [--keys]

Prints "OFFSET VALUE" for each record, or "OFFSET KEY VALUE" with "-" for a value that is null; read_uncommitted,
up to the end offset seen at the start.
"""
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

bootstrap, topic, partition = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({
    "bootstrap.servers": bootstrap,
    "group.id": "reader",
    "enable.auto.commit": False,
    "isolation.level": "read_uncommitted",
    "check.crcs": True,
    "fetch.wait.max.ms": 50,
    # In a compacted log there need not be a record just below the end.
    "enable.partition.eof": True,
})
shows_keys = "--keys" in sys.argv


def shown(message):
    value = message.value()
    text = "-" if value is None else value.decode()
    return "%s %s" % ((message.key() or b"-").decode(), text) if shows_keys else text



low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
consumer.assign([TopicPartition(topic, partition, low)])
position = low
out = sys.stdout
while position < high:
    for message in consumer.consume(num_messages=10000, timeout=10):
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            position = max(position, message.offset())
        elif error is not None:
            sys.exit("error: %s" % error)
        else:
            out.write("%d %s\n" % (message.offset(), shown(message)))
            position = message.offset() + 1
consumer.close()
