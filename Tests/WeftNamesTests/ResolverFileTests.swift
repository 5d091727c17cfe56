// SPDX-License-Identifier: Apache-2.0
import Testing
import Weft
import WeftTestSupport

@testable import WeftNames

@Suite("The files that names come from")
struct NameFileTests {
    private func file(_ text: String) -> ResolverFile { ResolverFile(Array(text.utf8)) }

    private func addresses(_ texts: String...) -> [IPAddress] { texts.compactMap { IPAddress($0) } }

    @Test(
        "A resolver's line is taken, or passed over",
        arguments: [
            ("nameserver 192.0.2.1", "192.0.2.1"), ("nameserver\t2001:db8::1  ", "2001:db8::1"),
            ("nameserver 192.0.2.1 192.0.2.2", "192.0.2.1"), ("nameserver fe80::1%eth0", "fe80::1%eth0"),
            ("nameserver 192.0.2.1\r", "192.0.2.1"), ("nameserver", nil), ("nameserver host.example", nil),
            (" nameserver 192.0.2.1", nil), ("#nameserver 192.0.2.1", nil), ("; nameserver 192.0.2.1", nil),
            ("nameserver 0.0.0.0", nil), ("nameserver fe80::1%aninterfacewithalongname", nil),
            ("Nameserver 192.0.2.1", nil), ("nameservers 192.0.2.1", nil),
        ] as [(String, String?)])
    func servers(line: String, expected: String?) {
        let found = file("# first\n\(line)\noptions rotate\n").servers
        #expect(
            found.map { $0.address.description + ($0.zone.map { "%\($0)" } ?? "") } == [expected].compactMap(\.self))
    }

    @Test("The last search list counts, ndots is at most 15, and no server is taken twice")
    func options() {
        let found = file(
            """
            domain one.example
            search two.example. THREE.example .
            nameserver 192.0.2.1
            nameserver 192.0.2.1
            options timeout:1 ndots:99
            options attempts:2 ndots:x ndots:300
            """)
        #expect(found.search == ["two.example", "three.example"])
        #expect(found.dots == 15)
        #expect(found.servers.count == 1)
        let many = file((1...20).map { "nameserver 192.0.2.\($0)\n" }.joined())
        #expect(many.servers.count == ResolverSettings.mostResolvers)
    }

    @Test("Short names are tried in the domains of the search list first, whole ones as they are")
    func spellings() {
        let settings = ResolverSettings(search: ["a.example", "b.example"])
        #expect(settings.spellings(of: "host") == ["host.a.example", "host.b.example", "host"])
        #expect(settings.spellings(of: "x.host") == ["x.host", "x.host.a.example", "x.host.b.example"])
        #expect(settings.spellings(of: "host.") == ["host"])
        let long = String(repeating: "a", count: 250)
        #expect(settings.spellings(of: long) == [long])
    }

    @Test("All lines of a hosts file that have a name count, whatever its case and whether a dot ends it")
    func hosts() {
        let text = """
            # 192.0.2.9 server.example
            192.0.2.1\tother.example Server.Example # server.example.
            2001:db8::1 server.example. third_one
            192.0.2.1 server.example
            fe80::1%eth0 server.example
            0.0.0.0 server.example
            nonsense server.example
            192.0.2.7 third_one\r
            """
        let found = HostsFile.addresses(of: ["server.example", "third_one", "absent"], in: Array(text.utf8))
        #expect(
            found == [
                "server.example": addresses("192.0.2.1", "2001:db8::1"),
                "third_one": addresses("2001:db8::1", "192.0.2.7"),
            ])
        #expect(HostsFile.addresses(of: [], in: Array(text.utf8)).isEmpty)
        let many = (1...200).map { "192.0.2.\($0) many\n" }.joined()
        #expect(HostsFile.addresses(of: ["many"], in: Array(many.utf8))["many"]?.count == HostsFile.mostAddresses)
    }

    @Test("Whatever bytes a file has, reading it ends, and what is taken is bounded")
    func randomBytes() {
        var random = SeededGenerator.fresh()
        let words = [
            "nameserver", "search", "domain", "options", "ndots:3", "192.0.2.1", "fe80::1%a", "\n", " ", "\t", "#",
            "\0", "é",
        ]
        for _ in 0..<2000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0..<60, using: &random) {
                if Bool.random(using: &random) {
                    bytes.append(.random(in: 0...255, using: &random))
                } else {
                    bytes += Array((words.randomElement(using: &random) ?? " ").utf8)
                }
            }
            let file = ResolverFile(bytes)
            #expect(file.servers.count <= ResolverSettings.mostResolvers, "seed \(random.seed)")
            #expect(file.search.count <= ResolverSettings.mostDomains && file.dots <= 15, "seed \(random.seed)")
            _ = HostsFile.addresses(of: ["192.0.2.1", "search", "a"], in: bytes)
        }
    }

    @Test(
        "Addresses alternate, IPv6 first, unless a family leads nowhere",
        arguments: [
            ([.v4, .v6], ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]),
            ([], ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]),
            ([.v4], ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"]),
            ([.v6], ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ] as [(Set<IPAddress.Family>, [String])])
    func order(ways: Set<IPAddress.Family>, expected: [String]) {
        let all = addresses("192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.1", "192.0.2.3", "2001:db8::2")
        #expect(AddressOrder.arranged(all, ways: ways).map(\.description) == expected)
    }
}
