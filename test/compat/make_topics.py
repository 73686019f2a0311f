"""Makes, empty, the topics that fill.py would fill: make_topics.py BOOTSTRAP TOPIC..."""
import sys

from confluent_kafka.admin import AdminClient

from fill import make_topics, TOPICS

make_topics(AdminClient({"bootstrap.servers": sys.argv[1]}), {name: TOPICS[name] for name in sys.argv[2:]})
