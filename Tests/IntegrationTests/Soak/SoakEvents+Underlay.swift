// SPDX-License-Identifier: Apache-2.0

extension SoakEvent {
    /// What becomes of the way to the peer.
    static let underlayEvents: [SoakEvent] = addresses + links + way

    /// Of the host's own.
    static let addresses = [
        SoakEvent("another address by DHCP", "lease 192.0.2.$((10 + n))"),
        SoakEvent(
            "an address lost, and had again", "ip address flush dev underlay scope global", then: "lease $address"),
        SoakEvent(
            "a second address", "ip address add 192.0.2.$((110 + n))/24 dev underlay",
            then: "ip address delete 192.0.2.$((110 + n))/24 dev underlay"),
        SoakEvent(
            "another gateway", "ip route replace default via 192.0.2.254",
            then: "ip route replace default via 192.0.2.1"),
        SoakEvent(
            "a second default route, and it alone",
            "ip route add default via 192.0.2.254 metric 100; ip route delete default metric 0",
            then: "ip route replace default via 192.0.2.1; ip route delete default metric 100"),
        SoakEvent(
            "no default route of IPv6", "ip -6 route delete default", then: "ip -6 route add default via fd00:1::1"),
        SoakEvent(
            "by another interface",
            "ip link set spare up; ip address add 192.0.3.2/24 dev spare; ip route replace default via 192.0.3.1",
            then: "ip route replace default via 192.0.2.1; ip link set spare down; ip address flush dev spare"),
        SoakEvent("no default route", "ip route delete default", then: "ip route add default via 192.0.2.1"),
        SoakEvent(
            "table main flushed", "ip -4 route flush table main; ip -6 route flush table main",
            then: "ip address flush dev underlay; lease $address"),
        SoakEvent(
            "the underlay without IPv6", "sysctl -qw net.ipv6.conf.underlay.disable_ipv6=1",
            then: "sysctl -qw net.ipv6.conf.underlay.disable_ipv6=0; lease $address"),
        SoakEvent(
            "IPv6 off and on again everywhere", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
            then: "sysctl -qw net.ipv6.conf.all.disable_ipv6=0; lease $address"),
    ]

    private static let links = [
        SoakEvent(
            "the underlay down and up", "ip link set underlay down", then: "ip link set underlay up; lease $address"),
        SoakEvent("the carrier lost", at: .router, "ip link set left0 down", then: "ip link set left0 up; connect"),
        SoakEvent(
            "the underlay removed, and there anew", at: .outside,
            "nsenter --net=/proc/$router/ns/net ip link delete left0", then: "join_left"),
        SoakEvent("another link-layer address", "ip link set underlay address 02:00:00:00:01:$((10 + n % 90))"),
        SoakEvent(
            "the gateway's link-layer address", at: .router,
            "ip link set left0 address 02:00:00:00:02:$((10 + n % 90)); connect"),
        SoakEvent(
            "a smaller MTU of the underlay", "ip link set underlay mtu 1480", then: "ip link set underlay mtu 1500"),
        SoakEvent(
            "another queue discipline of the underlay", "tc qdisc replace dev underlay root pfifo limit 1000",
            then: "tc qdisc delete dev underlay root"),
        SoakEvent(
            "clsact on the underlay", "tc qdisc add dev underlay clsact", then: "tc qdisc delete dev underlay clsact"),
        SoakEvent("neighbours flushed", "ip neighbour flush dev underlay"),
        SoakEvent(
            "offloads off and on", "ethtool -K underlay gro off tso off gso off >/dev/null",
            then: "ethtool -K underlay gro off tso on gso on >/dev/null"),
    ]

    private static let way = [
        SoakEvent(
            "nothing forwarded", at: .router, "sysctl -qw net.ipv4.ip_forward=0",
            then: "sysctl -qw net.ipv4.ip_forward=1"),
        SoakEvent(
            "all datagrams lost", at: .router,
            "nft 'add table inet lost; add chain inet lost f { type filter hook forward priority 0; policy drop; }'",
            then: "nft delete table inet lost"),
        SoakEvent(
            "another mapping by NAT", at: .router,
            "nft \"flush chain ip nat out; add rule ip nat out oifname right0 udp sport 6081 masquerade to :$((20000 + n))\"; conntrack -F >/dev/null 2>&1",
            then: "nft flush chain ip nat out; conntrack -F >/dev/null 2>&1", needs: .noTranslation),
    ]
}
