// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Outer headers")
struct OuterHeaderTests {
    @Test("checksums: UDP's on IPv4 only where asked for, on IPv6 always", arguments: [false, true])
    func checksums(asked: Bool) throws {
        var generator = SeededGenerator.fresh()
        for outer in IPAddress.Family.allCases {
            var end = End(.left)
            (end.outer, end.udpChecksum) = (outer, asked)
            var lane = try Lane(try end.engine())
            for _ in 0..<200 {
                let packet = Packets.random(from: .left, .v4, longest: 300, using: &generator)
                let frame = lane.seal(packet, at: End.start).bytes
                let udp = outer == .v4 ? 34 : 54
                if outer == .v4 { #expect(Reference.sum(frame[14..<34]) == 0xFFFF) }
                let checksum: UInt16 = frame.word(udp + 6)
                #expect((checksum != 0) == (asked || outer == .v6))
                guard checksum != 0 else { continue }
                let pseudo = Reference.pseudoHeader(
                    end.local.address.bytes, end.remote.address.bytes, length: frame.count - udp, proto: 17)
                #expect(Reference.sum(pseudo + frame[udp...]) == 0xFFFF, "seed \(generator.seed)")
            }
        }
    }

    @Test("the sum of any bytes, and of a pseudo-header, is the naive one")
    func sums() {
        var generator = SeededGenerator.fresh()
        for count in Array(0..<70) + [1399, 1400, 65_535] {
            for fill in [nil, 0, 0xFF] as [UInt8?] {
                let bytes = (0..<count).map { _ in fill ?? UInt8.random(in: 0...255, using: &generator) }
                let source = IPAddress(v6: generator.next(), generator.next())
                let destination = IPAddress(v6: generator.next(), .max)
                #expect(Checksum.fold(Checksum.sum(unsafe bytes.span.bytes)) == Reference.sum(bytes))
                let pseudo = Checksum.pseudoHeader(source, destination, length: count, proto: 58)
                let reference = Reference.pseudoHeader(source.bytes, destination.bytes, length: count, proto: 58)
                #expect(
                    Checksum.fold(Checksum.sum(unsafe bytes.span.bytes, from: pseudo))
                        == Reference.sum(reference + bytes),
                    "seed \(generator.seed), \(count) bytes")
            }
        }
    }

    private static func local(_ text: String, _ length: Int) throws -> LocalAddress {
        LocalAddress(try #require(IPAddress(text)), prefixLength: length, mac: MACAddress(bits: UInt64(length)))
    }

    @Test(
        "our address towards a peer: of its family, on its network, the narrowest; else the first",
        arguments: [
            ("192.0.2.9", "192.0.2.1"), ("192.0.2.129", "192.0.2.130"), ("198.51.100.1", "10.0.0.1"),
            ("10.9.9.9", "10.0.0.1"), ("2001:db8::9", "2001:db8::1"), ("2001:db9::9", "fe80::1"),
        ])
    func localAddress(remote: String, expected: String) throws {
        let candidates = [
            try Self.local("10.0.0.1", 8), try Self.local("fe80::1", 64), try Self.local("192.0.2.1", 24),
            try Self.local("192.0.2.130", 25), try Self.local("2001:db8::1", 64),
        ]
        let remote = try #require(IPAddress(remote))
        #expect(LocalAddress.best(for: remote, among: candidates)?.address.description == expected)
        let others = candidates.filter { $0.address.family != remote.family }
        #expect(LocalAddress.best(for: remote, among: others) == nil)
        #expect(LocalAddress.best(for: remote, among: []) == nil)
    }

    @Test("no frame without addresses on both sides; a datagram needs the endpoint only")
    func addressesUnknown() throws {
        let packet = Packets.udp(from: .left)
        var configuration = End(.left).configuration
        var network = End(.left).network
        for missing in 0..<3 {
            configuration.localAddresses = missing == 0 ? [] : End(.left).configuration.localAddresses
            network.endpointMAC = missing == 1 ? nil : End.Side.right.mac
            network.endpoint = missing == 2 ? Endpoint(End.Side.right.underlay(.v6), port: 6081) : End(.left).remote
            let engine = try Engine(configuration)
            try engine.add(network)
            try engine.install(Keys.pair(.left, epoch: 1), for: .vni(End.vni), at: End.start)
            var lane = try Lane(engine)
            #expect(lane.seal(packet, at: End.start).outcome == "dropped noUnderlayAddress")
            #expect(lane.sealInPlace(packet, at: End.start).outcome == "dropped noUnderlayAddress")
            let sealed = lane.seal(packet, as: .datagram, at: End.start)
            // The drops took no counter.
            #expect(sealed.outcome == "forward" && sealed.bytes.word(24, as: UInt64.self) == 1)
        }
    }

    @Test("the peer's underlay address is checked where asked for, in datagrams and frames; its port isn't")
    func sourceCheck() throws {
        var end = End(.right)
        let packet = Packets.udp(from: .left)
        let stranger = IPAddress(v4: 0xC000_02FF)
        for checks in [false, true] {
            end.checksUnderlaySource = checks
            var sender = End(.left)
            sender.hashesSourcePort = true
            var sealer = try Lane(try sender.engine())
            let engine = try end.engine()
            var lane = try Lane(engine)
            let frame = sealer.seal(packet, at: End.start).bytes
            #expect(lane.open(frame, at: End.start).bytes == packet)
            for source in [stranger, nil, End.Side.left.underlay(.v6)] {
                let datagram = sealer.seal(packet, as: .datagram, at: End.start).bytes
                let opened = lane.open(datagram, from: source, as: .datagram, at: End.start)
                #expect(opened.outcome == (checks ? "dropped wrongUnderlaySource" : "forward"))
            }
            let datagram = sealer.seal(packet, as: .datagram, at: End.start).bytes
            let source = End.Side.left.underlay(.v4)
            #expect(lane.open(datagram, from: source, as: .datagram, at: End.start).bytes == packet)
        }
    }
}
