#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What many peers in one file cost their host: between two network namespaces, a tunnel with one peer, and in turn one
# with many, of which one is real and the others either can't be reached or have a session that is up and idle, as one
# other process plays them all.
#
#   scripts/bench-peers.sh
#
# PEERS (1000), ROUNDS (5), SECONDS_PER_TEST (4) and WEFT (.build/release/weft) are taken from the environment. It needs
# root, iperf3, nft and python3, a release build of the command, and weft-bench-peers. Prints Markdown and writes it to
# Benchmarks/results/peers.md.
set -euo pipefail
cd "$(dirname "$0")/.."

export PEERS=${PEERS:-1000} ROUNDS=${ROUNDS:-5} SECONDS_PER_TEST=${SECONDS_PER_TEST:-4}
export WEFT=${WEFT:-$PWD/.build/release/weft} PLAYER=$PWD/Benchmarks/.build/release/weft-bench-peers
for tool in ip iperf3 nft python3; do
    command -v "$tool" >/dev/null || { echo "bench-peers: $tool is missing" >&2; exit 1; }
done
for built in "$WEFT" "$PLAYER"; do
    [[ -x $built ]] || { echo "bench-peers: $built is missing: run make bench-peers" >&2; exit 1; }
done
((EUID == 0)) || { echo "bench-peers: run it as root" >&2; exit 1; }
ulimit -n "$((PEERS + 1000))"
# Mounts of our own, so that the namespaces' names vanish with us.
exec unshare --mount --propagation private env PYTHONDONTWRITEBYTECODE=1 python3 Benchmarks/peers
