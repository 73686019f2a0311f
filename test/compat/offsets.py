"""Commits offsets again and again, or reads what was committed: offsets.py BOOTSTRAP TOPIC commit|read [TIMES]

Of ten groups and three partitions of the topic; prints {group: [[offset, metadata] of each partition]}.
"""
import json
import sys

from confluent_kafka import Consumer, TopicPartition

bootstrap, topic, what = sys.argv[1:4]
times = int(sys.argv[4]) if what == "commit" else 0
GROUPS = ["group-%d" % n for n in range(10)]
PARTITIONS = range(3)

consumers = {
    group: Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    for group in GROUPS
}
for turn in range(times):
    for number, group in enumerate(GROUPS):
        offsets = [TopicPartition(topic, p, 1000 * number + 10 * turn + p, metadata="%d" % turn) for p in PARTITIONS]
        consumers[group].commit(offsets=offsets, asynchronous=False)
found = {}
for group, consumer in consumers.items():
    committed = consumer.committed([TopicPartition(topic, p) for p in PARTITIONS], timeout=60)
    found[group] = [[each.offset, each.metadata] for each in committed]
    consumer.close()
print(json.dumps(found))
