#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the parsers and the transforms under the address sanitizer, each target for RUNS inputs.
#
#   scripts/fuzz.sh [RUNS] [TARGET...]
#
# RUNS is 1000000 unless given; without a TARGET all are run, in the order of Fuzz/Sources/weft-fuzz/Targets.swift.
# Ends with the first finding: the input is kept in Fuzz/Findings, and
#   WEFT_FUZZ_TARGET=TARGET Fuzz/.build/release/weft-fuzz FILE
# runs it again. What was learned about a target's inputs is kept in Fuzz/.build/corpus and makes the next run begin
# where this one ended.
set -eu

cd "$(dirname "$0")/.."
runs=${1:-1000000}
[ $# -eq 0 ] || shift
case $runs in
'' | *[!0-9]*)
    echo "usage: scripts/fuzz.sh [RUNS] [TARGET...]" >&2
    exit 64
    ;;
esac

swift=${SWIFT:-swift}
# Traps and properties are checked in what is shipped: a release build, with the parsers' internals in reach. The
# toolchain's own linker understands the debug information of a sanitized build.
build() {
    "$swift" build -c release --package-path Fuzz -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing \
        -Xswiftc -use-ld=lld "$@"
}
build
fuzzer=$(build --show-bin-path)/weft-fuzz

# The fuzzer keeps the input of a crash, which Swift's own handler would get in the way of.
export SWIFT_BACKTRACE=enable=no

targets=${*:-$(WEFT_FUZZ_LIST=1 "$fuzzer")}
mkdir -p Fuzz/Findings
for target in $targets; do
    corpus=Fuzz/.build/corpus/$target
    log=Fuzz/.build/$target.log
    mkdir -p "$corpus"
    WEFT_FUZZ_TARGET=$target WEFT_FUZZ_SEEDS=$corpus "$fuzzer"
    started=$(date +%s)
    WEFT_FUZZ_TARGET=$target "$fuzzer" -runs="$runs" -max_len=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="Fuzz/Findings/$target-" "$corpus" >"$log" 2>&1 &
    pid=$!
    trap 'kill "$pid" 2>/dev/null || true' INT TERM HUP
    ticks=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        ticks=$((ticks + 1))
        if [ $((ticks % 30)) -eq 0 ]; then
            last=$(grep -a '^#[0-9]' "$log" | tail -n 1 | cut -f 1)
            echo "$target: ${last:-starting} of $runs"
        fi
    done
    if ! wait "$pid"; then
        tail -n 60 "$log" >&2
        echo "$target: FAILED; the whole log is $log" >&2
        exit 1
    fi
    edges=$(grep -a -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)
    inputs=$(grep -a 'stat::number_of_executed_units' "$log" | tr -dc 0-9)
    echo "$target: $inputs inputs in $(($(date +%s) - started)) s, $edges edges, no finding"
done
