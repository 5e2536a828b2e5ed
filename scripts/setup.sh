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
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)

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
