#!/usr/bin/env bash
# `make bench`: what a hop through Killick costs, beside haproxy and beside PgBouncer, and what a judgement and a decision cost.
# Everything runs on loopback in a temporary directory and is stopped at the end.
#   ROUNDS=5 SECONDS_EACH=1.5 CONNECTIONS=1,16 scripts/bench.sh          everything
#   ROUNDS=5 SECONDS_EACH=2 CLIENTS=1,8,64 STREAM_GB=1 scripts/bench.sh pg  PostgreSQL alone; MODES, SCRIPTS and SCALE as in bench_pg.py
#   RT="chrt --rr 10" scripts/bench.sh pg                                on a machine that others use too
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
need() { command -v "$1" >/dev/null || { [ "$(id -u)" = 0 ] && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null; }; command -v "$1" >/dev/null || { echo "bench: $1 is not installed" >&2; exit 1; }; }

http() {
  need nginx
  need haproxy
  cargo build --release -q -p killick -p killick-testkit --bins
  cargo build --release -q -p killick-policy --example decisions
  echo "== one hop, 1 KiB, keep-alive, TLS on both sides"
  python3 scripts/bench_http.py --bin target/release --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-1.5}" --connections "${CONNECTIONS:-1,16}"
  echo
  echo "== one decision"
  target/release/examples/decisions
}

pg() {
  need pgbouncer
  cargo build --release -q -p killick --bin killick
  cargo build --release -q -p killick-sql --example judge_lines
  cargo build --release -q -p killick-testkit --example judge_times
  python3 scripts/bench_pg.py --killick target/release/killick --judge target/release/examples --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-2}" \
    --clients "${CLIENTS:-1,8,64}" --modes "${MODES:-simple,extended,prepared}" --scripts "${SCRIPTS:-select,tpcb}" --scale "${SCALE:-20}" --captures "${CAPTURES:-5}" --stream-gb "${STREAM_GB:-1}"
}

case "${1:-all}" in
  pg) pg ;;
  http) http ;;
  *) http; echo; pg ;;
esac
