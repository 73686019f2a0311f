"""Updates keys under load, then reads what compaction has left: compaction.py BOOTSTRAP TOPIC UPDATES KEYS

One idempotent librdkafka producer for each codec, all at once, each with keys of its own. The topic has one
partition. Then a consumer reads it from 0 to its end, three times, with a pause between. Prints one JSON object.
"""
import array
import json
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

bootstrap, topic, updates, keys = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Values that codecs find little in.
SPREAD = random.Random(0).getrandbits(255) | 1
each = updates // len(CODECS)
# Offsets as acknowledged, by update; which key each was for, and whether it deleted it.
acked = array.array("q", [-1]) * (each * len(CODECS))
key_of = array.array("l", [0]) * len(acked)
is_deletion = bytearray(len(acked))
failed = []


def value_of(update):
    return None if is_deletion[update] else b"%d %s" % (update, b"%064x" % (update * SPREAD % 2 ** 256))


def produce(index, codec):
    chance = random.Random(index)
    producer = Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 5,
        "compression.type": codec, "queue.buffering.max.messages": 50000, "log_level": 2,
        "message.timeout.ms": 60000,
    })

    def on_delivery(update):
        def delivered(error, message):
            if error is not None:
                failed.append(error.name())
            else:
                acked[update] = message.offset()
        return delivered

    for update in range(index * each, (index + 1) * each):
        # A few keys are written all the time, most of them now and then, some only once.
        key = int(keys * chance.random() ** 3)
        key_of[update] = key * len(CODECS) + index
        is_deletion[update] = chance.random() < 0.05
        while True:
            try:
                producer.produce(topic, key=b"key-%d" % key_of[update], value=value_of(update), on_delivery=on_delivery(update))
                break
            except BufferError:
                producer.poll(0.05)
        if update % 100 == 0:
            producer.poll(0)
    producer.flush(120)


def read():
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False, "check.crcs": True,
        "enable.partition.eof": True, "isolation.level": "read_uncommitted",
    })
    partition = TopicPartition(topic, 0, 0)
    low, high = consumer.get_watermark_offsets(partition, timeout=30)
    consumer.assign([partition])
    last, position, count, wrong = {}, -1, 0, []
    at_end = False
    while not at_end:
        messages = consumer.consume(num_messages=10000, timeout=10)
        if not messages:
            sys.exit("the consumer got nothing for 10 s at %d of %d" % (position, high))
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    sys.exit("error: %s" % error)
                at_end = True
                continue
            offset, key, value = message.offset(), int(message.key()[4:]), message.value()
            count += 1
            update = update_at.get(offset)
            right = update is not None and key_of[update] == key and value == value_of(update)
            if not right or offset <= position:
                wrong.append(offset)
            position = offset
            last[key] = (offset, value is None)
    consumer.close()
    # A deleted key may be there as a tombstone, or not at all.
    lost = [key for key, (offset, deleted) in expected.items()
            if last.get(key) != (offset, deleted) and not (deleted and key not in last)]
    return {"low": low, "high": high, "records": count, "keys": len(last), "wrong": wrong[:10], "lost": lost[:10]}


started = time.monotonic()
threads = [threading.Thread(target=produce, args=each_one) for each_one in enumerate(CODECS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
seconds = time.monotonic() - started

expected, update_at = {}, {}
for update, offset in enumerate(acked):
    update_at[offset] = update
    if offset > expected.get(key_of[update], (-1, False))[0]:
        expected[key_of[update]] = (offset, bool(is_deletion[update]))
readings = []
for turn in range(3):
    readings.append(read())
    time.sleep(1)
print(json.dumps({
    "failed": failed[:10], "unacked": acked.count(-1), "seconds": seconds, "keys": len(expected),
    "bytes": sum(len(value_of(update) or b"") for update in range(0, len(acked), 100)) * 100, "readings": readings,
}))
