#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What other kinds of packets on a tunnel's port cost its data: one TCP stream through a tunnel between two namespaces,
# while QUIC, STUN, disco and WireGuard packets come to the same port, and in turn to another port, which nobody reads:
# so that to make and to carry them costs the same both times.
#
#   scripts/bench-kinds.sh [RATE]
#
# RATE is how many of each kind come in a second, 100 unless given. ROUNDS and SECONDS_PER_TEST are taken from the
# environment. It needs root, iperf3 and python3, and a release build of the command. Prints Markdown.
set -euo pipefail
cd "$(dirname "$0")/.."

rate=${1:-100}
rounds=${ROUNDS:-9}
seconds=${SECONDS_PER_TEST:-3}
weft=${WEFT:-$PWD/.build/release/weft}
name=wfk$$
# shellcheck source-path=SCRIPTDIR source=two-hosts.sh
source scripts/two-hosts.sh
make_two_hosts
write_tunnels "$weft" "$name" "STUNResponder = on"
for side in left right; do tunnel_up "$weft" "$name" "$side"; done
background right iperf3 -s
sleep 2

cat >"$work/others.py" <<'PYTHON'
import os, socket, sys, time

rate, seconds, target = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port.setblocking(False)
kinds = [
    b"\xc0\0\0\0\1\x08" + os.urandom(1194),
    b"\0\1\0\0\x21\x12\xa4\x42" + os.urandom(12),
    b"TS\xf0\x9f\x92\xac" + os.urandom(100),
    b"\4\0\0\0" + os.urandom(124),
]
start = time.monotonic()
sent = 0
while (now := time.monotonic() - start) < seconds:
    while sent < now * rate:
        for kind in kinds:
            try:
                port.sendto(kind, ("192.0.2.2", target))
            except BlockingIOError:
                pass
        sent += 1
    time.sleep(0.005)
PYTHON

# stream PORT: bits a second that arrive while other kinds go to PORT.
stream() {
    local others
    ip netns exec "$left" python3 "$work/others.py" "$rate" "$((seconds + 1))" "$1" &
    others=$!
    ip netns exec "$left" iperf3 -c 10.8.0.2 -t "$seconds" -O 1 -C cubic -J |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"])'
    wait "$others"
}

background right python3 -c 'import socket, time
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port.bind(("", 6082))
time.sleep(1e6)'
: >"$work/results"
for ((round = 0; round < rounds; round++)); do
    alone=$(stream 6082)
    mixed=$(stream 6081)
    echo "$alone $mixed" >>"$work/results"
done
ip netns exec "$right" env WEFT_RUNTIME_DIRECTORY="$work/right" "$weft" show "$name" --json >"$work/status"
python3 - "$work" "$rate" <<'PYTHON'
import json, statistics, sys

rows = [tuple(map(float, line.split())) for line in open(sys.argv[1] + "/results")]
totals = json.load(open(sys.argv[1] + "/status"))[0]["totals"]
alone, mixed = (statistics.median(column) / 1e9 for column in zip(*rows))
ratio = statistics.median(row[1] / row[0] for row in rows)
print(f"| data on its own port, Gbit/s | with {sys.argv[2]} of each other kind a second | ratio, median of {len(rows)} rounds |")
print("| --- | --- | --- |")
print(f"| {alone:.2f} | {mixed:.2f} | {ratio:.3f} |")
print(f"\nTaken: {totals['streams']}; dropped: {totals['drops']}.")
PYTHON
