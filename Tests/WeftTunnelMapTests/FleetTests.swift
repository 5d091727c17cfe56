// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Testing
import Weft

@testable import WeftTunnelMap

struct MapFileTests {
    static let good = """
        {"name": "m", "agent": "a", "interface": "overlay", "local": ["192.0.2.1", "fd00::1"],
         "devices": {"vxlan": "vxlan0", "geneve-direct": "eth0"}, "decapsulate": ["eth0"],
         "peers": {"b": {"probe": "192.0.2.2"}}, "key": "/key", "health": {"intervalMilliseconds": 100},
         "announce": {"prefixes": ["10.1.0.0/16"], "vni": 7, "probe": "192.0.2.1"},
         "prefixes": [{"prefix": "10.2.0.0/16", "neverInTheClear": true,
           "nexthops": [{"peer": "b", "remote": "192.0.2.2", "vni": 7},
                        {"remote": "fd00::3", "protocol": "geneve-direct", "weight": 3}]}]}
        """

    static func parse(_ text: String) throws(MapFileError) -> MapFile {
        try MapFile.parse(Data(text.utf8), place: "map.json")
    }

    @Test func readsAll() throws {
        let file = try Self.parse(Self.good)
        #expect(file.name == "m" && file.agent == "a" && file.capacity == 16_384)
        #expect(file.probing.interval == .milliseconds(100) && file.probing.threshold == 3)
        let nexthops = try #require(file.entries.first).nexthops
        #expect(nexthops[0].interface == "vxlan0" && nexthops[0].local == IPAddress("192.0.2.1") && nexthops[0].setsKey)
        #expect(nexthops[1].peer == "fd00::3" && nexthops[1].local == IPAddress("fd00::1") && nexthops[1].weight == 3)
        #expect(nexthops[1].interface == "eth0" && nexthops[1].isUnderlayV6)
        #expect(file.probes == ["b": try #require(IPAddress("192.0.2.2"))])
    }

