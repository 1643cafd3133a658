#!/usr/bin/env bash
# Runs cargo-deny at the version that the rules in deny.toml were written for; builds it into the cache folder once.
set -euo pipefail
version=0.20.2
tools=${CHANGEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/changegate}/tools
if ! "$tools/bin/cargo-deny" --version 2>/dev/null | grep -q " $version\$"; then
  echo "deny: building cargo-deny $version, once" >&2
  cargo install --quiet --locked --root "$tools" --version "$version" cargo-deny
fi
cargo fetch --locked --quiet
offline=()
if [ "${*: -1}" != advisories ]; then offline=(--offline); fi
exec "$tools/bin/cargo-deny" --locked "${offline[@]}" "$@"
