#!/usr/bin/env bash
# The newest 40 MB of a log, read twenty times by librdkafka: what reading from memory costs. One JSON line.
. "$(dirname "$0")/../peers/kafka/lib.sh"
topic=tail-$$-$RANDOM size=1024 count=40000 times=20
topic_create "$topic" 1 1
"$CACHE/rdperf" produce "$BOOTSTRAP" "$topic" $count $size acks=all linger.ms=5 >/dev/null
before=$(cpu_ticks)
for _ in $(seq $times); do "$CACHE/rdperf" consume "$BOOTSTRAP" "$topic" $count >/dev/null; done
after=$(cpu_ticks)
emit consume-tail "{\"label\": \"$LABEL\", \"size\": $size}" "{}" $((times * count * size)) "$before" "$after"
topic_delete "$topic"
