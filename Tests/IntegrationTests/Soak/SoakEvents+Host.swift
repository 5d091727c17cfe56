// SPDX-License-Identifier: Apache-2.0

extension SoakEvent {
    /// What others do to what the tunnel has put into its host.
    static let hostEvents: [SoakEvent] = rules + routes + ownAddresses + interface + filter + settings

    private static let rules = [
        SoakEvent(
            "all rules but the kernel's deleted",
            """
            for f in -4 -6; do
                for p in $(ip $f rule show | cut -d: -f1); do
                    if [ $p -gt 0 ] && [ $p -lt 32766 ]; then ip $f rule delete priority $p; fi
                done
            done
            """),
        SoakEvent(
            "one rule deleted",
            "ip rule delete priority $(ip rule show | sed -n 's/^\\([0-9]*\\):.*proto 119.*/\\1/p' | head -n 1)"),
        SoakEvent(
            "ip rule flush", "ip -4 rule flush; ip -6 rule flush",
            then: """
                for f in -4 -6; do ip $f rule add priority 32766 lookup main; done
                ip -4 rule add priority 32767 lookup default
                """),
        SoakEvent(
            "another program's rules",
            "ip rule add priority 99 fwmark 0x99 lookup 99; ip -6 rule add priority 99 fwmark 0x99 lookup 99",
            then: "ip rule delete priority 99; ip -6 rule delete priority 99"),
    ]

    private static let routes = [
        SoakEvent("the tunnel's table flushed", "ip -4 route flush table $table; ip -6 route flush table $table"),
        SoakEvent(
            "the tunnel's routes deleted",
            "ip -4 route flush dev weft0 table $table; ip -6 route flush dev weft0 table $table"),
        SoakEvent(
            "the dead ends deleted",
            "ip -4 route flush type unreachable table $table; ip -6 route flush type unreachable table $table"),
    ]

    private static let ownAddresses = [
        SoakEvent("addresses flushed", "ip address flush dev weft0 scope global"),
        SoakEvent("one address deleted", "ip address delete 10.77.0.1/24 dev weft0"),
        SoakEvent(
            "another program's address on it", "ip address add 10.99.0.1/32 dev weft0",
            then: "ip address delete 10.99.0.1/32 dev weft0"),
        SoakEvent(
            "IPv6 off and on again on it", "sysctl -qw net.ipv6.conf.weft0.disable_ipv6=1",
            then: "sysctl -qw net.ipv6.conf.weft0.disable_ipv6=0"),
    ]

    private static let interface = [
        SoakEvent("the interface down", "ip link set weft0 down"),
        SoakEvent("the interface down and up", "ip link set weft0 down; ip link set weft0 up"),
        SoakEvent("the interface renamed", "ip link set weft0 name other"),
        SoakEvent("the interface removed", "ip link delete weft0"),
        SoakEvent("another MTU", "ip link set weft0 mtu $((1280 + n))"),
        SoakEvent(
            "another queue discipline on it", "tc qdisc replace dev weft0 root pfifo limit 100",
            then: "tc qdisc delete dev weft0 root"),
        SoakEvent(
            "another queue length", "ip link set weft0 txqueuelen $((500 + n))",
            then: "ip link set weft0 txqueuelen 1000"),
    ]

    private static let filter = [
        SoakEvent(
            "the firewall loaded anew as a whole",
            """
            nft -f - <<'END'
            flush ruleset
            table inet own {
                chain input {
                    type filter hook input priority 0; policy drop
                    ct state established,related accept
                    iifname { lo, weft0 } accept
                    meta l4proto { icmp, icmpv6 } accept
                }
            }
            END
            """, then: "nft delete table inet own"),
        SoakEvent(
            "a firewall that stops the tunnel's datagrams",
            "nft 'add table inet stop; add chain inet stop o { type filter hook output priority 0; }; add rule inet stop o udp dport 6081 drop'",
            then: "nft delete table inet stop"),
        SoakEvent("nft flush ruleset", "nft flush ruleset"),
        SoakEvent("the guard's rules flushed", "nft flush chain inet weft-weft0 output"),
        SoakEvent("the guard's table deleted", "nft delete table inet weft-weft0"),
        SoakEvent(
            "another firewall loaded",
            """
            nft -f - <<'END'
            table inet other {
                chain input { type filter hook input priority 0; policy accept; ct state invalid counter; }
                chain forward { type filter hook forward priority 0; policy drop; }
                chain output { type filter hook output priority 0; policy accept; ct state new counter; }
            }
            END
            """, then: "nft delete table inet other"),
        SoakEvent("connection tracking flushed", "conntrack -F >/dev/null 2>&1"),
    ]

    private static let settings = [
        SoakEvent("redirects on again", "sysctl -qw net.ipv4.conf.weft0.send_redirects=1"),
        SoakEvent("redirects on again everywhere", "sysctl -qw net.ipv4.conf.all.send_redirects=1"),
        SoakEvent(
            "a strict reverse path filter", "sysctl -qw net.ipv4.conf.all.rp_filter=1",
            then: "sysctl -qw net.ipv4.conf.all.rp_filter=0"),
        SoakEvent(
            "forwarding on", "sysctl -qw net.ipv4.conf.all.forwarding=1",
            then: "sysctl -qw net.ipv4.conf.all.forwarding=0"),
    ]
}
