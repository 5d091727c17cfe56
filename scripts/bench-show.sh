#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How long `weft show` of one tunnel takes, from the shell's call to its end: the median of ROUNDS (200), and the processor time. As root.
set -euo pipefail
cd "$(dirname "$0")/.."

weft=${WEFT:-$PWD/.build/release/weft}
[[ -x $weft ]] || { echo "bench-show: $weft is missing: run make build" >&2 && exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/weft-show.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$weft" genkey "$work/host.key" >/dev/null
"$weft" genkey "$work/peer.key" >/dev/null
cat >"$work/weft0.conf" <<EOF
[Interface]
Address = 10.77.0.1/24
PrivateKeyFile = host.key
[Peer]
PublicKey = $("$weft" pubkey "$work/peer.key")
Endpoint = 127.0.0.2:6082
AllowedIPs = 10.77.0.2/32
EOF
export weft work ROUNDS=${ROUNDS:-200}
# shellcheck disable=SC2016 # The inner shell's.
unshare --net --mount --pid --fork --kill-child --mount-proc bash -euc '
    mount -t tmpfs none /run
    ip link set lo up
    "$weft" up "$work/weft0.conf" --detach 2>/dev/null
    for ((round = 0; round < ROUNDS; round++)); do
        began=${EPOCHREALTIME/[.,]/}
        "$weft" show >/dev/null
        echo $((${EPOCHREALTIME/[.,]/} - began))
    done | sort -n | awk "{ all[NR] = \$1 } END { printf \"weft show: median %.1f ms, fastest %.1f ms\\n\", all[int((NR + 1) / 2)] / 1000, all[1] / 1000 }"
    TIMEFORMAT="%U %S"
    { time for ((round = 0; round < ROUNDS; round++)); do "$weft" show >/dev/null; done; } 2>&1 |
        awk -v rounds="$ROUNDS" "{ printf \"processor time: %.1f ms\\n\", (\$1 + \$2) * 1000 / rounds }"
    "$weft" down weft0
'
