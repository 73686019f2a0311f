"""Prints the ids of topics, by name: topic_ids.py BOOTSTRAP TOPIC..."""
import json
import sys

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

admin = AdminClient({"bootstrap.servers": sys.argv[1]})
found = admin.describe_topics(TopicCollection(sys.argv[2:]))
# Kafka writes ids in the alphabet for URLs, librdkafka in the other one.
print(json.dumps({name: str(future.result().topic_id).translate(str.maketrans("+/", "-_")) for name, future in found.items()}))
