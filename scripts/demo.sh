#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two hosts made of network namespaces, a tunnel between them, and proof that it works.
#
# Root is enough, and so is a user who may make user namespaces. Only the two namespaces see traffic, and nothing
# is left behind: not after Ctrl-C or a failure either.
#
# WEFT names the command to show (.build/release/weft), DEMO_MIB the size of the file to copy (256). DRIVER is what
# carries the packets: tun, xdp, or one for each host, as in tun,xdp (auto).
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
weft=${WEFT:-$here/.build/release/weft}
mebibytes=${DEMO_MIB:-256}
drivers=${DRIVER:-auto}

bold='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

step() { echo "${bold}==> $*${plain}"; }
fail() {
    echo "${red}demo: $*${plain}" >&2
    exit 1
}

# --- A private corner of the machine ---------------------------------------------------------------------------------

enter_private_namespace() {
    local tool
    for tool in ip nsenter unshare ping socat iperf3 tcpdump sha256sum; do
        command -v "$tool" >/dev/null || fail "$tool is missing: run scripts/install-dependencies.sh demo"
    done
    [[ -x $weft ]] || fail "$weft is missing: run make build"
    if [[ ! -c /dev/net/tun ]]; then
        modprobe tun 2>/dev/null || true
        [[ -c /dev/net/tun ]] || fail "/dev/net/tun is missing: load the kernel module tun (as root: modprobe tun)," \
            "or give the container that device"
    fi
    [[ -r /dev/net/tun && -w /dev/net/tun ]] || fail "you may not open /dev/net/tun: run as root"
    export WEFT_DEMO_INSIDE=1
    # Mounts of our own, so that the namespaces' names are seen by nobody else and vanish with us.
    local as=(unshare --mount --propagation private)
    if ((EUID != 0)); then
        # A user namespace gives us every capability over what we make in it. We stay who we are: as root tcpdump
        # would want to become somebody else, whom the namespace doesn't know.
        as=(unshare --user --map-current-user --keep-caps --net --mount --propagation private)
    fi
    "${as[@]}" true 2>/dev/null ||
        fail "cannot make namespaces: run as root, or in a container with --privileged"
    exec "${as[@]}" "$here/scripts/demo.sh"
}
[[ -n ${WEFT_DEMO_INSIDE:-} ]] || enter_private_namespace

work=$(mktemp -d "${TMPDIR:-/tmp}/weft-demo.XXXXXX")
left=weft-demo-$$-left
right=weft-demo-$$-right

switch=weft-demo-$$-switch

on_switch() { nsenter --net="/run/netns/$switch" -- "$@"; }
on_left() { WEFT_RUNTIME_DIRECTORY=$work/left/run nsenter --net="/run/netns/$left" -- "$@"; }
on_right() { WEFT_RUNTIME_DIRECTORY=$work/right/run nsenter --net="/run/netns/$right" -- "$@"; }

clean_up() {
    trap '' INT TERM HUP
    local host pids
    for host in "$left" "$right"; do
        [[ -e /run/netns/$host ]] || continue
        if [[ $host == "$left" ]]; then
            on_left "$weft" down weft0 &>/dev/null || true
        else
            on_right "$weft" down weft0 &>/dev/null || true
        fi
        pids=$(ip netns pids "$host")
        # shellcheck disable=SC2086 # One word per process.
        [[ -z $pids ]] || kill -KILL $pids 2>/dev/null || true
        ip netns delete "$host" || true
    done
    [[ ! -e /run/netns/$switch ]] || ip netns delete "$switch" || true
    rm -rf "$work"
    wait
}
on_exit() {
    local status=$?
    clean_up
    ((status == 0)) || echo "${red}demo: ended early, with status $status; nothing is left behind$plain" >&2
}
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# wait_for WHAT COMMAND...: until it succeeds, ten seconds at most
wait_for() {
    local what=$1 deadline=$((SECONDS + 10))
    shift
    until "$@" &>/dev/null; do
        ((SECONDS < deadline)) || fail "waited 10 s for $what, in vain"
        sleep 0.05
    done
}

# mbits BYTES MICROSECONDS
mbits() { echo $(($1 * 8 / ($2 > 0 ? $2 : 1))); }
microseconds() { echo "${EPOCHREALTIME/[.,]/}"; }