    @Test(arguments: [
        ("{", "JSON"), ("[]", "expected"), ("{}", "interface is missing"),
        (#"{"interface": "o", "intreface": "x"}"#, #"unknown key "intreface""#),
        (#"{"interface": 7}"#, "interface: expected String"),
        (#"{"interface": "o", "local": ["192.0.2.1", "192.0.2.2"]}"#, "at most one address of each family"),
        (#"{"interface": "o", "local": ["x"]}"#, #"local: "x" is no IP address"#),
        (#"{"interface": "o", "devices": {"gre": "x"}}"#, "expected one of vxlan, geneve, ipip"),
        (#"{"interface": "o", "peers": {"b": {"probe": "192.0.2.2"}}}"#, "key is missing"),
        (#"{"interface": "o", "agent": "a b"}"#, "agent: \"a b\" is no name"),
        (#"{"interface": "o", "key": "k", "peers": {"b/c": {"probe": "192.0.2.2"}}}"#, "peers: a name has"),
        (#"{"interface": "o", "fleet": {"protocols": ["gre"]}}"#, "fleet.protocols"),
        (#"{"interface": "o", "fleet": {"protocol": []}}"#, "unknown key"),
        (
            #"{"interface": "o", "prefixes": [{"prefix": "10.0.0.0/8", "nexthops": [{"peer": "\u001b[2J"}]}]}"#,
            "nexthops[0]: peer: a name has"
        ),
        (#"{"interface": "o", "capacity": 0}"#, "capacity: expected 1"),
        (#"{"interface": "o", "key": "k", "health": {"threshold": 0}}"#, "health.threshold: expected 1 to 100"),
        (#"{"interface": "o", "prefixes": [{"nexthops": []}]}"#, "prefixes[0]: prefix is missing"),
        (#"{"interface": "o", "prefixes": [{"prefix": "10.0.0.0/33", "nexthops": []}]}"#, "is no prefix"),
        (
            #"{"interface": "o", "prefixes": [{"prefix": "10.0.0.0/8", "nexthops": [{}]}]}"#,
            "nexthops[0]: expected a peer's name"
        ),
        (
            #"{"interface": "o", "prefixes": [{"prefix": "10.0.0.0/8", "nexthops": [{"remote": "192.0.2.2"}]}]}"#,
            "devices names none for vxlan"
        ),
        (
            #"{"interface": "o", "prefixes": [{"prefix": "10.0.0.0/8", "nexthops": [{"remote": "192.0.2.2", "interface": "v", "vni": 16777216}]}]}"#,
            "VNI 16777216"
        ),
        (
            #"{"interface": "o", "prefixes": [{"prefix": "10.0.0.0/8", "nexthops": [{"remote": "192.0.2.2", "interface": "v", "protocol": "geneve-direct"}]}]}"#,
            "needs a local address"
        ),
    ])
    func saysWhatIsWrong(_ text: String, _ words: String) {
        do throws(MapFileError) {
            _ = try Self.parse(text)
            Issue.record("took \(text)")
        } catch {
            #expect(error.description.contains(words) && error.description.hasPrefix("map.json"), "\(error)")
        }
    }
}

struct FleetTests {
    private static let root = "/w/"
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func file(_ more: String = "") throws -> MapFile {
        try MapFileTests.parse(
            """
            {"agent": "a", "interface": "overlay", "local": ["192.0.2.1"], "devices": {"vxlan": "vxlan0"},
             "key": "/key"\(more)}
            """)
    }

    private func fleet(_ items: [String: String]) throws -> Fleet {
        var fleet = Fleet(root: Self.root)
        for (key, value) in items { try fleet.put(Self.root + key, Array(value.utf8)) }
        return fleet
    }

    private func wish(_ fleet: Fleet, _ file: MapFile) -> [String: [String]] {
        let wish = fleet.wish(of: file, at: now) { _ in true }
        return Dictionary(
            uniqueKeysWithValues: wish.entries.map { ($0.prefix.description, $0.nexthops.map(\.peer).sorted()) })
    }

    private let agents = [
        "agents/a": #"{"remote": ["192.0.2.1"], "prefixes": {"10.1.0.0/16": 1, "10.9.0.0/16": 1}}"#,
        "agents/b":
            #"{"remote": ["192.0.2.2"], "vni": 7, "probe": "192.0.2.2", "prefixes": {"10.2.0.0/16": 1, "10.8.0.0/16": 2}}"#,
        "agents/c":
            #"{"remote": ["192.0.2.3"], "prefixes": {"10.8.0.0/16": 1, "10.9.0.0/16": 1}, "neverInTheClear": true}"#,
    ]

    @Test func announcementsBecomeEntries() throws {
        let fleet = try fleet(agents)
        // 10.9 is our own as well.
        #expect(try wish(fleet, file()) == ["10.2.0.0/16": ["b"], "10.8.0.0/16": ["b", "c"]])
        let wish = fleet.wish(of: try file(), at: now) { _ in true }
        #expect(wish.probes == ["b": try #require(IPAddress("192.0.2.2"))] && wish.complaints.isEmpty)
        let shared = try #require(wish.entries.first { $0.prefix.description == "10.8.0.0/16" })
        #expect(shared.neverInTheClear && shared.nexthops.first { $0.peer == "b" }?.weight == 2)
        #expect(shared.nexthops.first { $0.peer == "b" }?.vni == 7)
    }

    @Test func fileComesBeforePrefixesBeforeAnnouncements() throws {
        var items = agents
        items["prefixes/10.2.0.0/16"] = #"{"nexthops": [{"peer": "c"}]}"#
        items["prefixes/10.7.0.0/16"] = #"{"nexthops": [{"peer": "a"}, {"peer": "b"}]}"#
        items["prefixes/10.6.0.0/16"] = #"{"nexthops": [{"peer": "a"}]}"#
        let own =
            #", "prefixes": [{"prefix": "10.8.0.0/16", "nexthops": [{"peer": "x", "remote": "192.0.2.9"}]}]"#
        #expect(
            try wish(fleet(items), file(own))
                == ["10.2.0.0/16": ["c"], "10.7.0.0/16": ["b"], "10.8.0.0/16": ["x"]])
    }

    @Test func whatMustNotLeaveInTheClearIsDroppedWhenItsServersAreGone() throws {
        var fleet = try fleet(agents)
        fleet.delete(Self.root + "agents/b", at: now)
        fleet.delete(Self.root + "agents/c", at: now)
        // b is probed: probes will say whether it is alive.
        #expect(try wish(fleet, file()) == ["10.2.0.0/16": ["b"], "10.8.0.0/16": ["b"]])
        let later = now.advanced(by: .seconds(31))
        #expect(fleet.changes(between: now, and: later))
        let after = fleet.wish(of: try file(), at: later) { _ in true }
        #expect(after.entries.map(\.prefix.description) == ["10.8.0.0/16"] && after.entries[0].nexthops.isEmpty)
        let entry = try #require(fleet.wish(of: try file(), at: later) { _ in true }.entries.first)
        #expect(entry.neverInTheClear)
        try fleet.put(Self.root + "agents/c", Array(#"{"remote": ["192.0.2.3"], "prefixes": {}}"#.utf8))
        #expect(fleet.wish(of: try file(), at: later) { _ in true }.entries.isEmpty)
    }

    @Test func badValuesChangeNothing() throws {
        var fleet = try fleet(agents)
        let before = try wish(fleet, file())
        for (key, value) in [
            ("agents/b", "{"), ("agents/b", "7"), ("agents/", "{}"), ("other", "{}"), ("prefixes/10.0.0.0/40", "{}"),
            ("prefixes/10.2.0.0/16", "{}"), ("prefixes/10.2.0.0/16", #"{"prefix": "10.3.0.0/16", "nexthops": []}"#),
        ] {
            #expect(throws: MapFileError.self) { try fleet.put(Self.root + key, Array(value.utf8)) }
        }
        fleet.delete("elsewhere", at: now)
        #expect(try wish(fleet, file()) == before)
        // Readable, but wrong: it is left out, and complained of.
        try fleet.put(
            Self.root + "prefixes/10.5.0.0/16", Array(#"{"nexthops": [{"remote": "192.0.2.5", "weight": 0}]}"#.utf8))
        #expect(try wish(fleet, file()) == before)
        #expect(fleet.wish(of: try file(), at: now) { _ in true }.complaints.count == 1)
        #expect(fleet.wish(of: try file(), at: now) { _ in false }.entries.isEmpty)
    }
}
