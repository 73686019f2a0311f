"""An idempotent librdkafka producer that never stops of itself.

    producer.py BOOTSTRAP TOPIC RATE [KEYS]

Sends values 0, 1, 2, ... (and some padding) at RATE a second; with KEYS each has one of so many keys, in turn, the
last tenth of which are deleted (a null value) now and then, and the last twentieth once for all. Prints, as they
are acknowledged, lines of

    MONOTONIC_NS OFFSET FIRST_VALUE..LAST_VALUE  (one run of contiguous values and offsets)

Reads stdin; at its end (or at a fatal error) it flushes what is outstanding, prints "done SENT FAILED" and exits.
"""
import functools
import select
import sys
import time

from confluent_kafka import KafkaException, Producer

bootstrap, topic, rate = sys.argv[1], sys.argv[2], int(sys.argv[3])
keys = int(sys.argv[4]) if len(sys.argv) > 4 else 0
PADDING = "x" * 80
producer = Producer({
    "bootstrap.servers": bootstrap,
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 2,
    "message.timeout.ms": 0,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 100,
    "retry.backoff.ms": 20,
    "socket.timeout.ms": 5000,
    "log_level": 2,
})
run = []          # values and offsets acknowledged and not yet printed
failed = 0


def on_delivery(value, error, message):
    global failed
    if error is not None:
        failed += 1
        print("failed %s %s" % (value, error.name()), flush=True)
        return
    run.append((value, message.offset()))


def key_and_content(value):
    content = ("%d %s" % (value, PADDING)).encode()
    if keys == 0:
        return None, content
    key, turn = value % keys, value // keys
    is_last_tenth, is_last_twentieth = key >= keys * 0.9, key >= keys * 0.95
    if is_last_twentieth and turn > 5:
        key, is_last_tenth = key - keys // 2, False
    is_deleted = is_last_tenth and (turn == 5 or (turn % 2 == 1 and not is_last_twentieth))
    return ("k%d" % key).encode(), None if is_deleted else content


def report():
    if not run:
        return
    now = time.monotonic_ns()
    lines, start = [], 0
    for i in range(1, len(run) + 1):
        if i == len(run) or run[i] != (run[i - 1][0] + 1, run[i - 1][1] + 1):
            lines.append("%d %d %d..%d" % (now, run[start][1], run[start][0], run[i - 1][0]))
            start = i
    run.clear()
    print("\n".join(lines), flush=True)


value, began, stopped = 0, time.monotonic(), False
while not stopped:
    due = int((time.monotonic() - began) * rate)
    while value < due:
        try:
            key, content = key_and_content(value)
            producer.produce(topic, content, key, partition=0, on_delivery=functools.partial(on_delivery, value))
            value += 1
        except BufferError:
            began = time.monotonic() - value / rate
            break
        except KafkaException as error:    # fatal: the broker has forgotten what it acknowledged
            print("fatal %s" % error, flush=True)
            stopped = True
            break
    producer.poll(0.001)
    report()
    stopped = stopped or bool(select.select([sys.stdin], [], [], 0)[0]) and sys.stdin.read(1) == ""
producer.flush(60)
report()
print("done %d %d" % (value, failed), flush=True)
