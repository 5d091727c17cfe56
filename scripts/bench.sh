#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures Weft beside other tunnels, between two hosts made of network namespaces: a table (Markdown and JSON) and a
# chart (SVG) in Benchmarks/results. `make bench` builds what it needs. Nothing is left behind, after Ctrl-C or a
# failure neither.
#
#   scripts/bench.sh                measure
#   scripts/bench.sh --write-docs   write docs/performance.md from the newest results
#
# ROUNDS            rounds, of which the medians count (5)
# SECONDS_PER_TEST  (4)
# UNDERLAY          plain: a veth as it is; nic: one that behaves like a NIC; off: all offloads off
# ONLY              tunnels: veth,vxlan,wireguard-go,nebula,weft,weft-xdp,weft-no-cipher,ceiling
# MEASURES          stream,stream4,reverse,rtt_idle,rtt_flood,rtt_load,udp,udp_flood; the start is always measured
# WEFT              the command to measure (.build/release/weft)
#
# A quick look: ROUNDS=1 SECONDS_PER_TEST=2 ONLY=weft,ceiling scripts/bench.sh
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONDONTWRITEBYTECODE=1

fail() {
    echo "bench: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is missing: run scripts/install-dependencies.sh bench"
if [[ ${1:-} == --write-docs ]]; then
    exec python3 "$here/Benchmarks/tunnels" --write-docs
fi
(($# == 0)) || fail "unknown argument: $1; see the beginning of scripts/bench.sh"

for tool in cc ethtool ip iperf3 nebula nebula-cert nsenter ping setpriv ss unshare wg wireguard-go; do
    command -v "$tool" >/dev/null || fail "$tool is missing: run scripts/install-dependencies.sh bench"
done
for built in "${WEFT:-$here/.build/release/weft}" "$here/Benchmarks/.build/release/weft-bench-tunnel"; do
    [[ -x $built ]] || fail "$built is missing: run make bench"
done
[[ -c /dev/net/tun ]] || modprobe tun 2>/dev/null || true
[[ -r /dev/net/tun && -w /dev/net/tun ]] ||
    fail "/dev/net/tun is missing or may not be opened: run as root, with the kernel module tun"

mkdir -p "$here/Benchmarks/.build"
cc -O2 -Wall -Wextra -pthread -o "$here/Benchmarks/.build/ceiling" "$here/Benchmarks/ceiling/ceiling.c"

# Mounts of our own, so that the namespaces' names are seen by nobody else and vanish with us; without root a user
# namespace of our own too, where buffers are smaller and figures lower.
as=(unshare --mount --propagation private)
((EUID == 0)) || as=(unshare --user --map-current-user --keep-caps --net --mount --propagation private)
"${as[@]}" true 2>/dev/null || fail "cannot make namespaces: run as root, or in a container with --privileged"
exec "${as[@]}" python3 "$here/Benchmarks/tunnels"
