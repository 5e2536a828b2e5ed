#!/usr/bin/env bash
# Runs every test of the workspace, or those whose name holds the argument.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

failed=0

# Tests start these programs; a package's own tests build only its own.
cargo build --quiet --workspace --bins || exit 1

# nextest runs no doctests, and the compile-fail doctests hold the first invariant.
if [ "$#" -eq 0 ]; then
  echo '== doctests'
  cargo test --quiet --workspace --doc --no-fail-fast || {
    failed=1
    echo 'A doctest failed. Rerun: cargo test --doc --package CRATE -- NAME'
  }
fi

echo '== tests'
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace "$@" || {
    failed=1
    echo
    echo 'Rerun one: cargo nextest run --workspace NAME   (or: make test ARGS=NAME)'
  }
else
  output=$(mktemp)
  trap 'rm -f "$output"' EXIT
  cargo test --workspace --lib --bins --tests --no-fail-fast -- "$@" 2>&1 | tee "$output" || {
    failed=1
    echo
    echo 'Rerun one: cargo test --workspace NAME   (or: make test ARGS=NAME)'
  }
  # The runner closes every binary with a line of its own; this is their sum.
  awk '/^test result:/ { passed += $4; failed += $6 }
       END { printf "%d passed, %d failed\n", passed, failed }' "$output"
fi

[ "$failed" -eq 0 ] || echo 'FAILED'
exit "$failed"
