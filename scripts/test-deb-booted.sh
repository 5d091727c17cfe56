# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/test-deb.sh: boots systemd in the chroot $root, and upgrades and purges there while packets flow.

env -i PATH="$PATH" DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -q -y --no-install-recommends install systemd iproute2 \
    iputils-ping nftables >>"$work/apt.log" 2>&1 || fail "no systemd: $work/apt.log"
# Nothing of the machine's is to be started or changed from inside.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service \
    systemd-logind.service systemd-sysctl.service systemd-modules-load.service getty.target console-getty.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir "$group"

# shellcheck disable=SC2016 # The inner shells'.
root=$root group=$group unshare --mount --fork --kill-child --propagation=private bash -euc '
    echo $$ >"$group/cgroup.procs"
    exec unshare --cgroup --pid --net --uts --ipc --fork --kill-child bash -euc "
        ip link set lo up
        mount --bind $root $root
        mount -t proc proc $root/proc
        mount -t sysfs sysfs $root/sys
        mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
        mount -t bpf bpf $root/sys/fs/bpf
        mount --rbind /dev $root/dev
        mount -t tmpfs -o mode=755 tmpfs $root/run
        hostname weft-deb
        exec env -i container=weft PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot $root /lib/systemd/systemd --log-target=console
    "
' >"$work/systemd.log" 2>&1 </dev/null &
init=$!


# until WHAT COMMAND...: within 20 s.
until_true() {
    local what=$1 deadline=$((SECONDS + 20))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "not within 20 s: $what"
        sleep 0.1
    done
}
child() { pgrep --parent "$1" | head -n 1; }
# Its first process, as it is seen from here: two unshares are above it.
find_pid() { pid=$(child "$(child "$init")") && [[ $(cat "/proc/$pid/comm") == systemd ]]; }
booted() {
    nsenter --target "$pid" --mount --pid --net --uts --ipc --cgroup --root --wd=/ \
        env -i LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
is_up() { [[ $(booted systemctl is-system-running) =~ running|degraded ]]; }
until_true "systemd is there" find_pid
until_true "systemd is up" is_up
# Only now, since systemd has files of its own.
snapshot >"$work/before"

# Outside: the other end of the wire, with a tunnel of this tree's own build.
outside() { ip netns exec "$space" env "WEFT_RUNTIME_DIRECTORY=$work/run" "$@"; }
ip netns add "$space"
ip -netns "$space" link add out type veth peer name eth0 netns "$pid"
ip -netns "$space" address add 192.0.2.2/24 dev out
ip -netns "$space" address add 198.51.100.1/32 dev lo
ip -netns "$space" link set lo up
ip -netns "$space" link set out up
booted ip address add 192.0.2.1/24 dev eth0
booted ip link set eth0 up
# What the tunnel doesn't take could leave this way.
booted ip route add default via 192.0.2.2
booted ip link add overlay type ifb
booted ip address add 10.50.0.2/16 dev overlay
booted ip link set overlay up

booted dpkg --install "$(deb weft "$old")" "$(deb weft-map "$old")" >>"$work/apt.log" 2>&1 || fail "can't be installed: $work/apt.log"
weft=$PWD/.build/release/weft
mkdir -p "$work/outside"
"$weft" genkey "$work/outside/host.key" >/dev/null
booted weft genkey /etc/weft/host.key >/dev/null
cat >"$work/outside/outer.conf" <<EOF
[Interface]
Address = 10.77.0.2/24
LocalIPs = 0.0.0.0/0
PrivateKeyFile = host.key
[Peer]
PublicKey = $(booted weft pubkey /etc/weft/host.key)
AllowedIPs = 10.77.0.1/32
EOF
cat >"$root/etc/weft/weft0.conf" <<EOF
[Interface]
Address = 10.77.0.1/24
PrivateKeyFile = host.key
[Peer]
PublicKey = $("$weft" pubkey "$work/outside/host.key")
Endpoint = 192.0.2.2:6081
AllowedIPs = 0.0.0.0/0
EOF
cat >"$root/etc/weft/default.json" <<EOF
{"interface": "overlay", "agent": "inside", "local": ["192.0.2.1"], "devices": {"geneve-direct": "eth0"}, "prefixes": [
  {"prefix": "10.50.0.0/16", "nexthops": [{"peer": "outside", "remote": "192.0.2.2", "vni": 7, "protocol": "geneve-direct"}]}]}
EOF
chmod 600 "$root"/etc/weft/*.conf
outside "$weft" up "$work/outside/outer.conf" --detach >"$work/outer.log" 2>&1 || fail "the outer tunnel isn't up: $work/outer.log"
if ! booted systemctl enable --now --quiet weft@weft0 weft-tunnel-map@default; then
    booted journalctl --no-pager -u "weft*" >&2 || true
    fail "the units don't start"
fi
until_true "the tunnel carries packets" booted ping -c 1 -W 1 198.51.100.1

process() { booted systemctl show --property MainPID --value "$1"; }
program() { readlink "/proc/$pid/root/proc/$(process "$1")/exe"; }
before=$(process weft@weft0)
agent=$(process weft-tunnel-map@default)
[[ $(program weft@weft0) == */usr/bin/weft && $(program weft-tunnel-map@default) == */usr/bin/weft-map ]] || fail "other programs run"

