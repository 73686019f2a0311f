"""Drives one node with aiokafka: main.py BOOTSTRAP SCENARIO

Does what the scenario says and prints, as one JSON object, what came of it.
"""
import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError, for_code

BOOTSTRAP = sys.argv[1]
TIMEOUT_SECONDS = 60
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def name(code):
    return for_code(code).message if code else ""


async def outcome(awaitable):
    """"" for a request that went well, else the name of the error."""
    try:
        await awaitable
        return ""
    except KafkaError as error:
        return getattr(error, "message", type(error).__name__)


async def create(admin, topic, partitions=1, **settings):
    response = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
    assert [code for _, code, _ in response.topic_errors] == [0], response


async def produce(topic, records):
    """Sends (partition, value, timestamp) in their order."""
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP) as producer:
        for partition, value, stamp in records:
            await producer.send_and_wait(topic, value.encode(), partition=partition, timestamp_ms=stamp)


async def records_scenario(admin):
    """Sends records in every compression to two partitions, idempotent, and reads all of them back."""
    await create(admin, "records", 2)
    start = int(time.time() * 1000) - 60000
    sent, read = [], []
    for codec in CODECS:
        async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all",
                                    compression_type=None if codec == "none" else codec,
                                    enable_idempotence=True, linger_ms=5) as producer:
            futures = []
            for n in range(100):
                value = None if n == 99 else ("ab" * n).encode()
                headers = [("codec", codec.encode()), ("number", str(n).encode())]
                key = "%s-%d" % (codec, n)
                futures.append(await producer.send(
                    "records", value, key=key.encode(), partition=n % 2, timestamp_ms=start + n, headers=headers))
            for future in futures:
                place = await future
                sent.append([place.partition, place.offset])
    places = [TopicPartition("records", partition) for partition in (0, 1)]
    async with AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="earliest", check_crcs=True) as consumer:
        consumer.assign(places)
        while len(read) < len(sent):
            record = await asyncio.wait_for(consumer.getone(), TIMEOUT_SECONDS)
            read.append({
                "place": [record.partition, record.offset], "key": record.key.decode(),
                "value": None if record.value is None else record.value.decode(),
                "headers": [[key, value.decode()] for key, value in record.headers],
                "afterMs": record.timestamp - start, "timestampType": record.timestamp_type,
            })
    return {"sent": sent, "read": read}


async def offsets_scenario(admin):
    await create(admin, "timed", 2)
    start = int(time.time() * 1000) - 60000
    await produce("timed", [(0, "value %d" % n, start + 10 * n) for n in range(5)])
    places = [TopicPartition("timed", partition) for partition in (0, 1)]

    async with AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="none") as consumer:
        async def times(after):
            found = await consumer.offsets_for_times({place: start + after for place in places})
            return [None if found[place] is None else [found[place].offset, found[place].timestamp - start]
                    for place in places]

        async def ends():
            first, last = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            return [[first[place], last[place]] for place in places]

        async def values(offset):
            consumer.assign(places[:1])
            consumer.seek(places[0], offset)
            end = (await consumer.end_offsets(places))[places[0]]
            found = []
            while await consumer.position(places[0]) < end:
                found.append((await asyncio.wait_for(consumer.getone(), TIMEOUT_SECONDS)).value.decode())
            return found

        facts = {"ends": await ends(), "after11": await times(11), "after50": await times(50), "from3": await values(3)}

        async def deleted(offset):
            place = TopicPartition("timed", 0)
            try:
                return (await admin.delete_records({place: RecordsToDelete(before_offset=offset)}))[place]
            except KafkaError as error:
                return error.message

        facts["deleted"] = await deleted(2)
        facts["endsAfter"] = await ends()
        facts["from2"] = await values(2)
        facts["tooEarly"] = await outcome(values(1))
        facts["beyond"] = await deleted(9)
        facts["deletedAll"] = await deleted(-1)
        facts["emptied"] = await ends()
        return facts


