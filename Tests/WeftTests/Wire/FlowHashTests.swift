// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Flow hash and source port")
struct FlowHashTests {
    private static func hash(_ packet: [UInt8], key: UInt64 = 1) -> UInt16 {
        FlowHash(key: key).hash(unsafe packet.span.bytes)
    }

    @Test("every hash gives a port of 49152...65535, and every such port occurs")
    func range() {
        let ports = Set((0...UInt16.max).map { FlowHash.port(of: $0) })
        #expect(ports == Set(49152...65535))
    }

    @Test("both directions hash alike, other flows and keys differently", arguments: IPAddress.Family.allCases)
    func symmetry(family: IPAddress.Family) {
        var generator = SeededGenerator.fresh()
        var flows: Set<UInt16> = []
        var keys: Set<UInt16> = []
        for _ in 0..<500 {
            let hosts = (
                Packets.host(.left, family, .random(in: 1...500, using: &generator)),
                Packets.host(.right, family, .random(in: 1...500, using: &generator))
            )
            let ports = (
                UInt16.random(in: 1...0xFFFF, using: &generator), UInt16.random(in: 1...0xFFFF, using: &generator)
            )
            let there = Packets.udp(hosts.0, hosts.1, count: 64, ports: ports)
            let back = Packets.udp(hosts.1, hosts.0, count: 900, ports: (ports.1, ports.0))
            #expect(Self.hash(there) == Self.hash(back), "seed \(generator.seed)")
            flows.insert(Self.hash(there))
            keys.insert(Self.hash(back, key: generator.next()))
        }
        // 500 draws of 65,536 meet twice or so.
        #expect(flows.count > 470, "seed \(generator.seed)")
        #expect(keys.count > 470, "seed \(generator.seed)")
    }

    @Test("all fragments of a packet hash alike, and no port is read beyond a packet's end")
    func fragments() {
        let whole = Packets.udp(from: .left, count: 64)
        func fragment(_ flags: UInt16, ports: UInt8) -> [UInt8] {
            whole.replaced(6..<8, with: Packets.big(flags)).replaced(20..<24, with: [ports, 1, ports, 2])
        }
        let first = Self.hash(fragment(0x2000, ports: 1))
        #expect(Self.hash(fragment(0x2005, ports: 2)) == first)
        #expect(Self.hash(fragment(0x0009, ports: 3)) == first)
        #expect(Self.hash(fragment(0x4000, ports: 1)) != Self.hash(fragment(0x4000, ports: 2)))
        // A total length that leaves no room for ports, though the bytes behind it would.
        let short = whole.replaced(2..<4, with: [0, 23])
        #expect(Self.hash(short) == Self.hash(short.with(9, at: 21)))
        for count in 0..<20 { #expect(Self.hash(Array(whole[..<count])) == 0) }
    }

    @Test("a frame's source port is the flow's where asked for, and else ours")
    func framePort() throws {
        var end = End(.left)
        let packet = Packets.udp(from: .left)
        for hashes in [false, true] {
            end.hashesSourcePort = hashes
            for layer2 in [false, true] {
                end.layer2 = layer2
                let input = layer2 ? Packets.frame(packet) : packet
                var lane = try Lane(try end.engine())
                let expected = hashes ? FlowHash.port(of: Self.hash(packet)) : Geneve.port
                #expect(lane.seal(input, at: End.start).bytes.word(34) == expected)
                #expect(lane.sealInPlace(input, at: End.start).bytes.word(34) == expected)
            }
        }
    }
}
