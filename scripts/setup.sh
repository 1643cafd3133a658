#!/usr/bin/env bash
# Set-up of a fresh Debian or Ubuntu machine: system packages, then the engine files in a cache folder outside the tree.
#
#   scripts/setup.sh            what the program, the demo and the tests need
#   scripts/setup.sh --benches  also what the benches need (valgrind, python3-venv)
#   scripts/setup.sh --pin      fetch without a check and write new checksums (after a change of versions; review the diff)
#
# A second run downloads nothing. Exit status: 0 ready, 2 something is missing that this script could not bring.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/deploy/engines/checksums.txt
pom=$root/deploy/engines/pom.xml
chdb_package='@chdb/lib-linux-x64-gnu@26.7.3-stable.1'
copy_plugin='org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'

with_benches=false
new_pins=false
for argument in "$@"; do
  case $argument in
    --benches) with_benches=true ;;
    --pin) new_pins=true ;;
    *) echo "setup: unknown option '$argument'; known are --benches and --pin" >&2; exit 2 ;;
  esac
done

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }

# ---- system packages -------------------------------------------------------------------------------------------------

java_is_new_enough() {
  local java=java major
  if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then java=$JAVA_HOME/bin/java; fi
  have "$java" || return 1
  major=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ]
}

openssl_headers() { pkg-config --exists openssl 2>/dev/null || [ -e /usr/include/openssl/ssl.h ]; }

# Distributions disagree about which Java 17+ they carry; the newest of the long-term ones that apt knows is taken.
jre_package() {
  local version
  for version in 21 17 25; do
    if apt-cache show "openjdk-$version-jre-headless" >/dev/null 2>&1; then
      echo "openjdk-$version-jre-headless"
      return
    fi
  done
  echo default-jre-headless
}

missing_packages() {
  # librdkafka's build looks for a C++ compiler and make too: build-essential brings them all.
  if ! have cc || ! have c++ || ! have make; then echo build-essential; fi
  have cmake || echo cmake
  have pkg-config || echo pkg-config
  have perl || echo perl
  have git || echo git
  openssl_headers || echo libssl-dev
  java_is_new_enough || jre_package
  if ! engines_complete; then
    have mvn || echo maven
    have npm || echo npm
  fi
  if $with_benches; then
    have valgrind || echo valgrind
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  fi
}

as_root=()
may_install() {
  have apt-get || return 1
  [ "$(id -u)" -eq 0 ] && return 0
  as_root=(sudo -n)
  have sudo && sudo -n true 2>/dev/null
}

install_packages() {
  local packages
  mapfile -t packages < <(missing_packages)
  [ "${#packages[@]}" -gt 0 ] || return 0
  may_install ||
    fail "missing: ${packages[*]}. Run this, then try again: sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
  say "reading the package lists"
  "${as_root[@]}" apt-get update -qq >"$log" 2>&1 || say "apt-get update failed, going on with the lists that are here"
  # Only now is it known which Java this distribution has.
  mapfile -t packages < <(missing_packages)
  say "installing ${packages[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; fail "apt-get install failed; the lines above say why"; }
  mapfile -t packages < <(missing_packages)
  [ "${#packages[@]}" -eq 0 ] || fail "still missing after the installation: ${packages[*]}"
}

# ---- engine files ----------------------------------------------------------------------------------------------------

cache=${CHANGEGATE_CACHE:-${XDG_CACHE_HOME:-${HOME:?setup: neither CHANGEGATE_CACHE nor HOME is set}/.cache}/changegate}
key=$(sha256sum "$pins" 2>/dev/null | cut -c1-16) || true
engines=$cache/engines/${key:-none}

pinned_jars() { sed -n 's/^[0-9a-f]\{64\}  kafka\///p' "$pins"; }

kafka_complete() {
  local jar
  for jar in $(pinned_jars); do [ -s "$engines/kafka/$jar" ] || return 1; done
}