# What leaves in the clear, what the map makes, and both while everything is replaced.
outside tcpdump -n --immediate-mode -p -i out -w "$work/wire.pcap" \
    '(icmp and host 198.51.100.1) or (udp dst port 6081 and udp[12] = 0 and udp[13] = 0 and udp[14] = 7)' >"$work/tcpdump.log" 2>&1 &
capture=$!
until_true "a capture" grep -q listening "$work/tcpdump.log"
booted ping -n -q -i 0.01 -w 25 198.51.100.1 >"$work/tunnel.txt" &
tunnel=$!
booted ping -n -q -i 0.01 -w 25 10.50.0.1 >"$work/map.txt" &
map=$!
sleep 2
booted apt-get -q -y install "$(deb weft "$next")" "$(deb weft-map "$next")" >>"$work/apt.log" 2>&1 || fail "can't be upgraded: $work/apt.log"
kill -0 "$tunnel" "$map" 2>/dev/null || fail "the upgrade took longer than the packets"
wait "$tunnel" || true
wait "$map" || true
sleep 0.5
kill -TERM "$(ip netns pids "$space" | while read -r one; do [[ $(cat "/proc/$one/comm") != tcpdump ]] || echo "$one"; done)"
wait "$capture" || true

[[ $(process weft@weft0) != "$before" && $(process weft-tunnel-map@default) != "$agent" ]] || fail "the old programs still run"
[[ $(program weft@weft0) != *deleted* ]] || fail "a deleted program runs"
sent() { sed -nE 's/^([0-9]+) packets transmitted.*/\1/p' "$work/$1.txt"; }
received=$(sed -nE 's/.* ([0-9]+) received.*/\1/p' "$work/tunnel.txt")
mapped=$(tcpdump -n -r "$work/wire.pcap" udp 2>/dev/null | wc -l)
clear=$(tcpdump -n -r "$work/wire.pcap" icmp 2>/dev/null | wc -l)
lost=$(($(sent tunnel) - received))
say "an upgrade with a packet every 10 ms: $lost of $(sent tunnel) lost by the tunnel, $(($(sent map) - mapped)) of $(sent map) by the map, $clear in the clear"
((received > 0)) || fail "the tunnel carried nothing"
((lost <= 300)) || fail "the tunnel was away for more than 3 s"
((mapped >= $(sent map))) || fail "the map lost packets"
((clear == 0)) || fail "packets left in the clear"

booted apt-get -q -y purge weft weft-map >>"$work/apt.log" 2>&1 || fail "can't be purged: $work/apt.log"
[[ -z $(booted ip -o link show weft0 2>/dev/null) ]] || fail "a purge leaves the interface"
[[ -z $(booted nft list ruleset) ]] || fail "a purge leaves this in the packet filter: $(booted nft list ruleset)"
! booted ip rule | grep -q -v -E 'lookup (local|main|default)' || fail "a purge leaves rules: $(booted ip rule)"
for folder in /sys/fs/bpf/weft /run/weft; do ! booted test -e $folder || fail "a purge leaves $folder"; done
[[ -z $(booted systemctl list-units --all --plain --no-legend 'weft*') ]] || fail "a purge leaves $(booted systemctl list-units --all 'weft*')"
[[ -z $(pgrep --ns "$pid" --nslist pid weft) ]] || fail "a purge leaves processes"
outside "$weft" down outer >/dev/null || true
kill -KILL "$pid" 2>/dev/null || true
wait "$init" || true
init=
snapshot >"$work/after"
diff "$work/before" "$work/after" || fail "a purge leaves this"
