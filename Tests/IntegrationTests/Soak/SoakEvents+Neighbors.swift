// SPDX-License-Identifier: Apache-2.0

extension SoakEvent {
    /// What else lives on the host, and what its peer's host goes through.
    static let neighborEvents: [SoakEvent] = others + peers

    private static let peers = [
        SoakEvent("nft flush ruleset at the peer", at: .right, "nft flush ruleset"),
        SoakEvent("the peer's interface down", at: .right, "ip link set weft0 down"),
        SoakEvent("the peer's addresses flushed", at: .right, "ip address flush dev weft0 scope global"),
        SoakEvent("the peer's interface removed", at: .right, "ip link delete weft0"),
        SoakEvent(
            "the peer's tables flushed", at: .right, "ip -4 route flush table $table; ip -6 route flush table $table"),
    ]

    private static let others = [
        SoakEvent(
            "a second tunnel up and down",
            "$weft up --detach $PWD/weft1.conf 2>/dev/null; for i in $(seq 50); do ping -n -q -c 1 -W 0.1 10.78.0.2 >/dev/null && break; done",
            then: "$weft down weft1"),
        SoakEvent(
            "a second tunnel killed",
            "$weft up $PWD/weft1.conf 2>/dev/null & until $weft show weft1 >/dev/null 2>&1; do sleep 0.05; done; kill -KILL $!",
            then: "$weft down weft1 >/dev/null 2>&1 || true"),
        SoakEvent(
            "other interfaces come and go",
            "ip link add one type veth peer name other1; ip link set one up; ip address add 172.30.0.1/24 dev one; ip link add br9 type bridge",
            then: "ip link delete one; ip link delete br9"),
        SoakEvent(
            "a hundred interfaces at once",
            "for i in $(seq 100); do echo link add many$i type ifb; done | ip -batch -",
            then: "for i in $(seq 100); do echo link delete many$i; done | ip -batch -"),
        SoakEvent(
            "a container network",
            """
            ip link add docker9 type bridge; ip address add 172.31.0.1/16 dev docker9; ip link set docker9 up
            nft 'add table ip docker; add chain ip docker post { type nat hook postrouting priority 100; }; add rule ip docker post ip saddr 172.31.0.0/16 masquerade'
            """, then: "nft delete table ip docker; ip link delete docker9"),
        SoakEvent(
            "a thousand routes come and go",
            "for i in $(seq 0 3); do for j in $(seq 0 249); do echo route add 172.$((16 + i)).$j.0/24 via 192.0.2.1; done; done | ip -batch -",
            then:
                "for i in $(seq 0 3); do for j in $(seq 0 249); do echo route delete 172.$((16 + i)).$j.0/24; done; done | ip -batch -"
        ),
        SoakEvent(
            "another program's TUN with a table of its own",
            "ip tuntap add tun9 mode tun; ip link set tun9 up; ip route add 172.29.0.0/16 dev tun9 table 129; ip rule add priority 129 to 172.29.0.0/16 lookup 129",
            then: "ip rule delete priority 129; ip link delete tun9"),
    ]
}
