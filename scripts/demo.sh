#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Three hosts made of network namespaces, tunnels between them that agree on keys by themselves, and proof that they work.
#
# Root is enough, and so is a user who may make user namespaces. Only these namespaces see traffic, and nothing
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
hosts=(left right top)
declare -A number=([left]=1 [right]=2 [top]=3)

namespace() { echo "weft-demo-$$-$1"; }

# on HOST COMMAND...
on() { WEFT_RUNTIME_DIRECTORY=$work/$1/run nsenter --net="/run/netns/$(namespace "$1")" -- "${@:2}"; }

# driver HOST: what carries its packets; where fewer are named than there are hosts, the last is the others'
driver() {
    local names
    IFS=, read -ra names <<<"$drivers"
    echo "${names[number[$1] - 1]:-${names[-1]}}"
}

clean_up() {
    trap '' INT TERM HUP
    local host pids
    for host in "${hosts[@]}"; do
        [[ -e /run/netns/$(namespace "$host") ]] || continue
        on "$host" "$weft" down weft0 &>/dev/null || true
        pids=$(ip netns pids "$(namespace "$host")")
        # shellcheck disable=SC2086 # One word per process.
        [[ -z $pids ]] || kill -KILL $pids 2>/dev/null || true
        ip netns delete "$(namespace "$host")" || true
    done
    [[ ! -e /run/netns/$(namespace switch) ]] || ip netns delete "$(namespace switch)" || true
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

# --- Three hosts -------------------------------------------------------------------------------------------------------

# raise HOST DEVICE: without an address of its own making. Said together with up, that comes too late.
raise() {
    on "$1" ip link set "$2" addrgenmode none
    on "$1" ip link set "$2" up
}

make_hosts() {
    # Names of namespaces are mounts below /run/netns, which a fresh machine lacks.
    if [[ -d /run/netns ]]; then
        mount -t tmpfs weft-demo /run/netns
    else
        mount -t tmpfs weft-demo /run
        mkdir /run/netns
    fi
    # Between them a switch, where a capture listens: AF_XDP sends past those on a host.
    ip netns add "$(namespace switch)"
    on switch ip link add name switch type bridge mcast_snooping 0
    raise switch switch
    local host other
    for host in "${hosts[@]}"; do
        ip netns add "$(namespace "$host")"
        ip link add name underlay address "02:00:00:00:00:0${number[$host]}" netns "$(namespace "$host")" type veth \
            peer name "$host" netns "$(namespace switch)"
        on switch ip link set "$host" master switch
        raise switch "$host"
        # Nothing but the tunnels shall speak on the underlay: no IPv6 autoconfiguration, no ARP.
        on "$host" ip link set lo up
        raise "$host" underlay
        on "$host" ip address add "192.0.2.${number[$host]}/29" dev underlay
        for other in "${hosts[@]}"; do
            [[ $other != "$host" ]] || continue
            on "$host" ip neighbour replace "192.0.2.${number[$other]}" lladdr "02:00:00:00:00:0${number[$other]}" \
                nud permanent dev underlay
        done
    done
}

write_file() {
    local other
    {
        cat <<END
[Interface]
Address = 10.77.0.${number[$1]}/24, fd77::${number[$1]}/64
ListenPort = 6081
MTU = 1400
Driver = $(driver "$1")
PrivateKeyFile = host.key
END
        for other in "${hosts[@]}"; do
            [[ $other != "$1" ]] || continue
            cat <<END

[Peer]
PublicKey = $("$weft" pubkey "$work/$other/host.key")
Endpoint = 192.0.2.${number[$other]}:6081
AllowedIPs = 10.77.0.${number[$other]}/32, fd77::${number[$other]}/128
END
        done
    } >"$work/$1/weft0.conf"
}

start_tunnels() {
    umask 077
    local host
    for host in "${hosts[@]}"; do
        mkdir -p "$work/$host/run"
        "$weft" genkey "$work/$host/host.key"
    done
    for host in "${hosts[@]}"; do write_file "$host"; done
    echo "left's file, weft0.conf:"
    sed 's/^/    /' "$work/left/weft0.conf"
    for host in "${hosts[@]}"; do
        on "$host" "$weft" check "$work/$host/weft0.conf" >/dev/null
        on "$host" "$weft" up --detach "$work/$host/weft0.conf"
    done
}

# --- What the tunnel must do -----------------------------------------------------------------------------------------

ping_all() {
    local host other
    for host in "${hosts[@]}"; do
        for other in "${hosts[@]}"; do
            [[ $host != "$other" ]] || continue
            on "$host" ping -q -c 3 -i 0.2 -W 2 "10.77.0.${number[$other]}" >/dev/null || fail "no answer over IPv4"
            on "$host" ping -q -c 3 -i 0.2 -W 2 "fd77::${number[$other]}" >/dev/null || fail "no answer over IPv6"
            echo "$host reaches $other over IPv4 and IPv6"
        done
    done
}

connected() { [[ $(on "$1" "$weft" show weft0 --json | grep -c '"state" : "connected"') == 2 ]]; }

listening() { [[ -n $(on right ss -Hltn "sport = :$1") ]]; }

copy_file() {
    local size=$((mebibytes * 1048576)) began ended receiver sent received
    head -c "$size" /dev/urandom >"$work/left/file"
    on right socat -u -b 262144 TCP-LISTEN:9000,bind=10.77.0.2 "CREATE:$work/right/file" &
    receiver=$!
    wait_for "the receiver" listening 9000
    began=$(microseconds)
    on left socat -u -b 262144 "OPEN:$work/left/file" TCP:10.77.0.2:9000 || fail "the file was not sent"
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
    on right iperf3 --server --one-off --bind 10.77.0.2 &>"$work/iperf-server" &
    local server=$!
    wait_for "iperf3's server" listening 5201
    on left iperf3 --client 10.77.0.2 --time 5 --format m | tee "$work/iperf" || fail "iperf3 failed"
    wait "$server" || fail "iperf3's server failed: $(cat "$work/iperf-server")"
    iperf_rate=$(awk '$NF == "receiver" { for (i = 2; i <= NF; i++) if ($i == "Mbits/sec") print $(i - 1) }' "$work/iperf")
    [[ -n $iperf_rate ]] || fail "iperf3 gave no result"
}

# capture NAME NAMESPACE DEVICE: what passes there, until end_captures
captures=()
capture() {
    # No function, so that $! is tcpdump itself.
    nsenter --net="/run/netns/$(namespace "$2")" -- \
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
    capture inside right weft0
    capture underlay switch switch
    on right socat -u TCP-LISTEN:9001,bind=10.77.0.2 OPEN:/dev/null &
    receiver=$!
    wait_for "the receiver" listening 9001
    for _ in {1..200}; do echo "$marker"; done | on left socat -u STDIN TCP:10.77.0.2:9001
    wait "$receiver" || fail "the marker was not received"
    on left ping -q -c 20 -i 0.02 -W 2 -s 1000 -p "$(printf %s "$marker" | od -An -tx1 | tr -d ' \n')" \
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
    ((others == 0)) || tcpdump -n -r "$work/underlay.pcap" not udp port 6081 2>/dev/null | head -n 5 >&2
    ((others == 0)) || fail "something else than the tunnel on the underlay"
}

is_idle() { [[ -z $(ip netns pids "$(namespace "$1")") ]]; }

restart_top() {
    local began
    # The oldest process carries the data; the others end with it.
    kill -KILL "$(on top "$weft" show weft0 --json | grep -o '"processID" *: *[0-9]*' | tail -n 1 | tr -dc 0-9)"
    wait_for "the end of top's daemon" is_idle top
    on top "$weft" up --detach "$work/top/weft0.conf"
    began=$(microseconds)
    on left ping -q -c 1 -W 1 10.77.0.3 >/dev/null || wait_for "top's answer" on left ping -q -c 1 -W 1 10.77.0.3
    restart_time=$((($(microseconds) - began) / 1000))
    echo "top was killed and started again: traffic after $restart_time ms"
}

show_all() {
    local host
    for host in "${hosts[@]}"; do
        echo "on $host:"
        on "$host" "$weft" show | sed 's/^/    /'
    done
}

# The proportional memory of all processes of each tunnel, after all that traffic.
show_memory() {
    local host pids kibibytes
    for host in "${hosts[@]}"; do
        pids=$(ip netns pids "$(namespace "$host")")
        kibibytes=$(for pid in $pids; do cat "/proc/$pid/smaps_rollup"; done | awk '$1 == "Pss:" { sum += $2 } END { print sum }')
        echo "$host: $((kibibytes / 1024)) MiB in $(wc -w <<<"$pids") processes"
        # Frames of AF_XDP are memory of their own.
        [[ $drivers == *xdp* ]] || ((kibibytes <= 36 * 1024)) || fail "$host's tunnel has more than 36 MiB"
    done
}

stop_tunnels() {
    local host
    for host in "${hosts[@]}"; do on "$host" "$weft" down weft0; done
    for host in "${hosts[@]}"; do
        ! on "$host" ip link show weft0 &>/dev/null || fail "$host still has its device"
        is_idle "$host" || fail "something still runs"
    done
}

copy_rate=0 iperf_rate=0 frames=0 restart_time=0
step "Three hosts, left, right and top, on one switch"
make_hosts
step "A key pair for each, a file for each, and weft up: nobody handles any other key"
start_tunnels
for host in "${hosts[@]}"; do wait_for "$host's peers" connected "$host"; done
step "Ping over IPv4 and IPv6"
ping_all
step "Copy a file of $mebibytes MiB over TCP"
copy_file
step "iperf3"
run_iperf
step "Look for plaintext on the underlay"
look_for_plaintext
step "Kill a host's tunnel and start it again"
restart_top
step "Memory"
show_memory
step "weft show"
show_all
step "weft down on all, and clean up"
stop_tunnels
clean_up
trap - EXIT
echo "${green}All is well: IPv4 and IPv6 answer, $mebibytes MiB arrived intact at $copy_rate Mbit/s," \
    "iperf3 $iperf_rate Mbit/s, all $frames underlay frames sealed, a killed host is back after $restart_time ms," \
    "nothing left behind.${plain}"
