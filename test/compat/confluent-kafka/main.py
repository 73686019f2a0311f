"""Drives one node with confluent-kafka (librdkafka): main.py BOOTSTRAP SCENARIO

Does what the scenario says and prints, as one JSON object, what came of it.
"""
import json
import sys
import time
import warnings

from confluent_kafka import (
    ConsumerGroupState, ConsumerGroupTopicPartitions, ConsumerGroupType, ElectionType, IsolationLevel, KafkaException,
    Producer, TopicCollection, TopicPartition)
from confluent_kafka.admin import (
    AclBindingFilter, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
    ConfigSource, NewPartitions, NewTopic, OffsetSpec, ResourcePatternType, ResourceType)

from members import Member, cooperative_scenario, fenced_scenario, static_scenario

# The old AlterConfigs is used on purpose.
warnings.simplefilter("ignore", DeprecationWarning)
BOOTSTRAP = sys.argv[1]
TIMEOUT_SECONDS = 30
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


def outcome(future):
    """"" for a request that went well, else the name of the error."""
    try:
        future.result(TIMEOUT_SECONDS)
        return ""
    except KafkaException as problem:
        return problem.args[0].name()


def outcomes(futures):
    return {key if isinstance(key, str) else str(key): outcome(future) for key, future in futures.items()}


def result(future):
    return future.result(TIMEOUT_SECONDS)


def create(topic, partitions=1, **config):
    result(admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic])


def produce(topic, partition, values, timestamps=()):
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for n, value in enumerate(values):
        stamp = timestamps[n] if timestamps else 0
        producer.produce(topic, value, partition=partition, timestamp=stamp)
    assert producer.flush(TIMEOUT_SECONDS) == 0


def cluster_scenario():
    found = result(admin.describe_cluster(include_authorized_operations=True))
    return {
        "cluster": found.cluster_id,
        "controller": found.controller.id,
        "nodes": [[node.id, node.host, node.port] for node in found.nodes],
        "operations": sorted(each.name for each in found.authorized_operations),
        "clusterId": admin.cluster_id(timeout=TIMEOUT_SECONDS),
    }


def topics_scenario():
    def described(*topics):
        found = {}
        for topic, future in admin.describe_topics(TopicCollection(list(topics))).items():
            try:
                description = result(future)
                found[topic] = {
                    "partitions": [[p.id, p.leader.id, [n.id for n in p.replicas], [n.id for n in p.isr]]
                                   for p in description.partitions],
                    "isInternal": description.is_internal,
                    "id": len(str(description.topic_id)),
                }
            except KafkaException as problem:
                found[topic] = problem.args[0].name()
        return found

    def listed():
        return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=TIMEOUT_SECONDS).topics.items()}

    wanted = [NewTopic("made", 3, 1, config={"retention.ms": "60000"}),
              NewTopic("placed", 2, replica_assignment=[[1], [1]]),
              NewTopic("usual"),
              NewTopic("wide", 1, 2),
              NewTopic("no such name", 1, 1)]
    facts = {}
    facts["validated"] = outcomes(admin.create_topics(wanted, validate_only=True))
    facts["afterValidation"] = listed()
    facts["created"] = outcomes(admin.create_topics(wanted))
    facts["again"] = outcomes(admin.create_topics(wanted[:1]))
    facts["afterCreation"] = listed()
    facts["described"] = described("made", "never-made")
    facts["more"] = outcomes(admin.create_partitions([NewPartitions("made", 5), NewPartitions("never-made", 5)]))
    facts["fewer"] = outcomes(admin.create_partitions([NewPartitions("placed", 1)]))
    facts["afterPartitions"] = listed()
    facts["deleted"] = outcomes(admin.delete_topics(["made", "usual", "never-made"]))
    facts["afterDeletion"] = listed()
    return facts


