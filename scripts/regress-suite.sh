#!/usr/bin/env bash
# Fetches PostgreSQL's own regression suite, which `make regress` runs: from Debian's source package of the server that
# is installed, by apt with lists of its own, so that the system's stay as they are. It is kept outside of the build
# directory, nothing of it is part of this project. Prints where it lies.
set -euo pipefail

tools="${KILLICK_TOOLS:-$HOME/.cache/killick/tools}"
server=$(dpkg-query -W -f '${Package}\n' 'postgresql-[0-9]*' 2>/dev/null | grep -E '^postgresql-[0-9]+$' | sort -V | tail -n 1)
[ -n "$server" ] || { echo 'regress: no PostgreSQL server of Debian is installed; run scripts/setup.sh' >&2; exit 1; }
version=$(dpkg-query -W -f '${Version}' "$server")
target="$tools/regress-$version"
if [ -d "$target/sql" ]; then
  echo "$target"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
# The same places that the system's packages come from, as sources. A mirror is named once however many lists it has.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=''
[ ! -e "$keyring" ] || signed="[signed-by=$keyring] "
apt-get indextargets --format '$(ORIGIN)|$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
  sed -n "s#^Debian|#deb-src $signed#p" >"$work/sources.list"
options=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists"
  -o "Dir::Cache=$work/cache" -o APT::Sandbox::User= -q -q)
echo "regress: fetching the source package of $server $version" >&2
apt-get "${options[@]}" update >&2
cd "$work/source"
# The very version that is installed, or the next one of the same release when the mirror has moved on.
apt-get "${options[@]}" source --download-only "$server=$version" >&2 ||
  apt-get "${options[@]}" source --download-only "$server" >&2
mkdir -p "$tools" "$work/out"
tar -xf ./*.orig.tar.* -C "$work/out" --strip-components=4 --wildcards '*/src/test/regress/*'
[ -d "$work/out/sql" ] || { echo 'regress: the source package has no regression suite' >&2; exit 1; }
mv "$work/out" "$target"
echo "$target"
