#!/usr/bin/env bash
# Instructions of the steps of a request, and of whole requests through the program, beside those on record in
# benches/instructions.json. Needs valgrind. Differences under 1 % are noise (allocation, hashing with random keys).
#
#   benches/instructions.sh             counts and compares
#   benches/instructions.sh --record    counts, and records what it counted
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --release --bench instructions
program="$(ls -t target/release/deps/instructions-* | grep -v '\.d$' | head -1)"
counts="$(mktemp)"
trap 'rm -f "$counts"' EXIT

times=20
"$program" | while read -r name; do
    all="$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*instructions*counted*' \
        "$program" "$name" "$times" 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')"
    printf '%s\t%d\n' "$name" $((all / times)) | tee -a "$counts" >&2
done

# All of the process, with few and with many requests: the difference is what requests cost, other threads included.
whole() { "$program" requests "$1" "$2" valgrind --tool=callgrind --callgrind-out-file=/dev/null 2>&1 | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'; }
for access in none all; do
    few="$(whole 200 "$access")"
    many="$(whole 1200 "$access")"
    printf 'a request, access: %s\t%d\n' "$access" $(((many - few) / 1000)) | tee -a "$counts" >&2
done
python3 benches/instructions.py "$counts" "$@"
