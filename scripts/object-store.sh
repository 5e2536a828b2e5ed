#!/usr/bin/env bash
# Installs a real S3 server for the tests of recovery points, and prints how to start it. It is kept
# outside of the build directory and not installed twice.
set -euo pipefail

version=5.2.5
root="${KILLICK_TOOLS:-$HOME/.cache/killick/tools}/object-store-$version"

if [ ! -e "$root/complete" ]; then
    rm -rf "$root"
    python3 -m venv "$root" >&2
    "$root/bin/pip" install --quiet --disable-pip-version-check "moto[s3,server]==$version" >&2
    touch "$root/complete"
fi
echo "$root/bin/moto_server"