def configs_scenario():
    create("set")
    resource = ConfigResource(ResourceType.TOPIC, "set")

    def described():
        entries = result(admin.describe_configs([resource])[resource])
        return {name: [entries[name].value, ConfigSource(entries[name].source).name, entries[name].is_default]
                for name in ("cleanup.policy", "retention.ms", "segment.bytes")}

    def alter(operation, **settings):
        entries = [ConfigEntry(name.replace("_", "."), value, incremental_operation=operation)
                   for name, value in settings.items()]
        change = ConfigResource(ResourceType.TOPIC, "set", incremental_configs=entries)
        return outcome(admin.incremental_alter_configs([change])[change])

    facts = {"before": described()}
    facts["set"] = alter(AlterConfigOpType.SET, retention_ms="604800001")
    facts["appended"] = alter(AlterConfigOpType.APPEND, cleanup_policy="compact")
    facts["afterSetting"] = described()
    facts["deleted"] = alter(AlterConfigOpType.DELETE, retention_ms=None)
    facts["subtracted"] = alter(AlterConfigOpType.SUBTRACT, cleanup_policy="delete")
    facts["afterDeletion"] = described()
    facts["bad"] = alter(AlterConfigOpType.SET, retention_ms="soon")
    facts["unknown"] = alter(AlterConfigOpType.SET, retention_sm="1")
    # The old request: what it does not name is unset.
    replacement = ConfigResource(ResourceType.TOPIC, "set", set_config={"segment.bytes": "1048576"})
    facts["replaced"] = outcome(admin.alter_configs([replacement])[replacement])
    facts["afterReplacement"] = described()
    node = ConfigResource(ResourceType.BROKER, "1")
    facts["nodeId"] = [result(admin.describe_configs([node])[node])["node.id"].value,
                       result(admin.describe_configs([node])[node])["node.id"].is_read_only]
    missing = ConfigResource(ResourceType.TOPIC, "never-made")
    facts["missing"] = outcome(admin.describe_configs([missing])[missing])
    return facts


def offsets_scenario():
    create("timed", 2)
    start = int(time.time() * 1000) - 60000
    # The third is the latest of all.
    produce("timed", 0, ["a", "b", "c", "d", "e"], [start, start + 10, start + 50, start + 30, start + 40])

    def listed(spec, isolation=IsolationLevel.READ_UNCOMMITTED):
        request = {TopicPartition("timed", partition): spec for partition in (0, 1)}
        answers = admin.list_offsets(request, isolation_level=isolation)
        found = sorted((place.partition, result(future)) for place, future in answers.items())
        return [[info.offset, info.timestamp if info.timestamp < 0 else info.timestamp - start] for _, info in found]

    def deleted(offset, partition=0):
        place = TopicPartition("timed", partition, offset)
        future = admin.delete_records([place])[place]
        return outcome(future) or result(future).low_watermark

    facts = {
        "earliest": listed(OffsetSpec.earliest()),
        "latest": listed(OffsetSpec.latest()),
        "stable": listed(OffsetSpec.latest(), IsolationLevel.READ_COMMITTED),
        "latestTime": listed(OffsetSpec.max_timestamp()),
        "after5": listed(OffsetSpec.for_timestamp(start + 5)),
        "after60": listed(OffsetSpec.for_timestamp(start + 60)),
    }
    facts["deleted"] = deleted(2)
    facts["earliestAfter"] = listed(OffsetSpec.earliest())
    facts["beyond"] = deleted(9)
    facts["noPartition"] = deleted(0, 7)
    facts["deletedAll"] = deleted(-1)
    facts["emptied"] = listed(OffsetSpec.earliest())
    places = [TopicPartition("timed", 0), TopicPartition("timed", 7)]
    elected = result(admin.elect_leaders(ElectionType.PREFERRED, places))
    facts["elected"] = {str(place.partition): error.name() if error else "" for place, error in elected.items()}
    return facts


