#!/usr/bin/env bash
# Holdfast and Apache Kafka side by side: the same clients, the same machine, one run, taken in turn.
#
#   test/bench/run.sh [RUNS]      default 3; needs test/peers/kafka/setup.sh to have run
#
# Appends one JSON line a measurement to $OUT (default: a temporary file) and prints the table of
# docs/benchmarks.md at the end. Both brokers run with their default settings, one topic, one partition.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
kit=$root/test/peers/kafka
runs=${1:-3}
work=$(mktemp -d)
OUT=${OUT:-$work/bench.jsonl}
export RUNDIR=$work/run
mkdir -p "$RUNDIR"

KAFKA_PORT=19092 # fixed in the kit
HOLDFAST_PORT=19192

holdfast() { # the command line of a broker on the data directory $1
  echo "node $root/bin/broker --override node.id=1 --override listeners=PLAINTEXT://127.0.0.1:$HOLDFAST_PORT --override log.dirs=$1 --override offsets.topic.replication.factor=1 --override group.initial.rebalance.delay.ms=0"
}

stop_all() {
  "$kit/single.sh" stop || true
  if [ -n "${holdfast_pid:-}" ]; then kill "$holdfast_pid" 2>/dev/null || true; wait "$holdfast_pid" 2>/dev/null || true; fi
  holdfast_pid=
}
trap 'stop_all; [ -z "${KEEP:-}" ] && rm -rf "$work"' EXIT

wait_ready() { "$HOME/.cache/holdfast-peers/venv/bin/python" "$kit/rawpoll.py" "127.0.0.1:$1" --brokers 1 --quiet; }

# measure BROKER SCRIPT [VAR=value ...]: one run of a kit script against one of the two brokers.
measure() {
  local broker=$1 script=$2; shift 2
  local port=$KAFKA_PORT pid
  if [ "$broker" = holdfast ]; then port=$HOLDFAST_PORT pid=$holdfast_pid; else pid=$(cat "$RUNDIR/node1.pid"); fi
  echo "$(date +%T) $broker $script $*" >&2
  env BOOTSTRAP="127.0.0.1:$port" BROKER_PIDS="$pid" LABEL="$broker" "$@" "$kit/$script" | tee -a "$OUT" >&2
  sync
}

# A pair of runs, the order alternating from round to round.
pair() {
  if [ $((round % 2)) = 0 ]; then measure kafka "$@"; measure holdfast "$@"
  else measure holdfast "$@"; measure kafka "$@"; fi
}

for round in $(seq "$runs"); do
  echo "$(date +%T) start-up, round $round" >&2
  BOOTSTRAP=127.0.0.1:$KAFKA_PORT LABEL=kafka IDLE=5 "$kit/bench-startup.sh" | tee -a "$OUT" >&2
  rm -rf "$work/startup"
  BOOTSTRAP=127.0.0.1:$HOLDFAST_PORT LABEL=holdfast IDLE=5 FORMAT_CMD= START_CMD="$(holdfast "$work/startup")" \
    "$kit/bench-startup.sh" | tee -a "$OUT" >&2
done

"$kit/single.sh" format
"$kit/single.sh" start
$(holdfast "$work/data") >"$work/holdfast.log" 2>&1 &
holdfast_pid=$!
wait_ready $HOLDFAST_PORT

# The JIT of either broker is warm before anything counts.
for broker in kafka holdfast; do OUT=/dev/null measure $broker bench-rdkafka.sh N=300000; OUT=/dev/null measure $broker bench-produce-java.sh N=200000; done

for round in $(seq "$runs"); do
  pair bench-produce-java.sh SIZE=1024 N=500000 ACKS=1 TUNING=default
  pair bench-produce-java.sh SIZE=1024 N=500000 ACKS=1 TUNING=tuned
  pair bench-rdkafka.sh SIZE=1024 N=500000 ACKS=all
  pair bench-consume-java.sh SIZE=1024 N=500000
done

node "$here/table.mjs" "$OUT"
