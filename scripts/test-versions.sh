#!/usr/bin/env bash
# Runs the tests that need a PostgreSQL server against each of the other versions: test-versions.sh [VERSION]...
# TESTS names others, in nextest's own terms.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

tests=${TESTS:-'binary(database) | binary(database_locks) | binary(database_names) | binary(database_standby)
  | binary(database_tls) | binary(incident_databases) | binary(prepare) | binary(snapshot) | binary(undo)
  | binary(undo_columns) | binary(sql_corpus)'}
versions=$(scripts/postgres_versions.sh) || exit 1
cargo build --quiet --workspace --bins || exit 1
failed=()
while read -r version programs; do
  [ "$#" -eq 0 ] || [[ " $* " == *" $version "* ]] || continue
  echo "== PostgreSQL $("$programs/postgres" --version | cut -d ' ' -f 3)"
  if cargo nextest --version >/dev/null 2>&1; then
    KILLICK_PG_BIN="$programs" cargo nextest run --workspace --no-fail-fast -E "$tests" </dev/null || failed+=("$version")
  else
    names=$(grep -o 'binary([a-z_]*)' <<<"$tests" | sed 's/binary(\(.*\))/--test \1/')
    # shellcheck disable=SC2086
    KILLICK_PG_BIN="$programs" cargo test --workspace --no-fail-fast $names </dev/null || failed+=("$version")
  fi
done <<<"$versions"
if [ "${#failed[@]}" -gt 0 ]; then
  echo "FAILED with PostgreSQL ${failed[*]}"
  exit 1
fi
