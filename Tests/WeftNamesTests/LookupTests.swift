// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestResolver
import Testing
import Weft
import WeftDNS
import WeftTestSupport

@testable import WeftNames

/// The machine with c-ares and ordinary sockets, against a resolver on this host.
@Suite("Look-ups over sockets", .serialized)
struct LookupTests {
    private static let one = [IPAddress(v4: 0xC000_0201), IPAddress(v6: 0x2001_0DB8_0000_0000, 1)]

    /// Names of which each test takes its own, and files that it writes.
    private final class Fixture {
        let server: DNSServer
        let folder: String
        let names: LocalNames
        private let lines = Lines()
        private var thread: Thread?
        private(set) var places: [UInt32: [String]] = [:]
        private(set) var failures: [UInt32: String] = [:]

        final class Lines { var all: [String] = [] }

        init(_ zone: [String: DNSServer.Answer]) throws {
            server = try DNSServer(zone)
            folder = NSTemporaryDirectory() + "weft-names-\(UUID().uuidString.prefix(8))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            var places = SystemNames.Places()
            places.hosts = folder + "/hosts"
            places.resolvers = folder + "/resolv.conf"
            places.upstreams = folder + "/upstreams"
            let lines = lines
            names = try LocalNames(files: places, port: server.port) { lines.all.append($0) }
            let server = server
            let thread = Thread { server.run() }
            thread.start()
            self.thread = thread
        }

        deinit {
            server.close()
            try? FileManager.default.removeItem(atPath: folder)
        }

        func write(_ text: String, to name: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
        }

        func set(_ hosts: [UInt32: String], resolvers: [IPAddress] = []) {
            names.set(hosts.mapValues { ($0, 6081) }, resolvers: resolvers, at: SystemCall.now())
        }

        /// Runs until that holds.
        func until(_ what: String, within seconds: Double = 30, _ holds: () -> Bool) throws {
            let end = SystemCall.now().advanced(by: .seconds(seconds))
            while !holds() {
                let now = SystemCall.now()
                guard now < end else { throw Failed(what: "\(what): \(places) \(failures) \(lines.all)") }
                for change in names.advance(to: now) {
                    places[change.peer] = change.places.map(\.description)
                    failures[change.peer] = change.failure
                }
                usleep(5000)
            }
        }

        struct Failed: Error { let what: String }
    }

    private static let loopback = IPAddress(v4: 0x7F00_0001)

    @Test("find names by a named resolver, whatever others do")
    func found() throws {
        let fixture = try Fixture([
            "good.example": .addresses(Self.one), "_under.example": .addresses(Self.one), "absent.example": .code(3),
            "none.example": .addresses([]), "refused.example": .code(5), "silent.example": .silence,
            "nonsense.example": .nonsense([0x81, 0x80, 0xFF, 0xFF, 0xFF]), "cut.example": .truncated(Self.one),
            "forged.example": .forged(Self.one), "alias.example": .aliases(["b.example", "c.example"], Self.one),
            "nowhere.example": .aliases(["b.example"], []), "failed.example": .code(2),
            "six.example": .addresses([Self.one[1]]),
        ])
        fixture.set(
            [
                1: "good.example", 2: "_under.example.", 3: "absent.example", 4: "none.example", 5: "refused.example",
                6: "silent.example", 7: "nonsense.example", 8: "cut.example", 9: "forged.example", 10: "GOOD.example",
                11: "alias.example",
                12: "nowhere.example", 13: "failed.example", 14: "six.example",
            ], resolvers: [Self.loopback])
        try fixture.until("good names") { [1, 2, 8, 10, 11].allSatisfy { fixture.places[$0]?.count == 2 } }
        #expect(fixture.places[1] == ["[2001:db8::1]:6081", "192.0.2.1:6081"])
        #expect(fixture.places[11] == fixture.places[1])
        try fixture.until("a name without an IPv4 address") { fixture.places[14] == ["[2001:db8::1]:6081"] }
        try fixture.until("bad names") { [3, 4, 5, 6, 7, 9, 12, 13].allSatisfy { fixture.failures[$0] != nil } }
        #expect(fixture.failures[3]?.contains("no such name") == true)
        #expect(fixture.failures[4]?.contains("no address") == true)
        #expect(fixture.failures[5]?.contains("refuses") == true)
        #expect(fixture.failures[12]?.contains("no address") == true)
        #expect(fixture.failures[13]?.contains("refuses") == true && fixture.failures[14] == nil)
        #expect(fixture.failures[6] == "no answer from 127.0.0.1")
        #expect(fixture.places[9] == [] && fixture.places[7] == [], "what nobody asked for isn't believed")
    }

