#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Records datagrams of real programs between two network namespaces, for the verdict tests of the identification:
#   Tests/Corpus/record.sh WEFT
# WEFT is the built command. It needs root, wireguard-go and wireguard-tools, coturn, tcpdump, and python3 with venv
# (aioquic comes from PyPI into a folder that goes away again). It writes NAME.pcap beside itself.
set -euo pipefail

weft=$(realpath "${1:?usage: Tests/Corpus/record.sh WEFT}")
corpus=$(dirname "$(realpath "$0")")
# shellcheck source-path=SCRIPTDIR source=../../scripts/two-hosts.sh
source "$corpus/../../scripts/two-hosts.sh"
make_two_hosts
# So that a capture shows datagrams one by one.
for host in "$left" "$right"; do ip netns exec "$host" ethtool -K eth0 tx-udp-segmentation off gro off >/dev/null; done

finish() { kill "$1" 2>/dev/null || true; wait "$1" 2>/dev/null || true; }

# record NAME PORT...: starts a capture of UDP of these ports.
record() {
    local name=$1 filter
    shift
    filter=$(printf ' or udp port %s' "$@")
    background right tcpdump -U -q -n -i eth0 -w "$work/$name.pcap" "${filter# or }"
    capture=$last
    sleep 1
}
# keep NAME COUNT: ends the capture and keeps its first frames.
keep() {
    sleep 1
    finish "$capture"
    tcpdump -Z root -r "$work/$1.pcap" -w "$corpus/$1.pcap" -c "$2" 2>/dev/null
    echo "$1.pcap: $(tcpdump -r "$corpus/$1.pcap" 2>/dev/null | wc -l) frames"
}

echo "wireguard-go: handshake, data, keep-alives, and a handshake under load that is answered with a cookie"
for side in left right; do
    (umask 077 && wg genkey >"$work/$side.key")
    wg pubkey <"$work/$side.key" >"$work/$side.pub"
    background "$side" env WG_PROCESS_FOREGROUND=1 wireguard-go -f "wgc$$$side"
done
sleep 1
configure() { # SIDE OTHER NUMBER OTHER_NUMBER
    ip netns exec "${!1}" wg set "wgc$$$1" listen-port 51820 private-key "$work/$1.key" \
        peer "$(cat "$work/$2.pub")" endpoint "192.0.2.$4:51820" allowed-ips 10.9.0.0/24 persistent-keepalive 1
    ip -n "${!1}" address add "10.9.0.$3/24" dev "wgc$$$1"
    ip -n "${!1}" link set "wgc$$$1" mtu 1420 up
}
record wireguard 51820
configure right left 2 1
configure left right 1 2
on_left ping -q -c 3 -i 0.3 10.9.0.2 >/dev/null
# As long as the tunnel's MTU: not padded to 16 bytes.
on_left ping -q -c 2 -i 0.3 -s 1392 10.9.0.2 >/dev/null
sleep 3
keep wireguard 40
# Under load a handshake is answered with a cookie: one that was seen is sent again, often.
record cookie 51820
on_left python3 - "$corpus/wireguard.pcap" <<'PYTHON'
import socket, sys, time

capture = open(sys.argv[1], "rb").read()
start = capture.index(b"\x01\x00\x00\x00", capture.index(b"\xc0\x00\x02\x01\xc0\x00\x02\x02"))
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(20000):
    port.sendto(capture[start : start + 148], ("192.0.2.2", 51820))
time.sleep(1)
PYTHON
sleep 1
finish "$capture"
tcpdump -Z root -r "$work/cookie.pcap" -w "$corpus/wireguard-cookie.pcap" -c 2 'udp[8] = 3' 2>/dev/null
echo "wireguard-cookie.pcap: $(tcpdump -r "$corpus/wireguard-cookie.pcap" 2>/dev/null | wc -l) frames"

echo "coturn: its client and its server, IPv4 and IPv6"
background right turnserver --stun-only --listening-ip 192.0.2.2 --listening-ip fd00::2 --no-tls --no-dtls --no-cli \
    --log-file stdout --pidfile "$work/turn.pid" --userdb "$work/turndb"
turn=$last
sleep 2
record stun 3478
{
    on_left turnutils_stunclient 192.0.2.2
    on_left turnutils_stunclient fd00::2
    on_left "$weft" stun 192.0.2.2 '[fd00::2]'
} >>"$work/log" 2>&1
keep stun 40
finish "$turn"

echo "aioquic: a connection with a stream"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q aioquic >>"$work/log" 2>&1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/quic.key" -out "$work/quic.crt" \
    -days 2 -subj /CN=weft.invalid -addext subjectAltName=IP:192.0.2.2 2>/dev/null
background right "$work/venv/bin/python" "$corpus/quic.py" server "$work"
quic=$last
sleep 1
record quic 4433
on_left "$work/venv/bin/python" "$corpus/quic.py" client "$work"
keep quic 60
finish "$quic"

echo "Weft: data and keep-alives"
write_tunnels "$weft" "wfc$$" "" "PersistentKeepalive = 1"
record weft 6081
tunnel_up "$weft" "wfc$$" right
tunnel_up "$weft" "wfc$$" left
sleep 2
on_left ping -q -c 4 -i 0.3 10.8.0.2 >/dev/null
on_left ping -q -c 2 -i 0.3 -s 1372 10.8.0.2 >/dev/null
keep weft 30