def groups_scenario():
    create("worked", 2)
    produce("worked", 0, ["x"] * 5)

    def committed(group, *partitions):
        places = [TopicPartition("worked", each) for each in partitions] or None
        request = [ConsumerGroupTopicPartitions(group, places)]
        found = result(admin.list_consumer_group_offsets(request)[group]).topic_partitions
        return {str(each.partition): [each.offset, each.metadata] for each in found}

    def alter(group, places):
        future = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])[group]
        try:
            answered = result(future).topic_partitions
            return {str(each.partition): each.error.name() if each.error else "" for each in answered}
        except KafkaException as problem:
            return problem.args[0].name()

    def listed(**filters):
        found = result(admin.list_consumer_groups(**filters))
        assert found.errors == [], found.errors
        return {each.group_id: [each.state.name, each.type.name, each.is_simple_consumer_group] for each in found.valid}

    def described(*groups):
        found = {}
        for group, future in admin.describe_consumer_groups(list(groups), include_authorized_operations=True).items():
            try:
                description = result(future)
                found[group] = {
                    "state": description.state.name, "assignor": description.partition_assignor,
                    "coordinator": description.coordinator.id, "type": description.type.name,
                    "members": [[each.group_instance_id, each.client_id, each.host,
                                 sorted([p.topic, p.partition] for p in each.assignment.topic_partitions)]
                                for each in description.members],
                    "operations": sorted(each.name for each in description.authorized_operations),
                }
            except KafkaException as problem:
                found[group] = problem.args[0].name()
        return found

    facts = {}
    facts["altered"] = alter("quiet", [TopicPartition("worked", 0, 3), TopicPartition("worked", 1, 0)])
    facts["committed"] = committed("quiet")
    facts["committedOfTwo"] = committed("quiet", 0, 7)
    facts["alteredWrongly"] = alter("quiet", [TopicPartition("worked", 7, 3)])
    busy = Member(BOOTSTRAP, "busy", "worked")
    busy.read_until(lambda: len(busy.read) == 5)
    busy.commit()
    facts["alteredInUse"] = alter("busy", [TopicPartition("worked", 0, 0)])
    facts["listed"] = listed()
    facts["stable"] = listed(states={ConsumerGroupState.STABLE}, types={ConsumerGroupType.CLASSIC})
    facts["empty"] = listed(states={ConsumerGroupState.EMPTY})
    facts["ofNewProtocol"] = listed(types={ConsumerGroupType.CONSUMER})
    facts["described"] = described("busy", "quiet", "nobody")
    facts["deleted"] = outcomes(admin.delete_consumer_groups(["busy", "quiet", "nobody"]))
    busy.close()
    facts["committedByMember"] = committed("busy")
    facts["left"] = listed()
    return facts


def unserved_scenario():
    """Requests that a lone node does not serve: the client must be told so, and go on."""
    everything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None,
                                  AclOperation.ANY, AclPermissionType.ANY)
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": "never", "log_level": 0})
    try:
        producer.init_transactions(TIMEOUT_SECONDS)
        transactions = ""
    except KafkaException as problem:
        transactions = problem.args[0].str()
    return {
        "transactions": transactions,
        "acls": outcome(admin.describe_acls(everything)),
        "scram": outcome(admin.describe_user_scram_credentials()),
        "brokersAfter": len(admin.list_topics(timeout=TIMEOUT_SECONDS).brokers),
    }


SCENARIOS = {
    "cluster": cluster_scenario,
    "topics": topics_scenario,
    "configs": configs_scenario,
    "offsets": offsets_scenario,
    "groups": groups_scenario,
    "cooperative": lambda: cooperative_scenario(BOOTSTRAP, create, produce),
    "static": lambda: static_scenario(BOOTSTRAP, create, produce),
    "fenced": lambda: fenced_scenario(BOOTSTRAP, create, produce),
    "unserved": unserved_scenario,
}
print(json.dumps(SCENARIOS[sys.argv[2]]()))