    @Test("ask by TCP where no datagram holds the answer, and take what a datagram holds where nobody answers by TCP")
    func streams() throws {
        let many = (1...60).map { IPAddress(v4: 0xC000_0200 + $0) }
        let fixture = try Fixture(["long.example": .long(many), "cut.example": .truncated(Self.one)])
        let streams = try DNSStreamServer(fixture.server)
        let thread = Thread { streams.run() }
        thread.start()
        fixture.set([1: "long.example", 2: "cut.example"], resolvers: [Self.loopback])
        try fixture.until("all of a long answer") { (fixture.places[1]?.count ?? 0) == HostsFile.mostAddresses }
        try fixture.until("the other") { fixture.places[2]?.count == 2 }
    }

    @Test(
        "don't wait for a resolver's TCP that is silent or says nonsense",
        arguments: [[], [0, 3, 1, 2, 3], [255, 255, 1]])
    func badStreams(answer: [UInt8]) throws {
        let fixture = try Fixture(["cut.example": .truncated(Self.one)])
        let listener = try RawListener(beside: fixture.server, answer: answer)
        defer { listener.close() }
        fixture.set([1: "cut.example"], resolvers: [Self.loopback])
        try fixture.until("what a datagram holds") { fixture.places[1]?.count == 2 }
    }

    /// Takes connections at a resolver's port, and says always the same.
    private final class RawListener: Sendable {
        private let descriptor: Int32

