#!/usr/bin/env bash
# Instructions for each kind of refused token, beside accepted RS256 tokens of an ordinary and of the largest size (invariant
# 62). Needs valgrind.
# The whole of a request up to its verdict is counted, without sockets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --release --bench refusals
program="$(ls -t target/release/deps/refusals-* | grep -v '\.d$' | head -1)"

each=20
accepted=1
large=1
"$program" | while read -r kind; do
    # What is set up, and signed with random numbers, is not counted.
    all="$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*refusals*World*judge*' \
        "$program" "$kind" "$each" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')"
    one=$((all / each))
    [ "$kind" != "accepted RS256" ] || accepted=$one
    [ "$kind" != "accepted RS256, 16 KiB" ] || large=$one
    printf '%-24s %9d  %5d %%  %5d %%\n' "$kind" "$one" $((one * 100 / accepted)) $((one * 100 / large))
done
