"""Consumers of groups that commit, on librdkafka; they never stop of themselves.

    group_clients.py member BOOTSTRAP TOPIC NAME static|dynamic|restless STRATEGY
    group_clients.py outside BOOTSTRAP TOPIC

`member` reads TOPIC as a member of the group "workers" and commits what it has read, one commit at a time; a
restless one leaves and comes back all the time. `outside` commits offsets of its own making, up and down, for
groups without members, "outside.1", "outside.2", ..., each for some seconds, and feeds TOPIC (PARTITIONS partitions)
for the members. Prints

    try ID MONOTONIC_NS GROUP PARTITION:OFFSET,...      (each carries ID as its metadata)
    ok ID MONOTONIC_NS
    refused ID MONOTONIC_NS ERROR       the broker said no
    lost ID MONOTONIC_NS ERROR          nobody knows
    end GROUP                           nothing more is committed for it

Reads stdin; at its end it finishes what it does, prints "done" and exits.
"""
import select
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

PARTITIONS = 4
RESTLESS_SECONDS = 5
GROUP_SECONDS = 2
# Whatever the broker may have done before it said so, it has not committed this.
REFUSALS = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
}
role, bootstrap, topic = sys.argv[1:4]
BASE = {
    "bootstrap.servers": bootstrap,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 100,
    "retry.backoff.ms": 20,
    "socket.timeout.ms": 5000,
    "socket.nagle.disable": True,
    "log_level": 2,
}


def say(*words):
    print(*words, flush=True)


def is_over():
    return bool(select.select([sys.stdin], [], [], 0)[0]) and sys.stdin.read(1) == ""


def commit(consumer, group, identity, offsets):
    """Commits partition -> offset, and says what came of it."""
    places = [TopicPartition(topic, partition, offset, identity) for partition, offset in offsets.items()]
    say("try", identity, time.monotonic_ns(), group, ",".join("%d:%d" % each for each in offsets.items()))
    try:
        for place in consumer.commit(offsets=places, asynchronous=False):
            if place.error is not None:
                raise KafkaException(place.error)
        say("ok", identity, time.monotonic_ns())
    except KafkaException as problem:
        error = problem.args[0]
        say("refused" if error.code() in REFUSALS else "lost", identity, time.monotonic_ns(), error.name())


def consumer_of(group, **settings):
    return Consumer({
        **BASE,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        # Longer than a restart; a kill can swallow a leave, and then the others wait for it.
        "session.timeout.ms": 3000,
        "heartbeat.interval.ms": 100,
        **settings,
    })


def member(name, kind, strategy):
    static = {"group.instance.id": name} if kind == "static" else {}
    serial = 0
    stopped = False
    while not stopped:
        consumer = consumer_of("workers", **{"partition.assignment.strategy": strategy}, **static)
        consumer.subscribe([topic])
        ends = time.monotonic() + (RESTLESS_SECONDS if kind == "restless" else 1e9)
        while time.monotonic() < ends and not stopped:
            offsets = {}
            for message in consumer.consume(20, 0.02):
                if message.error() is None:
                    offsets[message.partition()] = message.offset() + 1
            if offsets:
                serial += 1
                commit(consumer, "workers", "%s-%d" % (name, serial), offsets)
            stopped = is_over()
        consumer.close()


def outside():
    producer = Producer({**BASE, "linger.ms": 2, "message.timeout.ms": 0})
    serial, number, stopped = 0, 0, False
    while not stopped:
        number += 1
        group = "outside.%d" % number
        consumer = consumer_of(group)
        ends = time.monotonic() + GROUP_SECONDS
        while time.monotonic() < ends and not stopped:
            serial += 1
            offsets = {partition: (serial * 7919 + partition) % 1000 for partition in range(PARTITIONS)}
            commit(consumer, group, "outside-%d" % serial, offsets)
            producer.produce(topic, b"x", partition=serial % PARTITIONS)
            producer.poll(0)
            stopped = is_over()
        consumer.close()
        say("end", group)
    producer.flush(60)


member(*sys.argv[4:7]) if role == "member" else outside()
say("done")
