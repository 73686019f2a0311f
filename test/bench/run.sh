#!/usr/bin/env bash
# Holdfast and Apache Kafka side by side: the same clients, the same machine, one run, taken in turn.
#
#   npm run bench -- [PART...]      startup throughput tail latency flush acks memory recovery partitions
#                                   connections hostile; default: all
#
# RUNS (3): rounds of each part. Needs `npm run build`, and test/peers/kafka/setup.sh to have run. Appends
# one JSON line a measurement to $OUT (default: a temporary file) and prints the tables of
# docs/benchmarks.md at the end. Default settings on both sides, one topic, one partition, if a part does
# not say otherwise.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/brokers.sh"

RUNS=${RUNS:-3}
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(startup throughput tail latency flush acks memory recovery partitions connections hostile)

part_startup() {
  for round in $(seq "$RUNS"); do
    BOOTSTRAP=127.0.0.1:$KAFKA_PORT LABEL=kafka IDLE=5 "$kit/bench-startup.sh" | record
    rm -rf "$work/startup"
    BOOTSTRAP=127.0.0.1:$HOLDFAST_PORT LABEL=holdfast IDLE=5 FORMAT_CMD= \
      START_CMD="$(holdfast_command "$work/startup")" "$kit/bench-startup.sh" | record
  done
}

part_throughput() {
  start_both
  for round in $(seq "$RUNS"); do
    local tuning
    for tuning in default tuned; do
      pair bench-produce-java.sh SIZE=1024 N=500000 ACKS=1 TUNING=$tuning
      pair bench-produce-java.sh SIZE=100 N=2000000 ACKS=1 TUNING=$tuning
    done
    pair bench-rdkafka.sh SIZE=1024 N=500000 ACKS=all
    pair bench-node.sh SIZE=1024 N=100000 BATCH=100 ACKS=all
    pair bench-consume-java.sh SIZE=1024 N=500000
  done
  stop_all
}

part_tail() {
  start_both
  for round in $(seq "$RUNS"); do pair consume-tail.sh; done
  stop_all
}

# From produce() to the ack, and to the consumer, at a fixed rate; then the same with every batch synced.
part_latency() {
  local flush rate
  for flush in "" 1; do
    start_both $flush
    for round in $(seq "$RUNS"); do
      for rate in 200 1000; do
        TAG="\"rate\": $rate${flush:+, \"flush\": $flush}" pair bench-e2e.sh RATE=$rate SECS=12 ACKS=all
      done
    done
    stop_all
  done
}

# One topic of a thousand partitions, a thousand topics of one; then latency, processor time and memory beside up to
# ten thousand.
part_partitions() {
  for round in $(seq "$RUNS"); do
    start_both
    pair bench-partitions.sh COUNT=1000
    stop_all
  done
  start_both
  local count
  for count in 10 100 1000 10000; do
    for broker in $(in_turn); do
      select_broker "$broker"
      node "$here/partitions.mjs" create "$bootstrap" $count
      TAG="\"partitions\": $count" measure "$broker" bench-e2e.sh RATE=200 SECS=8 ACKS=all
      result "partitions-held" "\"partitions\": $count" "$(memory_of "$broker_pid")"
      node "$here/partitions.mjs" delete "$bootstrap" $count
    done
  done
  stop_all
}

# Latency, processor time and memory beside many connections.
part_connections() {
  ulimit -n "$(ulimit -Hn)"
  local count state
  start_both "" --override max.connections.per.ip=20000
  for count in 10 100 1000 5000; do
    for state in idle busy; do
      for broker in $(in_turn); do
        select_broker "$broker"
        coproc held { exec node "$here/connections.mjs" "$bootstrap" "$count" $state; }
        local holder=$held_PID in=${held[1]}
        read -r _ <&"${held[0]}"
        TAG="\"connections\": $count, \"state\": \"$state\"" measure "$broker" bench-e2e.sh RATE=200 SECS=8 ACKS=all
        result "connections" "\"connections\": $count, \"state\": \"$state\"" "$(memory_of "$broker_pid")"
        exec {in}>&-
        wait "$holder" || true
      done
    done
  done
  stop_all
}