class Member(ConsumerRebalanceListener):
    """A consumer of a group that reads all the time, commits what it has read, and notes what happens to it."""

    def __init__(self, group, topic, changed):
        self.own, self.events, self.read = [], [], []
        self.changed = changed
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=BOOTSTRAP, group_id=group, client_id="aio", auto_offset_reset="earliest",
            enable_auto_commit=False, heartbeat_interval_ms=100, session_timeout_ms=10000, fetch_max_wait_ms=100)
        self.consumer.subscribe([topic], listener=self)

    async def start(self):
        await self.consumer.start()
        self.reading = asyncio.create_task(self.read_on())
        return self

    async def read_on(self):
        async for record in self.consumer:
            place = TopicPartition(record.topic, record.partition)
            await self.consumer.commit({place: OffsetAndMetadata(record.offset + 1, "read")})
            self.read.append("%d:%s" % (record.partition, record.value.decode()))
            self.changed.set()

    def on_partitions_revoked(self, revoked):
        self.note("revoked", revoked)
        self.own = []

    def on_partitions_assigned(self, assigned):
        self.note("assigned", assigned)
        self.own = sorted(place.partition for place in assigned)

    def note(self, what, places):
        if places:
            self.events.append("%s %s" % (what, ",".join(str(place.partition) for place in sorted(places))))
        self.changed.set()

    async def stop(self):
        self.reading.cancel()
        await self.consumer.stop()

    def facts(self):
        return {"own": self.own, "events": self.events[:], "read": sorted(self.read)}


async def until(changed, members, holds):
    async def wait():
        while not holds():
            for member in members:
                if member.reading.done():
                    member.reading.result()
            changed.clear()
            await changed.wait()
    try:
        await asyncio.wait_for(wait(), TIMEOUT_SECONDS)
    except asyncio.TimeoutError:
        raise AssertionError([member.facts() for member in members])


async def committed(admin, group):
    found = await admin.list_consumer_group_offsets(group)
    return {str(place.partition): [at.offset, at.metadata] for place, at in sorted(found.items())}


async def described(admin, group):
    (response,) = await admin.describe_consumer_groups([group])
    ((code, _, state, kind, protocol, members, *_),) = response.groups
    shown = []
    for _, client, host, metadata, assignment in (member[-5:] for member in members):
        topics = ConsumerProtocolMemberMetadata.decode(metadata).subscription
        share = ConsumerProtocolMemberAssignment.decode(assignment).assignment
        shown.append([client, host, topics, [[topic, sorted(partitions)] for topic, partitions in share]])
    return {"error": name(code), "state": state, "type": kind, "protocol": protocol, "members": sorted(shown)}


async def members_scenario(admin):
    """One member has all, then two share, then the other has all."""
    await create(admin, "shared", 4)

    async def fill(value):
        await produce("shared", [(partition, value, None) for partition in range(4)])

    changed = asyncio.Event()
    facts = {}
    await fill("a")
    first = await Member("sharers", "shared", changed).start()
    await until(changed, [first], lambda: len(first.read) == 4)
    facts["alone"] = first.facts()
    second = await Member("sharers", "shared", changed).start()
    both = [first, second]
    await until(changed, both, lambda: (len(first.own), len(second.own)) == (2, 2))
    await fill("b")
    await until(changed, both, lambda: (len(first.read), len(second.read)) == (6, 2))
    facts.update(firstOfTwo=first.facts(), secondOfTwo=second.facts(), described=await described(admin, "sharers"))
    await first.stop()
    await until(changed, [second], lambda: len(second.own) == 4)
    await fill("c")
    await until(changed, [second], lambda: len(second.read) == 6)
    facts["left"] = second.facts()
    facts["position"] = await second.consumer.committed(TopicPartition("shared", 0))
    await second.stop()
    facts["committed"] = await committed(admin, "sharers")
    facts["afterwards"] = await described(admin, "sharers")
    return facts


