# Sourced by run.sh: starts and stops the two brokers, and runs a script of the kit against one of them.
kit=$root/test/peers/kafka
peers=$HOME/.cache/holdfast-peers
work=$(mktemp -d)
OUT=${OUT:-$work/bench.jsonl}
export RUNDIR=$work/run
mkdir -p "$RUNDIR"

KAFKA_PORT=19092 # fixed in the kit
HOLDFAST_PORT=19192
holdfast_pid= bootstrap= broker= broker_pid= round=0

holdfast_command() { # the command line of a broker on the data directory $1, with the settings $2...
  local directory=$1; shift
  echo "node $root/bin/broker --override node.id=1 --override listeners=PLAINTEXT://127.0.0.1:$HOLDFAST_PORT --override log.dirs=$directory --override offsets.topic.replication.factor=1 --override group.initial.rebalance.delay.ms=0 $*"
}

stop_all() {
  "$kit/single.sh" stop || true
  if [ -n "$holdfast_pid" ]; then kill "$holdfast_pid" 2>/dev/null || true; wait "$holdfast_pid" 2>/dev/null || true; fi
  holdfast_pid=
}
trap 'stop_all; [ -n "${KEEP:-}" ] || rm -rf "$work"' EXIT

wait_ready() { "$peers/venv/bin/python" "$kit/rawpoll.py" "127.0.0.1:$1" --brokers 1 --quiet; }

start_holdfast() { # settings...
  $(holdfast_command "$work/data" "$@") >>"$work/holdfast.log" 2>&1 &
  holdfast_pid=$!
  wait_ready $HOLDFAST_PORT || { tail "$work/holdfast.log" >&2; return 1; }
}

# Both, with log.flush.interval.messages=$1 if it is not empty, and further settings of ours. The JIT of either is warm
# before anything counts.
start_both() {
  local flush=${1:-}; [ $# -eq 0 ] || shift
  rm -rf "$work/data"
  FLUSH=$flush "$kit/single.sh" format
  FLUSH=$flush "$kit/single.sh" start
  start_holdfast ${flush:+--override log.flush.interval.messages=$flush} "$@"
  for one in kafka holdfast; do
    OUT=/dev/null measure $one bench-rdkafka.sh N=300000
    OUT=/dev/null measure $one bench-produce-java.sh N=$([ -n "$flush" ] && echo 50000 || echo 300000)
  done
}

select_broker() { # sets bootstrap and broker_pid
  broker=$1
  if [ "$1" = holdfast ]; then bootstrap=127.0.0.1:$HOLDFAST_PORT broker_pid=$holdfast_pid
  else bootstrap=127.0.0.1:$KAFKA_PORT broker_pid=$(cat "$RUNDIR/node1.pid"); fi
}

record() { tee -a "$OUT" >&2; }

result() { # BENCH 'fields' '{json}': one line for the broker that was selected
  echo "{\"bench\": \"$1\", \"label\": \"$broker\", $2, ${3#\{}" | record
}

# measure BROKER SCRIPT [VAR=value ...]: one run of a script, of the kit or from here, against one of the two brokers.
measure() {
  local script=$2
  select_broker "$1"; shift 2
  echo "$(date +%T) $broker $script $*" >&2
  [ -e "$here/$script" ] && script=$here/$script || script=$kit/$script
  env BOOTSTRAP="$bootstrap" BROKER_PIDS="$broker_pid" LABEL="$broker" "$@" "$script" |
    sed "s/^{/{${TAG:+$TAG, }/" | record
  sync
}

# The order alternates from round to round.
in_turn() { if [ $((round % 2)) = 0 ]; then echo kafka holdfast; else echo holdfast kafka; fi; }

pair() { local one; for one in $(in_turn); do measure "$one" "$@"; done; }

memory_of() { # the resident set of the process $1, now and at its greatest
  awk '/VmRSS/{now=$2} /VmHWM/{most=$2} END{printf "{\"rss_mib\": %d, \"max_rss_mib\": %d}", now/1024, most/1024}' "/proc/$1/status"
}