# From produce() to the consumer at 1,000 msg/s, alone and beside ATTACKERS (10000) connections that nobody asked for
# (test/hostile/attack.mjs). Ours only: each kind of them against the runs without any just before.
part_hostile() {
  local count=${ATTACKERS:-10000} files kind
  files=$(ulimit -Hn)
  if [ "$files" != unlimited ] && [ "$files" -lt $((2 * count)) ]; then
    echo "part hostile is skipped: $count connections need $((2 * count)) open files, ulimit -Hn says $files" >&2
    return
  fi
  ulimit -n "$files"
  rm -rf "$work/data"
  start_holdfast
  OUT=/dev/null measure holdfast bench-rdkafka.sh N=300000
  OUT=/dev/null measure holdfast bench-e2e.sh RATE=1000 SECS=8 ACKS=all
  for round in $(seq "$RUNS"); do
    for kind in silent garbage trickle; do
      TAG="\"attack\": \"none\", \"before\": \"$kind\"" measure holdfast bench-e2e.sh RATE=1000 SECS=12 ACKS=all
      coproc attack { exec node "$root/test/hostile/attack.mjs" "$HOLDFAST_PORT" "$kind" "$count"; }
      local attacker=$attack_PID in=${attack[1]}
      read -r _ <&"${attack[0]}"
      TAG="\"attack\": \"$kind\", \"connections\": $count" measure holdfast bench-e2e.sh RATE=1000 SECS=12 ACKS=all
      result "hostile-memory" "\"attack\": \"$kind\", \"connections\": $count" "$(memory_of "$broker_pid")"
      exec {in}>&-
      wait "$attacker" || true
    done
  done
  stop_all
  node "$here/hostile-table.mjs" "$OUT"
}

# Every batch synced before its ack, on both sides; then with log.preallocate on both.
part_flush() {
  local preallocate
  for preallocate in false true; do
    EXTRA="log.preallocate=$preallocate" start_both 1 --override log.preallocate=$preallocate
    TAG="\"flush\": 1, \"preallocate\": $preallocate"
    for round in $(seq "$RUNS"); do
      TAG=$TAG pair bench-produce-java.sh SIZE=1024 N=200000 ACKS=all TUNING=default
      TAG=$TAG pair bench-produce-java.sh SIZE=1024 N=1500000 ACKS=all TUNING=tuned
    done
    stop_all
  done
}

# The same with 32 producers that send one record at a time (linger 0).
part_acks() {
  start_both 1
  for round in $(seq "$RUNS"); do
    for broker in $(in_turn); do
      select_broker "$broker"
      local topic=acks-$round
      BOOTSTRAP=$bootstrap PATH=$PATH bash -c ". '$kit/env.sh'; topic_create $topic 1 1"
      result "sync-producers" '"producers": 32, "flush": 1, "acks": "all", "size": 1024' \
        "$(node "$here/sync-producers.mjs" "$bootstrap" "$topic" 32 10)"
    done
  done
  stop_all
}

# Default settings; librdkafka sends batches of up to 1 MB.
part_memory() {
  start_holdfast
  select_broker holdfast
  BOOTSTRAP=$bootstrap bash -c ". '$kit/env.sh'; topic_create memory 1 1"
  local gigabyte
  for gigabyte in 1 2 3 4 5; do
    "$peers/rdperf" produce "$bootstrap" memory 1000000 1024 acks=all linger.ms=5 >/dev/null
  done
  result "memory" '"gb": 5, "size": 1024' "$(memory_of "$broker_pid")"
  stop_all
}

# 1 GiB in 16 KiB batches that was never synced, in one segment; killed, and started again.
part_recovery() {
  for round in $(seq "$RUNS"); do
    rm -rf "$work/data"
    start_holdfast "--override log.segment.bytes=2000000000"
    select_broker holdfast
    BOOTSTRAP=$bootstrap bash -c ". '$kit/env.sh'; topic_create recovery 1 1"
    "$peers/rdperf" produce "$bootstrap" recovery 1048576 1024 acks=all linger.ms=5 \
      batch.size=16384 batch.num.messages=15 >/dev/null
    kill -9 "$holdfast_pid"
    wait "$holdfast_pid" 2>/dev/null || true
    : >"$work/holdfast.log"
    local start_ms
    start_ms=$(date +%s%3N)
    start_holdfast "--override log.segment.bytes=2000000000"
    start_ms=$(($(date +%s%3N) - start_ms))
    result "recovery" "\"gib\": 1, \"size\": 16384, \"start_ms\": $start_ms" \
      "$(node "$here/recovery-time.mjs" "$work/holdfast.log")"
    stop_all
  done
}

# A virtual machine pays for memory that it touches for the first time; whoever comes first would pay for both.
dd if=/dev/zero of="$work/touched" bs=1M count=6144 status=none
rm "$work/touched"

for part in "${parts[@]}"; do
  echo "$(date +%T) part $part" >&2
  "part_$part"
done
node "$here/table.mjs" "$OUT"
