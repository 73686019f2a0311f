"""Reads partition 0 of topics from start to end with librdkafka: read_topics.py BOOTSTRAP TOPIC...

Prints as JSON {topic: {isolation level: {"low", "high", "position", "records"}}}: the watermarks, where reading
ended, and of each record [offset, timestamp type, timestamp, key, value, headers]; of long values the SHA-1.
"""
import hashlib
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition


def shown(value):
    if value is None or len(value) <= 40:
        return None if value is None else value.decode("utf8")
    return "sha1:" + hashlib.sha1(value).hexdigest()


def read(bootstrap, topic, isolation):
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": isolation,
        "check.crcs": True,
        "fetch.wait.max.ms": 50,
    })
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.assign([TopicPartition(topic, 0, low)])
    records, position = [], None
    while position is None:
        for message in consumer.consume(num_messages=10000, timeout=0.2):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                position = message.offset()
            elif error is not None:
                sys.exit("error: %s" % error)
            else:
                kind, timestamp = message.timestamp()
                headers = [[name, shown(value)] for name, value in message.headers() or []]
                key, value = shown(message.key()), shown(message.value())
                records.append([message.offset(), kind, timestamp, key, value, headers])
    consumer.close()
    return {"low": low, "high": high, "position": position, "records": records}


print(json.dumps({
    topic: {isolation: read(sys.argv[1], topic, isolation) for isolation in ("read_uncommitted", "read_committed")}
    for topic in sys.argv[2:]
}))