async def admin_scenario(admin):
    facts = {}

    async def listed():
        return {each["topic"]: [[p["partition"], p["leader"], p["replicas"], p["isr"]]
                                for p in sorted(each["partitions"], key=lambda p: p["partition"])]
                for each in await admin.describe_topics() if each["topic"] != "__consumer_offsets"}

    def codes(response):
        return {topic: name(code) for topic, code, *_ in response}

    cluster = await admin.describe_cluster()
    facts["cluster"] = [cluster["cluster_id"], cluster["controller_id"],
                        [[each["node_id"], each["host"], each["port"]] for each in cluster["brokers"]]]
    wanted = [NewTopic("made", 3, 1, topic_configs={"retention.ms": "60000"}),
              NewTopic("placed", -1, -1, replica_assignments={0: [1], 1: [1]}),
              NewTopic("wide", 1, 2)]
    facts["validated"] = codes((await admin.create_topics(wanted, validate_only=True)).topic_errors)
    facts["afterValidation"] = await listed()
    facts["created"] = codes((await admin.create_topics(wanted)).topic_errors)
    facts["again"] = codes((await admin.create_topics(wanted[:1])).topic_errors)
    facts["afterCreation"] = await listed()
    facts["names"] = sorted(await admin.list_topics())
    facts["more"] = await outcome(admin.create_partitions({"made": NewPartitions(5)}))
    facts["fewer"] = await outcome(admin.create_partitions({"made": NewPartitions(2)}))
    facts["afterPartitions"] = {topic: len(partitions) for topic, partitions in (await listed()).items()}

    async def described_configs(kind, resource, *keys):
        configs = {key: None for key in keys}
        (response,) = await admin.describe_configs([ConfigResource(kind, resource, configs)])
        ((code, _, _, _, entries),) = response.resources
        return name(code) or {key: [value, source] for key, value, _, source, *_ in entries}

    topic = ConfigResourceType.TOPIC
    facts["configs"] = await described_configs(topic, "made", "retention.ms", "segment.bytes")
    change = ConfigResource(topic, "made", {"segment.bytes": "1048576"})
    altered = await admin.alter_configs([change])
    facts["altered"] = [name(code) for response in altered for code, *_ in response.resources]
    # The old request: what it does not name is unset.
    facts["configsAfter"] = await described_configs(topic, "made", "retention.ms", "segment.bytes")
    facts["noConfigs"] = await described_configs(topic, "never-made", "retention.ms")
    facts["ofBroker"] = await described_configs(ConfigResourceType.BROKER, "1", "node.id")

    facts["coordinator"] = await admin.find_coordinator("quiet")
    async with AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id="quiet", enable_auto_commit=False) as consumer:
        place = TopicPartition("made", 1)
        consumer.assign([place])
        await consumer.commit({place: OffsetAndMetadata(7, "noted")})
        facts["committed"] = await consumer.committed(place)
    facts["groups"] = sorted(await admin.list_consumer_groups())
    facts["offsets"] = await committed(admin, "quiet")
    facts["described"] = await described(admin, "quiet")
    facts["nobody"] = await described(admin, "nobody")
    deletion = await admin.delete_topics(["made", "never-made"])
    facts["deleted"] = {topic: name(code) for topic, code in deletion.topic_error_codes}
    facts["afterDeletion"] = await listed()
    # A deleted topic takes its committed offsets with it, soon.
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while "1" in await committed(admin, "quiet"):
            pass
    return facts


async def unserved_scenario(admin):
    """What a lone node does not serve yet: the client must be told so."""
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id="never")
    try:
        return {"transactions": await outcome(producer.start())}
    finally:
        await producer.stop()


async def main(scenario):
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    try:
        print(json.dumps(await scenario(admin)))
    finally:
        await admin.close()


SCENARIOS = {
    "records": records_scenario,
    "offsets": offsets_scenario,
    "members": members_scenario,
    "admin": admin_scenario,
    "unserved": unserved_scenario,
}
asyncio.run(main(SCENARIOS[sys.argv[2]]))
