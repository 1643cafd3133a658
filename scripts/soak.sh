#!/usr/bin/env bash
# The bars of delivery under faults in full. `scripts/soak.sh [PART…]` runs these alone: `simulation`, `planted-bugs`, `fuzz`,
# or a part of the name of a test in tests/tests/faults. Goes on after a part that fails, and says at the end which did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
parts=("$@")
if [[ ${#parts[@]} == 0 ]]; then parts=(simulation planted-bugs faults fuzz); fi

make --no-print-directory programs
took=() failed=0
for part in "${parts[@]}"; do
  printf '\n== %s\n' "$part"
  started=$SECONDS result=ok
  case $part in
    simulation)
      CHANGEGATE_SIMULATION_SEEDS=${SEEDS:-100000} \
        cargo test --release --locked -p changegate-pipeline --test simulation -- --nocapture nothing_is
      ;;
    planted-bugs) scripts/planted-bugs.sh ;;
    fuzz) fuzz/run ;;
    faults) CHANGEGATE_SOAK=1 cargo test --release --locked -p changegate-tests --test faults ;;
    *) CHANGEGATE_SOAK=1 cargo test --release --locked -p changegate-tests --test faults -- "$part" ;;
  esac || { result=FAILED; failed=1; }
  took+=("$(printf '%6d s  %-6s  %s' $((SECONDS - started)) "$result" "$part")")
done
printf '\n== soak\n'
printf '%s\n' "${took[@]}"
exit "$failed"