# A `clickhouse` program on the PATH is what the launcher takes first, so nothing is fetched beside it.
clickhouse_complete() { have clickhouse || [ -s "$engines/clickhouse/libchdb.so" ]; }

engines_complete() { ! $new_pins && kafka_complete && clickhouse_complete; }

# Fetched files become visible by one rename, after the check: an interrupted run leaves no half engine.
publish() {
  local from=$1 to=$2
  rm -rf "$to"
  mkdir -p "$(dirname "$to")"
  mv -T "$from" "$to"
}

check_pins() {
  local folder=$1 prefix=$2 expected actual
  expected=$(grep "  $prefix/" "$pins" | LC_ALL=C sort -k 2)
  actual=$(cd "$folder" && find "$prefix" -type f -print0 | xargs -0 sha256sum | LC_ALL=C sort -k 2)
  if [ "$expected" != "$actual" ]; then
    diff <(echo "$expected") <(echo "$actual") >&2 || true
    fail "the $prefix files that came are not the pinned ones (< pinned, > came); nothing was kept"
  fi
}

fetch_kafka() {
  say "fetching Kafka's jars with Maven (44 MB)"
  mvn -B -q -ntp -f "$pom" "$copy_plugin" -DincludeScope=runtime -DoutputDirectory="$work/kafka" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; fail "Maven could not bring Kafka's jars; the lines above say why"; }
}

fetch_clickhouse() {
  say "fetching the ClickHouse engine with npm (178 MB, 566 MB unpacked)"
  mkdir -p "$work/pack" "$work/clickhouse"
  (cd "$work/pack" && npm pack --silent "$chdb_package" >"$log" 2>&1) ||
    { tail -n 20 "$log" >&2; fail "npm could not bring $chdb_package; the lines above say why"; }
  mv "$work"/pack/*.tgz "$work/pack/libchdb.tgz"
  $new_pins || check_pins "$work" pack
  tar -xzf "$work/pack/libchdb.tgz" -C "$work/clickhouse" --strip-components=1 --no-same-owner package/libchdb.so
}

write_pins() {
  # The pin file is written anew and read again by the next run, under its new key.
  { echo "# sha256 of every engine file, written by scripts/setup.sh --pin; the key of the cache folder is this file's own hash."
    (cd "$work" && find kafka pack clickhouse -type f -print0 | xargs -0 sha256sum | LC_ALL=C sort -k 2); } >"$pins.new"
  mv "$pins.new" "$pins"
  say "wrote $pins; look at its diff, then run this script without --pin"
}

fetch_missing() {
  work=$(mktemp -d "$cache/engines/.fetch.XXXXXX")
  if $new_pins; then
    fetch_kafka
    fetch_clickhouse
    write_pins
    return
  fi
  if ! kafka_complete; then
    fetch_kafka
    check_pins "$work" kafka
    publish "$work/kafka" "$engines/kafka"
  fi
  if ! clickhouse_complete; then
    case $(uname -s)-$(uname -m) in
      Linux-x86_64) ;;
      *) fail "the embedded ClickHouse is pinned for Linux on x86_64 only, not yet for $(uname -s) on $(uname -m): put a 'clickhouse' program (25.8 or newer) on the PATH, it is used instead" ;;
    esac
    fetch_clickhouse
    check_pins "$work" clickhouse
    publish "$work/clickhouse" "$engines/clickhouse"
  fi
}

# ---- the order of things ---------------------------------------------------------------------------------------------

work=
log=$(mktemp)
trap 'rm -rf "$work" "$log"' EXIT
trap 'exit 130' INT TERM

have cargo || fail "missing: a Rust toolchain. Install rustup (https://rustup.rs), then run this again"

install_packages

if engines_complete; then
  say "ready (engine files in $engines)"
  exit 0
fi
mkdir -p "$cache/engines"
fetch_missing
$new_pins || say "ready (engine files in $engines)"
