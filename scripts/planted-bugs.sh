#!/usr/bin/env bash
# Plants each bug of crates/pipeline/tests/planted into a copy of the code and holds that the simulation finds it.
# `scripts/planted-bugs.sh [NAME…]` tries these alone; SEEDS is how many the simulation may take for each (4,000).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
planted=crates/pipeline/tests/planted
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/planted CHANGEGATE_SIMULATION_SEEDS=${SEEDS:-4000}
names=("$@")
if [[ ${#names[@]} == 0 ]]; then
  for patch in "$planted"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 tar -cf - | tar -xf - -C "$copy"
build() { cargo test --manifest-path "$copy/Cargo.toml" --locked --quiet --release -p changegate-pipeline --test simulation "$@"; }
echo "without a bug: $(build -- --nocapture nothing_is what_is | grep -c ' seeds: ') tests pass"

missed=0
for name in "${names[@]}"; do
  patch --quiet --fuzz=0 --strip=1 --directory="$copy" < "$planted/$name.patch"
  build --no-run
  log=$(mktemp)
  if timeout 600 bash -c "$(declare -f build); copy=$copy; build -- nothing_is what_is" > "$log" 2>&1; then
    printf '%-36s MISSED by %s seeds\n' "$name" "$CHANGEGATE_SIMULATION_SEEDS"
    missed=$((missed + 1))
  else
    printf '%-36s seed %6s  %s\n' "$name" "$(sed -n 's/.*CHANGEGATE_SIMULATION_SEED=\([0-9]*\).*/\1/p' "$log" | sort -n | head -1)" \
      "$(grep -A1 'panicked at' "$log" | sed -n '2p' | cut -c1-100)"
  fi
  rm "$log"
  patch --quiet --strip=1 --reverse --directory="$copy" < "$planted/$name.patch"
done
echo "${#names[@]} bugs, $missed missed"
[[ $missed == 0 ]]
