#!/usr/bin/env bash
# Runs the tests that need a PostgreSQL server against each of the other versions: test-versions.sh [VERSION]...
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

tests='binary(database) | binary(database_names) | binary(database_standby) | binary(database_tls)
  | binary(incident_databases) | binary(prepare) | binary(snapshot) | binary(undo) | binary(undo_columns)
  | binary(sql_corpus)'
versions=$(scripts/postgres_versions.sh) || exit 1
cargo build --quiet --workspace --bins || exit 1
failed=()
while read -r version programs; do
  [ "$#" -eq 0 ] || [[ " $* " == *" $version "* ]] || continue
  echo "== PostgreSQL $("$programs/postgres" --version | cut -d ' ' -f 3)"
  KILLICK_PG_BIN="$programs" cargo nextest run --workspace --no-fail-fast -E "$tests" </dev/null || failed+=("$version")
done <<<"$versions"
if [ "${#failed[@]}" -gt 0 ]; then
  echo "FAILED with PostgreSQL ${failed[*]}"
  exit 1
fi