# --- Two hosts -------------------------------------------------------------------------------------------------------

make_hosts() {
    # Names of namespaces are mounts below /run/netns, which a fresh machine lacks.
    if [[ -d /run/netns ]]; then
        mount -t tmpfs weft-demo /run/netns
    else
        mount -t tmpfs weft-demo /run
        mkdir /run/netns
    fi
    ip netns add "$left"
    ip netns add "$right"
    # Between them a switch, where the captures listen: AF_XDP sends past those on a host.
    ip netns add "$switch"
    on_switch ip link add name switch up type bridge
    local host number
    for host in left right; do
        [[ $host == left ]] && number=1 || number=2
        ip link add name underlay address "02:00:00:00:00:0$number" netns "${!host}" type veth \
            peer name "$host" netns "$switch"
        on_switch ip link set "$host" master switch up addrgenmode none
    done
    for host in left right; do
        [[ $host == left ]] && number=1 || number=2
        # Nothing but the tunnel shall speak on the underlay: no IPv6 autoconfiguration, no ARP.
        "on_$host" ip link set lo up
        "on_$host" ip link set underlay up addrgenmode none
        "on_$host" ip address add "192.0.2.$number/30" dev underlay
        "on_$host" ip neighbour replace "192.0.2.$((3 - number))" lladdr "02:00:00:00:00:0$((3 - number))" \
            nud permanent dev underlay
    done
}

