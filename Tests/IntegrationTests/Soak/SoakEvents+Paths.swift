// SPDX-License-Identifier: Apache-2.0

extension SoakEvent {
    /// What becomes of the peer's name, of translated addresses, of the length of packets, and of both ends' addresses and uplinks.
    static let pathEvents: [SoakEvent] = names + translations + lengths + moves

    /// Seconds that a name or a router's translation may cost.
    private static let patience = 60.0

    private static func named(
        _ name: String, at place: Place = .left, _ change: String, then restoration: String = ""
    ) -> SoakEvent {
        SoakEvent(name, at: place, change, then: restoration, needs: .translation, within: patience)
    }

    private static let names = [
        named(
            "the peer elsewhere, as its name says", at: .outside,
            "move_right 203.0.113.$((100 + n % 90)); name 203.0.113.$((100 + n % 90))"),
        named(
            "the peer elsewhere, as its name says later", at: .outside, "move_right 203.0.113.$((100 + n % 90))",
            then: "name 203.0.113.$((100 + n % 90))"),
        named(
            "the peer elsewhere while no resolver answers", at: .outside,
            "deaf 198.18.0.53,198.18.0.54; move_right 203.0.113.$((100 + n % 90)); name 203.0.113.$((100 + n % 90))",
            then: "deaf 198.18.0.99"),
        named(
            "the peer elsewhere, and another resolver", at: .outside,
            """
            if grep -q 198.18.0.53 $resolvers; then old=53 new=54; else old=54 new=53; fi
            deaf 198.18.0.$old
            echo nameserver 198.18.0.$new >$resolvers
            move_right 203.0.113.$((100 + n % 90))
            name 203.0.113.$((100 + n % 90))
            """),
        named(
            "a dead address before the peer's, and a start",
            "sed -i '1i 203.0.113.99 server.example' $zone; signal KILL $data",
            then: "sed -i 1d $zone"),
        named(
            "no such name for a while, and a start", "mv $zone $zone.away; signal KILL $data",
            then: "mv $zone.away $zone"),
        named(
            "no resolver that answers for a while, and a start",
            """
            nft 'add table inet dead; add chain inet dead i { type filter hook input priority 0; }'
            nft 'add rule inet dead i udp sport 53 drop'
            signal KILL $data
            """, then: "nft delete table inet dead"),
        named(
            "no resolver that may be asked for a while, and a start",
            """
            nft 'add table inet dead; add chain inet dead o { type filter hook output priority 0; }'
            nft 'add rule inet dead o udp dport 53 drop'
            signal KILL $data
            """, then: "nft delete table inet dead"),
    ]

    private static let translations = [
        named("NAT with another port", at: .router, "translate \"masquerade to :$((20000 + n))-$((30000 + n))\""),
        named("NAT with any port", at: .router, "translate 'masquerade random'"),
        named("NAT renumbered", at: .router, "translate \"snat to 203.0.113.$((200 + n % 50))\""),
        named(
            "NAT rebooted", at: .router,
            "ip link set left0 down; translate \"masquerade to :$((20000 + n))-$((30000 + n))\"",
            then: "ip link set left0 up; connect"),
        named(
            "NAT rebooted, and renumbered", at: .router, "ip link set left0 down; translate drop",
            then:
                "ip link set left0 up; connect; translate \"snat to 203.0.113.$((200 + n % 50)):$((20000 + n))-30000\""),
        // What passes meanwhile makes an entry that lasts as long as it's used.
        named(
            "NAT that comes late after a reboot", at: .router,
            "nft 'flush chain ip nat out; add rule ip nat out oifname none masquerade'; conntrack -F >/dev/null 2>&1",
            then: """
                nft 'add rule ip nat out oifname right0 meta l4proto udp masquerade'
                nft 'add rule ip nat out oifname right0 masquerade'
                """),
        named("NAT that forgets", at: .router, "conntrack -F >/dev/null 2>&1"),
    ]

    private static let lengths = [
        SoakEvent("another length that passes", at: .router, "longest $((1220 + n * 3))"),
        SoakEvent(
            "another length that passes, from the least", at: .router, "longest 1220", then: "longest $((1300 + n * 2))"
        ),
        SoakEvent(
            "another MTU on the way", at: .outside,
            "in_router \"ip link set right0 mtu $((1300 + n * 2))\"; in_right ip link set underlay mtu $((1300 + n * 2))"
        ),
        SoakEvent("all lengths pass again", at: .outside, "all_pass"),
    ]

    private static let moves = [
        SoakEvent(
            "the peer elsewhere without a word", at: .right, "place 203.0.113.$((100 + n % 90))",
            afterwards: "place 203.0.113.2", needs: .noTranslation),
        SoakEvent(
            "the first uplink dead, and the second one used",
            """
            ip link set spare up; ip address add 192.0.3.2/24 dev spare
            ip link set underlay down; ip route replace default via 192.0.3.1
            """,
            afterwards: "lease $address; ip link set spare down; ip address flush dev spare"),
        SoakEvent(
            "the second uplink, while the first one is there",
            "ip link set spare up; ip address add 192.0.3.2/24 dev spare; ip route replace default via 192.0.3.1",
            afterwards: "ip route replace default via 192.0.2.1; ip link set spare down; ip address flush dev spare"),
        SoakEvent(
            "another address, and the old one not missed for a while",
            "ip address add 192.0.2.$((10 + n))/24 dev underlay",
            then: "lease 192.0.2.$((10 + n))"),
    ]
}
