# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# To be sourced: two hosts made of network namespaces, `left` (192.0.2.1, fd00::1) and `right` (.2, ::2), joined by their eth0,
# and a folder `work`. All of it goes with the script, and every process in `children`.

work=$(mktemp -d)
left=weft-$(basename "$0" .sh)-left-$$
right=weft-$(basename "$0" .sh)-right-$$
children=()

leave_two_hosts() {
    for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
    wait 2>/dev/null || true
    ip netns delete "$left" 2>/dev/null || true
    ip netns delete "$right" 2>/dev/null || true
    rm -rf "$work"
}
trap leave_two_hosts EXIT
trap 'exit 130' INT TERM

on_left() { ip netns exec "$left" "$@"; }
on_right() { ip netns exec "$right" "$@"; }
# background SIDE COMMAND...: its process is in `last`.
background() {
    ip netns exec "${!1}" "${@:2}" >>"$work/log" 2>&1 &
    last=$!
    children+=("$last")
}

make_two_hosts() {
    local side number
    ip netns add "$left"
    ip netns add "$right"
    ip -n "$left" link add eth0 type veth peer name eth0 netns "$right"
    for side in left right; do
        [[ $side == left ]] && number=1 || number=2
        ip -n "${!side}" link set lo up
        ip -n "${!side}" link set eth0 addrgenmode none up
        ip -n "${!side}" address add "192.0.2.$number/30" dev eth0
        ip -n "${!side}" address add "fd00::$number/64" dev eth0 nodad
    done
}

# write_tunnels WEFT NAME [LINE [PEER-LINE]]: a tunnel file for each, 10.8.0.1 and .2, in $work/SIDE/NAME.conf, with a further
# line for [Interface] and [Peer].
write_tunnels() {
    local side own other send receive keys
    mapfile -t keys < <("$1" genkey --manual && "$1" genkey --manual)
    for side in left right; do
        if [[ $side == left ]]; then own=1 other=2 send=0 receive=1; else own=2 other=1 send=1 receive=0; fi
        mkdir -p "$work/$side"
        (umask 077 && cat >"$work/$side/$2.conf") <<CONF
[Interface]
Address = 10.8.0.$own/24
MTU = 1400
StateDirectory = $work/$side/state
${3:-}
[Peer]
VNI = 7
Endpoint = 192.0.2.$other:6081
AllowedIPs = 10.8.0.$other/32
Epoch = 1
SendKey = ${keys[$send]}
ReceiveKey = ${keys[$receive]}
${4:-}
CONF
    done
}

# tunnel_up WEFT NAME SIDE: runs the tunnel in the background.
tunnel_up() {
    background "$3" env WEFT_RUNTIME_DIRECTORY="$work/$3" "$1" up "$work/$3/$2.conf"
}