# write_file HOST NUMBER SENDKEY RECEIVEKEY
write_file() {
    mkdir -p "$work/$1/run" "$work/$1/state"
    chmod 700 "$work/$1/state"
    local other=$((3 - $2)) driver=${drivers%,*}
    [[ $1 == left ]] || driver=${drivers#*,}
    cat >"$work/$1/weft0.conf" <<END
[Interface]
Address = 10.77.0.$2/24, fd77::$2/64
ListenPort = 6081
MTU = 1400
Driver = $driver
StateDirectory = $work/$1/state

[Peer]
VNI = 7
Endpoint = 192.0.2.$other:6081
AllowedIPs = 10.77.0.$other/32, fd77::$other/128
PersistentKeepalive = 25
Epoch = 1
SendKey = $3
ReceiveKey = $4
END
}

start_tunnel() {
    umask 077
    local there back
    there=$("$weft" genkey --manual)
    back=$("$weft" genkey --manual)
    write_file left 1 "$there" "$back"
    write_file right 2 "$back" "$there"
    echo "left's file, weft0.conf:"
    sed -e 's/Key = .*/Key = (hidden)/' -e 's/^/    /' "$work/left/weft0.conf"
    on_left "$weft" up --detach "$work/left/weft0.conf"
    on_right "$weft" up --detach "$work/right/weft0.conf"
}

# --- What the tunnel must do -----------------------------------------------------------------------------------------

ping_both() {
    on_left ping -q -c 5 -i 0.2 -W 2 10.77.0.2 || fail "no answer over IPv4"
    on_left ping -q -c 5 -i 0.2 -W 2 fd77::2 || fail "no answer over IPv6"
}

listening() { [[ -n $(on_right ss -Hltn "sport = :$1") ]]; }

copy_file() {
    local size=$((mebibytes * 1048576)) began ended receiver sent received
    head -c "$size" /dev/urandom >"$work/left/file"
    on_right socat -u -b 262144 TCP-LISTEN:9000,bind=10.77.0.2 "CREATE:$work/right/file" &
    receiver=$!
    wait_for "the receiver" listening 9000
    began=$(microseconds)
    on_left socat -u -b 262144 "OPEN:$work/left/file" TCP:10.77.0.2:9000 || fail "the file was not sent"
    wait "$receiver" || fail "the file was not received"
    ended=$(microseconds)
    sent=$(sha256sum <"$work/left/file")
    received=$(sha256sum <"$work/right/file")
    echo "sent     SHA-256 $sent"
    echo "received SHA-256 $received"
    [[ $sent == "$received" ]] || fail "the copy differs"
    copy_rate=$(mbits "$size" $((ended - began)))
    echo "$mebibytes MiB at $copy_rate Mbit/s"
    rm "$work/left/file" "$work/right/file"
}

run_iperf() {
    on_right iperf3 --server --one-off --bind 10.77.0.2 &>"$work/iperf-server" &
    local server=$!
    wait_for "iperf3's server" listening 5201
    on_left iperf3 --client 10.77.0.2 --time 5 --format m | tee "$work/iperf" || fail "iperf3 failed"
    wait "$server" || fail "iperf3's server failed: $(cat "$work/iperf-server")"
    iperf_rate=$(awk '$NF == "receiver" { for (i = 2; i <= NF; i++) if ($i == "Mbits/sec") print $(i - 1) }' "$work/iperf")
    [[ -n $iperf_rate ]] || fail "iperf3 gave no result"
}

# capture NAME NAMESPACE DEVICE: what passes there, until end_captures
captures=()
capture() {
    # No function, so that $! is tcpdump itself.
    nsenter --net="/run/netns/$2" -- \
        tcpdump -Z root -i "$3" -n -s 0 -U --immediate-mode -w "$work/$1.pcap" 2>"$work/$1.log" &
    captures+=($!)
    wait_for "tcpdump" grep -q "listening on" "$work/$1.log"
}

end_captures() {
    # What was sent has been seen by now: one more look, and both write what they have.
    sleep 0.2
    kill -TERM "${captures[@]}"
    wait "${captures[@]}"
}

count_frames() { tcpdump -n -r "$work/$1.pcap" "${@:2}" 2>/dev/null | wc -l; }

look_for_plaintext() {
    local marker receiver others inside outside
    # 16 bytes, as many as ping repeats over a whole packet.
    marker=$(printf WEFT-PLAIN-%05d "$RANDOM")
    capture inside "$right" weft0
    capture underlay "$switch" switch
    on_right socat -u TCP-LISTEN:9001,bind=10.77.0.2 OPEN:/dev/null &
    receiver=$!
    wait_for "the receiver" listening 9001
    for _ in {1..200}; do echo "$marker"; done | on_left socat -u STDIN TCP:10.77.0.2:9001
    wait "$receiver" || fail "the marker was not received"
    on_left ping -q -c 20 -i 0.02 -W 2 -s 1000 -p "$(printf %s "$marker" | od -An -tx1 | tr -d ' \n')" \
        fd77::2 >/dev/null || fail "no answer over IPv6"
    end_captures
    inside=$(LC_ALL=C grep -aoF "$marker" "$work/inside.pcap" | wc -l || true)
    outside=$(LC_ALL=C grep -aoF "$marker" "$work/underlay.pcap" | wc -l || true)
    frames=$(count_frames underlay)
    others=$(count_frames underlay not udp port 6081)
    echo "inside the tunnel: the marker $marker $inside times"
    echo "on the underlay:   the marker $outside times, in $frames frames, $others of them anything but UDP port 6081"
    ((inside >= 200)) || fail "the marker should have been inside the tunnel: the capture proves nothing"
    ((frames > 20)) || fail "only $frames frames on the underlay: the capture proves nothing"
    ((outside == 0)) || fail "plaintext on the underlay"
    ((others == 0)) || fail "something else than the tunnel on the underlay"
}

show_both() {
    echo "on left:"
    on_left "$weft" show | sed 's/^/    /'
    echo "on right:"
    on_right "$weft" show | sed 's/^/    /'
}

stop_tunnel() {
    on_left "$weft" down weft0
    on_right "$weft" down weft0
    local host
    for host in left right; do
        ! "on_$host" ip link show weft0 &>/dev/null || fail "$host still has its device"
    done
    [[ -z $(ip netns pids "$left")$(ip netns pids "$right") ]] || fail "something still runs"
}

copy_rate=0 iperf_rate=0 frames=0
step "Two hosts, left and right, joined by an underlay (192.0.2.0/30)"
make_hosts
step "The tunnel: weft up on both"
start_tunnel
step "Ping over IPv4 and IPv6"
ping_both
step "Copy a file of $mebibytes MiB over TCP"
copy_file
step "iperf3"
run_iperf
step "Look for plaintext on the underlay"
look_for_plaintext
step "weft show"
show_both
step "weft down on both, and clean up"
stop_tunnel
clean_up
trap - EXIT
echo "${green}All is well: IPv4 and IPv6 answer, $mebibytes MiB arrived intact at $copy_rate Mbit/s," \
    "iperf3 $iperf_rate Mbit/s, all $frames underlay frames sealed, nothing left behind.${plain}"
