#!/usr/bin/env bash
# Installs the provider's own command-line client, which the end-to-end tests run. Compiling it
# takes several minutes, so it is kept outside the build directory and not compiled twice.
set -euo pipefail

version=5.71.0
root="${KILLICK_TOOLS:-$HOME/.cache/killick/tools}"

if "$root/bin/railway" --version 2>/dev/null | grep -qF " $version"; then
    exit 0
fi
exec cargo install railwayapp --version "$version" --locked --root "$root"
