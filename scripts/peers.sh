#!/usr/bin/env bash
# Checks generated histories with Crosscheck and with adya, a checker from the registry of Rust, on the same files
# in the same run, and prints how long the whole processes took and how much memory they had at their peak.
#
#   scripts/peers.sh [TRANSACTIONS] [RUNS]      100000 transactions and the median of 3 runs if not given
#
# It takes cargo and GNU time. CROSSCHECK names the program (built from here if not given); adya is installed once,
# into the user's cache. A peer that takes longer than CROSSCHECK_PEER_LIMIT_S (120) is stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

txns=${1:-100000}
runs=${2:-3}
limit_s=${CROSSCHECK_PEER_LIMIT_S:-120}

ADYA_VERSION=0.1.0
peers="${XDG_CACHE_HOME:-$HOME/.cache}/crosscheck/peers"
adya="$peers/adya-$ADYA_VERSION/bin/adya"

[[ $txns =~ ^[1-9][0-9]*$ && $runs =~ ^[1-9][0-9]*$ ]] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[[ -x /usr/bin/time ]] || { echo 'GNU time is missing: apt-get install time' >&2; exit 2; }

if [[ -z ${CROSSCHECK:-} ]]; then
  cargo build --locked --release
  CROSSCHECK="${CARGO_TARGET_DIR:-target}/release/crosscheck"
fi
if [[ ! -x $adya ]]; then
  # Its drivers of databases are not needed to check histories.
  cargo install --quiet --locked --no-default-features --version "$ADYA_VERSION" --root "$peers/adya-$ADYA_VERSION" adya
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a command that ends with the given code where it does not know; prints its seconds, its peak memory in MB and
# its verdict.
measure() {
  local unknown=$1 code=0 seconds kilobytes verdict
  shift
  /usr/bin/time --quiet --format '%e %M' --output "$work/time" timeout "$limit_s" "$@" >"$work/out" 2>&1 || code=$?
  read -r seconds kilobytes <"$work/time"
  case $code in
    0) verdict=valid ;;
    1) verdict=violated ;;
    "$unknown") verdict=unknown ;;
    124) verdict=stopped ;;
    *)
      printf '%s: exit %d\n' "$*" "$code" >&2
      tail -n 5 "$work/out" >&2
      verdict=error
      ;;
  esac
  printf '%s %s %s\n' "$seconds" "$((kilobytes / 1024))" "$verdict"
}

# The run whose time is the median.
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }

# A row of the table: its name, the options of `generate`, the options of `check`, those of adya.
row() {
  local name=$1 history="$work/history.jsonl" ours theirs
  local -a generate check peer mine other
  read -ra generate <<<"$2"
  read -ra check <<<"$3"
  read -ra peer <<<"$4"
  "$CROSSCHECK" generate "${generate[@]}" --txns "$txns" --seed 1 --out "$history" >/dev/null
  : >"$work/ours" && : >"$work/theirs"
  for ((run = 0; run < runs; run++)); do
    measure 3 "$CROSSCHECK" check --quiet "${check[@]}" "$history" >>"$work/ours"
    # One that is stopped once would be stopped again.
    if ! grep -q stopped "$work/theirs"; then measure 2 "$adya" check "${peer[@]}" "$history" >>"$work/theirs"; fi
  done
  ours=$(median "$work/ours")
  theirs=$(grep -m1 stopped "$work/theirs" || median "$work/theirs")
  read -ra mine <<<"$ours"
  read -ra other <<<"$theirs"
  awk -v name="$name" -v a="${mine[0]}" -v am="${mine[1]}" -v av="${mine[2]}" \
    -v b="${other[0]}" -v bm="${other[1]}" -v bv="${other[2]}" 'BEGIN {
      more = bv == "stopped" ? ">" : ""
      if (a < 0.01) a = 0.01
      if (am < 1) am = 1
      printf "%-38s %9.2f s %7s MB  %-9s %1s%8.2f s %7s MB  %-9s %1s%6.1fx %6.1fx\n", \
        name, a, am, av, more, b, bm, bv, more, b / a, bm / am }'
}

printf '%s transactions, median of %s; %s, %s cores\n\n' "$txns" "$runs" "$(uname -sm)" "$(nproc)"
printf '%-38s %-34s %-34s %s\n' "" "crosscheck" "adya $ADYA_VERSION" "ratio: time, memory"
row 'list-append serializable' '--kind list-append' \
  '--checker list-append --level serializable' '--model list-append --consistency-models serializable'
row 'list-append strict-serializable' '--kind list-append' \
  '--checker list-append' '--model list-append'
row 'list-append of read committed' '--kind list-append --isolation read-committed' \
  '--checker list-append' '--model list-append'
row 'rw-register serializable' '--kind rw-register' \
  '--checker rw-register --level serializable' '--model rw-register --consistency-models serializable'
row 'rw-register, keys linearizable' '--kind rw-register' \
  '--checker rw-register --linearizable-keys --wfr-keys' '--model rw-register --linearizable-keys --wfr-keys'
