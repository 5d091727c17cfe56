// SPDX-License-Identifier: Apache-2.0

/// What the hosts and the way between them are made of.
extension SoakTopology {
    static let routerScript = """
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        ip route add 198.51.100.0/24 via 203.0.113.2
        ip -6 route add 2001:db8:99::/64 via fd00:2::2
        nft -f - <<'END'
        table inet watch {
            chain arrivals {
                type filter hook prerouting priority -400
                iifname { left0, left1 } ip daddr 198.51.100.0/24 counter
                iifname { left0, left1 } ip6 daddr 2001:db8:99::/64 counter
                iifname right0 ip saddr 198.51.100.0/24 counter
                iifname right0 ip6 saddr 2001:db8:99::/64 counter
                ip saddr 10.77.0.0/24 counter
                ip daddr 10.77.0.0/24 counter
                ip6 saddr fd77::/64 counter
                ip6 daddr fd77::/64 counter
            }
        }
        table ip nat {
            chain out { type nat hook postrouting priority 100; }
        }
        END
        """

    /// A router that translates: it has addresses to choose from, and nobody beyond has a way to what is behind it.
    static let translationScript = """
        for i in $(seq 200 249); do ip address add 203.0.113.$i/24 dev right0; done
        nft -f - <<'END'
        table ip private {
            chain arrivals {
                type filter hook prerouting priority -300
                iifname right0 ip daddr { 192.0.2.0/24, 192.0.3.0/24 } drop
            }
        }
        END
        """

    /// For scripts outside of the hosts: the links between them.
    var links: String {
        """
        left=\(left.processIdentifier) router=\(router.processIdentifier) right=\(right.processIdentifier)
        resolvers='\(left.folder)/resolv.conf'
        in_left() { nsenter --net=/proc/$left/ns/net "$@"; }
        in_right() { nsenter --net=/proc/$right/ns/net "$@"; }
        in_router() { nsenter --net=/proc/$router/ns/net sh -c "$1"; }
        join_left() {
            ip link add underlay address 02:00:00:00:01:01 netns $left type veth \
                peer name left0 address 02:00:00:00:02:01 netns $router
            ip link add spare netns $left type veth peer name left1 netns $router 2>/dev/null || true
            in_router '\(Self.connect)'
            in_left sh -c '\(Self.lease)
                ethtool -K underlay tx-udp-segmentation off
                lease 192.0.2.2'
        }
        join_right() {
            ip link add underlay address 02:00:00:00:03:01 netns $right type veth \
                peer name right0 address 02:00:00:00:04:01 netns $router
            in_router 'ip link set right0 up addrgenmode none; ip address add 203.0.113.1/24 dev right0
                ip address add fd00:2::1/64 dev right0 nodad; ip address add fe80::1/64 dev right0 nodad'
            in_right sh -c 'ip link set underlay up addrgenmode none; ip address add 203.0.113.2/24 dev underlay
                ethtool -K underlay tx-udp-segmentation off
                ip address add fd00:2::2/64 dev underlay nodad; ip address add fe80::2/64 dev underlay nodad
                ip route add default via 203.0.113.1
                ip -6 route add default via fd00:2::1'
        }
        move_right() {
            in_right sh -c '\(Self.place)
                place $0' $1
        }
        # All lengths pass again.
        all_pass() {
            in_router "nft 'add table netdev path; delete table netdev path'; ip link set right0 mtu 1500"
            in_right ip link set underlay mtu 1500
        }
        \(way)

        """
    }

    /// What the router does with what passes, for scripts that know `in_router`.
    var way: String {
        """
        zone='\(router.folder)/zone'
        # The peer's name stands for these addresses.
        name() { for a; do echo $a server.example; done >$zone; }
        # These resolvers answer nobody.
        deaf() {
            in_router "nft 'add table inet dead; delete table inet dead; add table inet dead
                add chain inet dead i { type filter hook input priority 0; }
                add rule inet dead i udp dport 53 ip daddr { $1 } drop'"
        }
        # So the addresses of UDP datagrams are translated from now on; who translates anew knows nothing of before.
        translate() {
            in_router "nft 'flush chain ip nat out
                add rule ip nat out oifname right0 meta l4proto udp $1
                add rule ip nat out oifname right0 masquerade'
                conntrack -F >/dev/null 2>&1"
        }
        # Longer packets vanish, in both directions.
        longest() {
            in_router "nft 'add table netdev path; delete table netdev path; add table netdev path
                add chain netdev path left { type filter hook ingress device left0 priority -500; }
                add chain netdev path right { type filter hook ingress device right0 priority -500; }
                add rule netdev path left ip protocol udp ip length gt $1 ip frag-off & 0x4000 != 0 drop
                add rule netdev path right ip protocol udp ip length gt $1 ip frag-off & 0x4000 != 0 drop'"
        }
        """
    }

    /// The router's end towards the host. Who forwards IPv6 asks for neighbours from a link-local address.
    static let connect = """
        ip link set left0 up addrgenmode none
        for a in 192.0.2.1/24 192.0.2.254/24; do ip address replace $a dev left0; done
        ip address replace fd00:1::1/64 dev left0 nodad
        ip address replace fe80::1/64 dev left0 nodad
        ip link set left1 up addrgenmode none
        ip address replace 192.0.3.1/24 dev left1
        """

    /// The one IPv4 address of the underlay, as a DHCP client would set it: the new one first, the old one's end last.
    private static let only = """
        only() {
            ip address replace $1/24 dev underlay
            for a in $(ip -4 -o address show dev underlay | sed -n "s/.* inet \\([^ ]*\\).*/\\1/p"); do
                [ $a = $1/24 ] || ip address delete $a dev underlay
            done
        }
        """

    /// The host's own address.
    static let lease = """
        \(only)
        lease() {
            ip link set underlay up addrgenmode none
            ip address replace fd00:1::2/64 dev underlay nodad
            ip address replace fe80::2/64 dev underlay nodad
            only $1
            ip route replace default via 192.0.2.1
            ip -6 route replace default via fd00:1::1
        }
        """

    /// The peer's address.
    static let place = """
        \(only)
        place() {
            only $1
            ip route replace default via 203.0.113.1
        }
        """
}
