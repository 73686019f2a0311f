"""Writes topics with all that a log may hold: fill.py BOOTSTRAP [--open-transaction] TOPIC...

Makes the topics, of one partition each, and prints as JSON what was done with them. With --open-transaction
the last transaction of "transactions" is still open when the program ends.
"""
import hashlib
import json
import os
import random
import sys
import time

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SEGMENT = {"segment.bytes": "1048576"}
TOPICS = {
    "codecs": dict(SEGMENT),
    "transactions": dict(SEGMENT),
    "compacted": dict(SEGMENT, **{
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "3600000",
    }),
    "shortened": dict(SEGMENT),
    "stamped": {"message.timestamp.type": "LogAppendTime"},
}

chance = random.Random(4)
open_producers = []
now_ms = int(time.time() * 1000)


def text(size):
    """Halves when it is compressed, and never repeats."""
    return chance.getrandbits(4 * size).to_bytes(size // 2, "big").hex()


def producer_for(bootstrap, **settings):
    return Producer(dict({
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "linger.ms": 5,
        "batch.num.messages": 40,
    }, **settings))


def failing(error, _message):
    if error is not None:
        sys.exit("not delivered: %s" % error)


def send(producer, topic, count, start=0, **fields):
    for n in range(start, start + count):
        while True:
            try:
                producer.produce(topic, on_delivery=failing, **{k: v(n) for k, v in fields.items()})
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(60)


def fill_codecs(bootstrap):
    for codec in CODECS:
        send(
            producer_for(bootstrap, **{"compression.type": codec}), "codecs", 700,
            key=lambda n: None if n % 7 == 0 else "%s-%d" % (codec, n),
            value=lambda n: None if n % 11 == 0 else text(1600),
            headers=lambda n: [("n", str(n).encode()), ("nothing", None), ("n", b"again")][: n % 4],
            timestamp=lambda n: now_ms - 60_000 + n * 7 if n % 3 == 0 else 0,
        )
    return {"sent": 700 * len(CODECS)}


def fill_transactions(bootstrap, leaves_open):
    """Two producers take turns, so that transactions overlap; every third is aborted."""
    producers = []
    for name in ("one", "two"):
        producer = producer_for(bootstrap, **{"transactional.id": name, "compression.type": "lz4"})
        producer.init_transactions(30)
        producer.begin_transaction()
        producers.append(producer)
    committed = 0
    for turn in range(30):
        producer, other = producers[turn % 2], producers[1 - turn % 2]
        for each in (producer, other, producer):
            send(each, "transactions", 25, start=turn * 100, value=lambda n: "%d %s" % (n, text(1200)))
        if turn % 3 == 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
            committed += 1
        producer.begin_transaction()
    for producer in producers:
        send(producer, "transactions", 10, value=lambda n: "last %d" % n)
    producers[0].commit_transaction(30)
    if not leaves_open:
        producers[1].abort_transaction(30)
    open_producers.extend(producers)
    return {"committed": committed + 1}


def fill_compacted(bootstrap):
    last = {}

    def value(n):
        key = "key-%d" % (n % 60)
        last[key] = None if n % 60 > 55 and n > 4000 else "%d %s" % (n, text(700))
        return last[key]

    for part, codec in enumerate(CODECS):
        send(producer_for(bootstrap, **{"compression.type": codec}), "compacted", 1000, start=part * 1000,
             key=lambda n: "key-%d" % (n % 60), value=value)
    return {"sent": 1000 * len(CODECS), "last": {
        key: None if v is None else hashlib.sha1(v.encode()).hexdigest() for key, v in last.items()}}


def fill_shortened(bootstrap, admin):
    send(producer_for(bootstrap), "shortened", 3000, value=lambda n: "%d %s" % (n, text(1000)))
    # In the middle of a batch of the second segment.
    partition = TopicPartition("shortened", 0, 1503)
    for future in admin.delete_records([partition]).values():
        future.result(30)
    return {"sent": 3000, "start": 1503}


def fill_stamped(bootstrap):
    for codec in CODECS:
        send(producer_for(bootstrap, **{"compression.type": codec}), "stamped", 100,
             value=lambda n: "%d %s" % (n, text(100)))
    return {"sent": 100 * len(CODECS)}


def main():
    bootstrap, wanted = sys.argv[1], sys.argv[2:]
    leaves_open = "--open-transaction" in wanted
    admin = AdminClient({"bootstrap.servers": bootstrap})
    fill = {
        "codecs": lambda: fill_codecs(bootstrap),
        "transactions": lambda: fill_transactions(bootstrap, leaves_open),
        "compacted": lambda: fill_compacted(bootstrap),
        "shortened": lambda: fill_shortened(bootstrap, admin),
        "stamped": lambda: fill_stamped(bootstrap),
    }
    topics = {name: TOPICS[name] for name in TOPICS if name in wanted}
    make_topics(admin, topics)
    print(json.dumps({name: fill[name]() for name in topics}), flush=True)
    # At once: an orderly end of a producer would abort its transaction.
    os._exit(0)


def make_topics(admin, topics):
    new = [NewTopic(name, num_partitions=1, replication_factor=1, config=config)
           for name, config in topics.items()]
    for future in admin.create_topics(new).values():
        future.result(30)


if __name__ == "__main__":
    main()
