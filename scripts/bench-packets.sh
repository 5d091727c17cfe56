#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packets per second from an overlay to its underlay: a C bridge over AF_XDP that looks at nothing, Weft over AF_XDP with
# and without its cipher, and Weft's TUN driver, in one run. `make bench-packets` builds what it needs.
#
# ROUNDS (3), SECONDS_PER_TEST (3)
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONDONTWRITEBYTECODE=1

fail() {
    echo "bench: $*" >&2
    exit 1
}

for tool in cc ethtool ip nsenter python3 setpriv unshare; do
    command -v "$tool" >/dev/null || fail "$tool is missing: run scripts/install-dependencies.sh bench"
done
[[ -x $here/Benchmarks/.build/release/weft-bench-tunnel ]] || fail "run make bench-packets"
((EUID == 0)) || fail "run as root: only root may load XDP programs"
for program in bridge flood; do
    cc -O2 -Wall -Wextra -o "$here/Benchmarks/.build/$program" "$here/Benchmarks/packets/$program.c"
done
exec unshare --mount --propagation private python3 "$here/Benchmarks/tunnels/packets.py"
