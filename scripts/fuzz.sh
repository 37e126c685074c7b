#!/usr/bin/env bash
# Fuzzes each parser and each checker for so many seconds (default 60), from the seeds in models/fuzz/seeds, and
# says how often each ran. It takes a nightly toolchain and cargo-fuzz. An input that fails stays in
# models/fuzz/artifacts; `cargo +nightly fuzz run TARGET FILE`, in models/, repeats it.
set -euo pipefail
cd "$(dirname "$0")/../models"
exec </dev/null

seconds=${1:-60}
shift || true
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

if (($# == 0)); then
  mapfile -t targets < <(cargo +nightly fuzz list)
  set -- "${targets[@]}"
fi
for target; do
  mkdir -p "fuzz/corpus/$target"
  # All of it is safe Rust: an address sanitizer would find nothing, and take half of the speed.
  if ! cargo +nightly fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 >"$log" 2>&1; then
    failed=1
    printf '=== %s failed:\n' "$target"
    tail -n 60 "$log"
  fi
  awk -v target="$target" '/^stat::number_of_executed_units/ { printf "%-12s %9d runs\n", target, $2 }' "$log"
done
exit "$failed"