        init(beside server: DNSServer, answer: [UInt8]) throws {
            let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            descriptor = raw
            var own = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = unsafe withUnsafeMutablePointer(to: &own) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe getsockname(server.raw, $0, &size) == 0 ? bind(raw, $0, size) : -1
                }
            }
            guard status == 0, listen(raw, 8) == 0 else { throw TransportError("listen", code: errno) }
            Thread {
                while case let connection = accept(raw, nil, nil), connection >= 0 {
                    if !answer.isEmpty { _ = unsafe send(connection, answer, answer.count, Int32(MSG_NOSIGNAL)) }
                }
            }.start()
        }

        func close() {
            shutdown(descriptor, Int32(SHUT_RDWR))
            _ = Glibc.close(descriptor)
        }
    }

    @Test("go on with the next resolver where the first isn't there")
    func nextResolver() throws {
        let fixture = try Fixture(["good.example": .addresses(Self.one)])
        // At the other address of this host nobody listens, which it says at once.
        fixture.set([1: "good.example"], resolvers: [IPAddress(v4: 0x7F00_0002), Self.loopback])
        let begin = SystemCall.now()
        try fixture.until("the name") { fixture.places[1]?.count == 2 }
        #expect(SystemCall.now() < begin.advanced(by: .seconds(9)))
    }

    @Test("follow the hosts file and resolv.conf when these change")
    func files() throws {
        let fixture = try Fixture([
            "server.example": .addresses(Self.one), "short.search.example": .addresses(Self.one),
        ])
        fixture.set([1: "server.example", 2: "short"])
        try fixture.until("what to do without a resolver") {
            fixture.failures[1]?.contains("no resolver is known") == true
        }
        try fixture.write("198.51.100.7 Server.Example\n", to: "hosts")
        try fixture.until("the hosts file's address") { fixture.places[1] == ["198.51.100.7:6081"] }
        try fixture.write("nameserver 127.0.0.1\nsearch search.example\n", to: "resolv.conf")
        try fixture.until("the short name") { fixture.places[2]?.count == 2 }
        try fixture.write("\n", to: "hosts")
        try fixture.until("the resolver's addresses") { fixture.places[1]?.count == 2 }
        fixture.server.zone.withLock { $0["server.example"] = .addresses([IPAddress(v4: 0xC000_0209)]) }
        try fixture.until("the new address of a silent peer") {
            fixture.names.want(1)
            return fixture.places[1] == ["192.0.2.9:6081"]
        }
    }

    @Test("pass over the host's own resolver for those that it asks")
    func upstreams() throws {
        let fixture = try Fixture([:])
        try fixture.write("nameserver 127.0.0.53\noptions edns0 trust-ad\n", to: "resolv.conf")
        let places = {
            var places = SystemNames.Places()
            places.hosts = fixture.folder + "/hosts"
            places.resolvers = fixture.folder + "/resolv.conf"
            places.upstreams = fixture.folder + "/upstreams"
            return places
        }()
        let files = SystemNames(places: places)
        files.set(["a"], resolvers: [])
        let later = SystemCall.now()
        _ = files.changed(at: later)
        #expect(files.settings.resolvers.map(\.description) == ["127.0.0.53"] && files.settings.isLastResort)
        try fixture.write("nameserver 192.0.2.53\nnameserver ::1\nnameserver fe80::1%lo\n", to: "upstreams")
        #expect(files.changed(at: later.advanced(by: .seconds(2))))
        #expect(
            files.settings.resolvers.map(\.description) == ["192.0.2.53", "fe80::1"] && !files.settings.isLastResort)
        #expect(files.servers.last?.zone == "lo")
        files.set(["a"], resolvers: [Self.loopback])
        _ = files.changed(at: later.advanced(by: .seconds(4)))
        #expect(files.settings.resolvers == [Self.loopback] && !files.settings.isLastResort)
    }

    @Test("ask nobody who isn't a resolver, send only questions, and only so many")
    func sockets() throws {
        let server = try DNSServer([:])
        let sockets = DNSSockets(port: server.port)
        sockets.setServers([.init(Self.loopback)])
        let now = SystemCall.now()
        let question = [7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1] as [UInt8]
        #expect(DNSQuestion.isOne(question))
        #expect(sockets.send(question, by: 1, to: IPAddress(v4: 0xC000_0201), over: .datagram, at: now) == .failed)
        var changed = question
        for (index, value) in [(2, 0x81), (2, 0x29), (2, 0x03), (5, 2), (7, 1), (9, 1), (4, 1)] as [(Int, UInt8)] {
            changed = question
            changed[index] = value
            #expect(
                sockets.send(changed, by: 1, to: Self.loopback, over: .datagram, at: now) == .refused,
                "\(index) \(value)")
        }
        for bad in [[], Array(question.prefix(16)), question + [UInt8](repeating: 0, count: 512)] {
            #expect(sockets.send(bad, by: 1, to: Self.loopback, over: .datagram, at: now) == .refused)
        }
        #expect(sockets.descriptors.isEmpty)
        for number in 0..<100 as Range<UInt32> {
            _ = sockets.send(question, by: number, to: Self.loopback, over: .datagram, at: now)
        }
        #expect(sockets.descriptors.count == DNSSockets.most)
        for _ in 0..<5000 { _ = sockets.send(question, by: 1, to: Self.loopback, over: .datagram, at: now) }
        var arrived = 0
        var buffer = [UInt8](repeating: 0, count: 512)
        while unsafe recv(server.raw, &buffer, buffer.count, 0) > 0 { arrived += 1 }
        #expect((1...DNSSockets.burst).contains(arrived))
        sockets.setServers([])
        #expect(sockets.descriptors.isEmpty)
    }
}
