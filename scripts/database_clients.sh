#!/usr/bin/env bash
# Installs the database clients that the end-to-end tests run through the gateway, from the package registries, each in
# a pinned version. They are kept outside the build directory and installed once.
#   Python: psycopg, asyncpg, SQLAlchemy, Alembic, Django.  Node: pg, Drizzle, Prisma's client.  Java: the JDBC driver.
#   Rust: sqlx.
set -euo pipefail

here="$(cd "$(dirname "$0")/.." && pwd)"
root="${KILLICK_TOOLS:-$HOME/.cache/killick/tools}/database-clients"
python=(psycopg==3.3.9 psycopg-binary==3.3.9 asyncpg==0.32.0 SQLAlchemy==2.1.9 greenlet==3.5.6 alembic==1.20.1 Django==5.2.19)
node=(pg@8.23.1 pg-cursor@2.22.1 pg-query-stream@4.17.0 pg-copy-streams@7.0.0 drizzle-orm@0.45.4 drizzle-kit@0.31.11
  prisma@7.10.0 @prisma/client@7.10.0 @prisma/adapter-pg@7.10.0)

# The interpreters, and the JDBC driver, which is a package of Debian's own.
missing=()
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v npm >/dev/null || missing+=(nodejs npm)
command -v javac >/dev/null || missing+=(default-jdk-headless)
[ -e /usr/share/java/postgresql.jar ] || missing+=(libpostgresql-jdbc-java)
if [ "${#missing[@]}" -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "database clients: installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# sqlx comes with the program that uses it, which is built again when a file of it or the compiler has changed.
sqlx="$here/crates/killick/tests/clients/sqlx_session"
sources="$(cd "$sqlx" && find Cargo.toml Cargo.lock src -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)"
wanted="$(grep '^sqlx = ' "$sqlx/Cargo.toml") ${sources%% *} $(rustc --version)"
if [ "$(cat "$root/sqlx/complete" 2>/dev/null)" != "$wanted" ]; then
  echo 'database clients: building sqlx; the first time takes a minute or two'
  rm -f "$root/sqlx/complete"
  CARGO_TARGET_DIR="$root/sqlx" cargo build --quiet --release --locked --manifest-path "$sqlx/Cargo.toml"
  printf '%s' "$wanted" >"$root/sqlx/complete"
fi

# Installs into a directory of its own and puts it in place when it is complete.
wanted="${python[*]} ${node[*]} $(python3 --version) $(node --version)"
if [ "$(cat "$root/complete" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
echo 'database clients: installing; the first time takes a minute'
rm -rf "$root/complete" "$root/python" "$root/node"
mkdir -p "$root/node"
python3 -m venv "$root/python"
"$root/python/bin/pip" install --quiet --disable-pip-version-check "${python[@]}"
echo '{"name": "killick-database-clients", "private": true}' >"$root/node/package.json"
# No install script runs: none of these needs one for what is tested.
(cd "$root/node" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts "${node[@]}")
printf '%s' "$wanted" >"$root/complete"
