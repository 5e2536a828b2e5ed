#!/usr/bin/env bash
# Installs what a build and the tests need on Debian 12, and nothing when it is all there.
set -euo pipefail

RUST_VERSION_MIN=1.95

# Each command and the Debian package that brings it.
needed=(
  gcc:gcc
  g++:g++
  pkg-config:pkg-config
  curl:curl
  openssl:openssl
  python3:python3
  git:git
)

missing=()
for pair in "${needed[@]}"; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair##*:}")
done
# The compiler without the C library's headers links nothing.
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
# PostgreSQL's own grammar is built from source; its bindings are made with libclang.
{ compgen -G '/usr/lib/llvm-*/lib/libclang.so' && compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h'; } \
  >/dev/null || missing+=(libclang-dev)
# The tests run a real server and its real clients; no cluster of the system's own is made for that.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
# The tests of recovery points run a real object store out of a virtual environment.
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)

if [ "${#missing[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: missing: ${missing[*]}; this machine has no apt-get, install them by hand" >&2
    exit 1
  fi
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
      echo "setup: missing: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    "${as_root[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null 2>&1; then
  echo "setup: no cargo on PATH; install Rust ${RUST_VERSION_MIN} or later with rustup" >&2
  exit 1
fi
version=$(rustc --version | cut -d ' ' -f 2)
if [ "$(printf '%s\n' "$RUST_VERSION_MIN" "$version" | sort -V | head -n 1)" != "$RUST_VERSION_MIN" ]; then
  echo "setup: rustc $version is too old; run: rustup update stable (${RUST_VERSION_MIN} or later)" >&2
  exit 1
fi
