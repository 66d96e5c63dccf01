#!/usr/bin/env bash
# Instructions for each kind of refused token, beside accepted RS256 tokens of an ordinary and of the largest size (invariant
# 62). Needs valgrind.
# The whole of a request up to its verdict is counted, no sockets; what starts the program is subtracted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --release --bench refusals
program="$(ls -t target/release/deps/refusals-* | grep -v '\.d$' | head -1)"

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

accepted=0
large=1
"$program" | while read -r kind; do
    few="$(instructions "$kind" 10)"
    many="$(instructions "$kind" 60)"
    each=$(((many - few) / 50))
    [ "$kind" != "accepted RS256" ] || accepted=$each
    [ "$kind" != "accepted RS256, 16 KiB" ] || large=$each
    printf '%-24s %9d  %5d %%  %5d %%\n' "$kind" "$each" $((each * 100 / accepted)) $((each * 100 / large))
done
