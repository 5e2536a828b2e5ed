#!/usr/bin/env bash
# `make bench`: what a hop through Killick costs, beside haproxy, and what a decision costs as policies grow.
# Everything runs on loopback in a temporary directory and is stopped at the end.
#   ROUNDS=5 SECONDS_EACH=1.5 CONNECTIONS=1,16 scripts/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
need() { command -v "$1" >/dev/null || { [ "$(id -u)" = 0 ] && apt-get install -y -qq "$1" >/dev/null; }; command -v "$1" >/dev/null || { echo "bench: $1 is not installed" >&2; exit 1; }; }
need nginx
need haproxy
cargo build --release -q -p killick -p killick-testkit --bins
cargo build --release -q -p killick-policy --example decisions
echo "== one hop, 1 KiB, keep-alive, TLS on both sides"
python3 scripts/bench_http.py --bin target/release --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-1.5}" --connections "${CONNECTIONS:-1,16}"
echo
echo "== one decision"
target/release/examples/decisions
