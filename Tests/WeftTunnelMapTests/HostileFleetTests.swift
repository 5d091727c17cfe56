// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Testing
import Weft

@testable import WeftTunnelMap

/// Whoever can write to etcd may write anything: it costs that value, and nobody else's.
struct HostileFleetTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func file(_ more: String = "") throws -> MapFile {
        try MapFileTests.parse(
            """
            {"agent": "a", "interface": "overlay", "local": ["192.0.2.1"], "key": "/key",
             "devices": {"vxlan": "vxlan0", "geneve-direct": "eth0"}\(more)}
            """)
    }

    private func wish(_ items: [String: String], _ file: MapFile) -> Wish {
        var fleet = Fleet(root: "/w/")
        for (key, value) in items { try? fleet.put("/w/" + key, Array(value.utf8)) }
        return fleet.wish(of: file, at: now) { _ in true }
    }

    private func peers(_ wish: Wish, _ prefix: String) -> [String]? {
        wish.entries.first { $0.prefix.description == prefix }?.nexthops.map(\.peer).sorted()
    }

    private static let good = #"{"remote": ["192.0.2.2"], "vni": 7, "prefixes": {"10.8.0.0/16": 1}}"#

    @Test(arguments: [
        #"{"remote": ["192.0.2.9"], "prefixes": {"10.8.0.0/16": 0}}"#,
        #"{"remote": ["192.0.2.9"], "prefixes": {"10.8.0.0/16": 65536}}"#,
        #"{"remote": ["192.0.2.9"], "vni": 16777216, "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": ["192.0.2.9"], "protocol": "gre", "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": ["192.0.2.9"], "protocol": "plain", "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": [], "prefixes": {"10.8.0.0/16": 1}}"#, #"{"remote": ["x"], "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": ["224.0.0.1"], "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": ["127.0.0.1"], "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": ["192.0.2.1"], "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": ["0.0.0.0"], "prefixes": {"10.8.0.0/16": 1}}"#,
        // The same nexthop as the other's: the first by name has it.
        #"{"remote": ["192.0.2.2"], "vni": 7, "prefixes": {"10.8.0.0/16": 1}}"#,
        #"{"remote": ["192.0.2.9"], "prefixes": {"10.8.0.0/16": -1, "x": 1, "10.0.0.0/99": 3}}"#, "{}", "[]", "7", "",
    ])
    func aBadAgentCostsTheGoodOneNothing(_ value: String) throws {
        let found = wish(["agents/b": Self.good, "agents/c": value], try file())
        #expect(peers(found, "10.8.0.0/16") == ["b"], "\(found)")
    }

    @Test(arguments: [
        "a b", "a/b", "\u{1B}[2J", "", String(repeating: "a", count: 64), "ä", "a\nb", "a\u{0}b", "\u{FFFD}",
    ])
    func namesAreHarmless(_ name: String) throws {
        let found = wish(["agents/b": Self.good, "agents/\(name)": Self.good], try file())
        #expect(peers(found, "10.8.0.0/16") == ["b"])
    }

    @Test(arguments: [
        (#"{"peer": "b", "remote": "192.0.2.2", "protocol": "plain", "interface": "eth1"}"#, "fleet.protocols"),
        (#"{"peer": "b", "remote": "192.0.2.2", "interface": "eth1"}"#, "fleet.interfaces"),
        (#"{"peer": "b", "remote": "192.0.2.2", "local": "192.0.2.77"}"#, "none of this host's addresses"),
        (#"{"peer": "b c", "remote": "192.0.2.2"}"#, "a name has"),
        (#"{"remote": "255.255.255.255"}"#, "no host's address"), (#"{"remote": "192.0.2.1"}"#, "this host itself"),
    ])
    func theFileSaysWhatTheFleetMay(_ hop: String, _ words: String) throws {
        let text = #"{"nexthops": [\#(hop), {"remote": "192.0.2.3", "peer": "c"}]}"#
        let found = wish(["prefixes/10.9.0.0/16": text], try file())
        #expect(peers(found, "10.9.0.0/16") == ["c"])
        #expect(found.complaints.count == 1 && found.complaints[0].contains(words), "\(found.complaints)")
    }

    @Test func theFileMayAllowMoreAndLess() throws {
        let items = [
            "prefixes/10.9.0.0/16":
                #"{"nexthops": [{"remote": "192.0.2.3", "protocol": "plain", "interface": "eth1"}]}"#,
            "prefixes/10.7.0.0/16": #"{"nexthops": [{"remote": "192.0.2.3"}]}"#,
        ]
        let more = wish(items, try file(#", "fleet": {"protocols": ["plain"], "interfaces": ["eth1"]}"#))
        #expect(more.entries.map(\.prefix.description) == ["10.9.0.0/16"])
        #expect(wish(items, try file(#", "fleet": {"protocols": []}"#)).entries.isEmpty)
    }

    @Test func sendersAreTheFilesUnlessItSaysOtherwise() throws {
        let items = [
            "agents/b":
                #"{"remote": ["192.0.2.2"], "vni": 7, "protocol": "geneve-direct", "prefixes": {"10.8.0.0/16": 1}}"#
        ]
        let own =
            #", "prefixes": [{"prefix": "10.2.0.0/16", "nexthops": [{"remote": "192.0.2.5", "vni": 3, "protocol": "geneve-direct"}]}]"#
        #expect(wish(items, try file(own + #", "fleet": {"senders": true}"#)).senders == nil)
        let address = try #require(IPAddress("192.0.2.5"))
        for text in ["", #", "fleet": {}"#, #", "fleet": {"senders": false}"#] {
            let found = wish(items, try file(own + text))
            #expect(found.senders == [GeneveSender(address: address, vni: 3)] && found.entries.count == 2)
            #expect(found.complaints.isEmpty)
            let heard = wish(items, try file(own + text + #", "decapsulate": ["eth0"]"#))
            #expect(heard.complaints.count == 1 && heard.complaints[0].contains("senders"))
        }
    }

    @Test func whoAnnouncesTooMuchIsLeftOut() throws {
        let many = (0..<300).map { #""10.7.\#($0 / 250).\#($0 % 250)": 1"# }.joined(separator: ",")
        let items = ["agents/b": Self.good, "agents/a0": #"{"remote": ["192.0.2.9"], "prefixes": {\#(many)}}"#]
        let found = wish(items, try file(#", "capacity": 100"#))
        #expect(found.entries.map(\.prefix.description) == ["10.8.0.0/16"])
        #expect(found.complaints.count == 1 && found.complaints[0].contains("agents/a0"))
        #expect(wish(items, try file(#", "capacity": 301"#)).entries.count == 301)
    }

    @Test func prefixesBeyondTheRoomAreLeftOutAndTheFilesStay() throws {
        var items: [String: String] = [:]
        for number in 0..<50 { items["prefixes/10.7.\(number).0/24"] = #"{"nexthops": [{"remote": "192.0.2.3"}]}"# }
        let own = #", "capacity": 10, "prefixes": [{"prefix": "10.99.0.0/16", "nexthops": [{"remote": "192.0.2.5"}]}]"#
        let found = wish(items, try file(own))
        #expect(found.entries.count == 10 && found.entries[0].prefix.description == "10.99.0.0/16")
        #expect(found.complaints == ["41 prefixes in etcd are left out: there is room for 10"])
    }

    @Test func oldProbesHoldUntilAllSayTheNew() throws {
        func agent(_ number: Int, _ version: String = "") -> String {
            #"{"remote": ["192.0.2.\#(number)"], "probe": "192.0.2.\#(number)", "prefixes": {"10.\#(number).0.0/16": 1}\#(version)}"#
        }
        let new = #", "probeVersion": 2"#
        let mixed = wish(["agents/b": agent(2, new), "agents/c": agent(3)], try file())
        #expect(mixed.holdsOldProbes && mixed.newProbers == ["b"])
        let all = wish(["agents/b": agent(2, new), "agents/c": agent(3, new)], try file())
        #expect(!all.holdsOldProbes && all.newProbers == ["b", "c"])
        #expect(all.sources == Set(["192.0.2.2", "192.0.2.3"].compactMap { IPAddress($0) }))
        // Nothing is known of a peer that only the file names.
        let named = try file(#", "peers": {"d": {"probe": "192.0.2.4"}}"#)
        #expect(wish(["agents/b": agent(2, new)], named).holdsOldProbes)
        let alone = wish([:], try file())
        #expect(alone.sources == nil && alone.holdsOldProbes)
        #expect(AgentRecord(try file()).probeVersion == 2)
    }
}
