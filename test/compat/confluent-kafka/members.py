"""Scenarios with members of groups, each polled in turn."""
import time

from confluent_kafka import Consumer, KafkaError, KafkaException

TIMEOUT_SECONDS = 60
JUST_REBALANCED = (KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS)


class Member:
    """A consumer of a group, and what has happened to it."""

    def __init__(self, bootstrap, group, topic, **settings):
        self.own = set()
        self.events = []
        self.read = []
        self.error = None
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "client.id": "rd",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "heartbeat.interval.ms": 100,
            "session.timeout.ms": 10000,
            "fetch.wait.max.ms": 100,
            **{name.replace("_", "."): value for name, value in settings.items()},
        })
        self.consumer.subscribe([topic], on_assign=self._on("assigned"), on_revoke=self._on("revoked"),
                                on_lost=self._on("lost"))

    def _on(self, what):
        def happened(_, places):
            partitions = {place.partition for place in places}
            self.own = self.own | partitions if what == "assigned" else self.own - partitions
            if partitions:
                self.events.append("%s %s" % (what, ",".join(map(str, sorted(partitions)))))
        return happened

    def poll(self):
        for message in self.consumer.consume(10, 0.02):
            if message.error() is None:
                self.read.append("%d:%s" % (message.partition(), message.value().decode()))
            else:
                self.error = message.error().str()

    def read_until(self, holds, *others):
        """Polls this one and the others in turn until it holds."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not holds():
            assert time.monotonic() < deadline, [member.facts() for member in (self, *others)]
            for member in (self, *others):
                member.poll()

    def commit(self):
        """Commits where it has read to, again when the group was just rebalanced; returns partition -> offset."""
        while True:
            try:
                places = self.consumer.commit(asynchronous=False)
                return {str(each.partition): each.offset for each in places if each.offset >= 0}
            except KafkaException as problem:
                if problem.args[0].code() not in JUST_REBALANCED:
                    raise
                self.poll()

    def facts(self):
        return {"own": sorted(self.own), "events": self.events[:], "read": sorted(self.read), "error": self.error}

    def close(self):
        self.consumer.close()


def cooperative_scenario(bootstrap, create, produce):
    """One member has all, then two share without giving back what stays, then the other has all."""
    create("shared", 4)

    def fill(value):
        for partition in range(4):
            produce("shared", partition, [value])

    def join():
        return Member(bootstrap, "sharers", "shared", partition_assignment_strategy="cooperative-sticky")

    fill("a")
    first = join()
    first.read_until(lambda: len(first.read) == 4)
    facts = {"alone": first.facts(), "firstCommit": first.commit()}
    second = join()
    first.read_until(lambda: (len(first.own), len(second.own)) == (2, 2), second)
    fill("b")
    first.read_until(lambda: (len(first.read), len(second.read)) == (6, 2), second)
    facts.update(firstOfTwo=first.facts(), secondOfTwo=second.facts())
    facts.update(commitOfFirst=first.commit(), commitOfSecond=second.commit())
    first.close()
    second.read_until(lambda: len(second.own) == 4)
    fill("c")
    second.read_until(lambda: len(second.read) == 6)
    facts.update(left=second.facts(), lastCommit=second.commit())
    second.close()
    return facts


def static_scenario(bootstrap, create, produce):
    """A static member that comes back has its partitions, and the other does not hear of it."""
    create("settled", 4)

    def join(instance):
        return Member(bootstrap, "settlers", "settled", partition_assignment_strategy="range", group_instance_id=instance)

    first, second = join("one"), join("two")
    first.read_until(lambda: (len(first.own), len(second.own)) == (2, 2), second)
    facts = {"first": sorted(first.own), "second": sorted(second.own)}
    events = len(first.events)
    second.close()
    back = join("two")
    first.read_until(lambda: len(back.own) == 2, back)
    facts["back"] = sorted(back.own)
    for partition in range(4):
        produce("settled", partition, ["x"])
    first.read_until(lambda: (len(first.read), len(back.read)) == (2, 2), back)
    facts["firstHeardOfIt"] = len(first.events) != events
    facts["read"] = [sorted(first.read), sorted(back.read)]
    facts["committed"] = [first.commit(), back.commit()]
    first.close()
    back.close()
    return facts


def fenced_scenario(bootstrap, create, produce):
    """Who takes another's instance id fences it: that one is told, and may not commit any more."""
    create("taken", 1)
    produce("taken", 0, ["x"])

    def join():
        return Member(bootstrap, "takers", "taken", group_instance_id="the-one")

    first = join()
    first.read_until(lambda: len(first.read) == 1)
    second = join()
    first.read_until(lambda: first.error is not None and len(second.own) == 1, second)
    facts = {"error": first.error}
    try:
        first.commit()
    except KafkaException as problem:
        facts["commit"] = problem.args[0].name()
    second.read_until(lambda: len(second.read) == 1)
    facts["second"] = second.commit()
    second.close()
    first.close()
    return facts
