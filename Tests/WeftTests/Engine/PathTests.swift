// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft

@Suite("Ways of whole frames")
struct PathTests {
    private static let room = 128
    private static let hop = MACAddress(bits: 0x0200_0000_0099)

    /// An engine that moves frames and knows no way yet.
    private func engine() throws -> Engine {
        var end = End(.left)
        end.layer2 = true
        let engine = try end.engine()
        engine.updatePaths([.vni(End.vni): UnderlayPath()])
        return engine
    }

    private func seal(_ lane: inout Lane, _ frame: inout [UInt8]) -> Lane.Outcome {
        let count = frame.count
        return frame.withMutableBytes { bytes in
            lane.encapsulate(
                inPlace: &bytes, packet: Self.room..<count - Geneve.tagLength, as: .frame, at: End.start)
        }
    }

    private func frame() -> [UInt8] {
        let ethernet = [UInt8](repeating: 2, count: 12) + [8, 0]
        return [UInt8](repeating: 0, count: Self.room) + ethernet + Packets.udp(from: .left)
            + [UInt8](repeating: 0, count: Geneve.tagLength)
    }

    @Test("Without one a frame is a drop, or a datagram for the kernel where the driver wants that")
    func none() throws {
        var lane = try Lane(engine())
        var bytes = frame()
        #expect(seal(&lane, &bytes) == .dropped(.noUnderlayAddress))
        lane.sealsDatagramsWithoutPath = true
        bytes = frame()
        let text = Self.room + OuterHeaders.ethernetLength
        let end = bytes.count
        #expect(seal(&lane, &bytes) == .forward(text - Geneve.headerLength..<end))
        #expect(lane.lastEndpoint == End(.left).remote)
        #expect(lane.lastNetwork == .vni(End.vni))
        // Nothing in front of a datagram is touched.
        #expect(bytes[..<(text - Geneve.headerLength)].dropFirst(Self.room).allSatisfy { $0 == 2 })
        #expect(bytes[text - Geneve.headerLength] == 0x06)
    }

    @Test("A lane takes a new way with its next look, and frames bear it")
    func change() throws {
        let engine = try engine()
        var lane = try Lane(engine)
        lane.sealsDatagramsWithoutPath = true
        let local = LocalAddress(IPAddress(v4: 0xC000_0207), prefixLength: 24, mac: MACAddress(bits: 0x0200_0000_0042))
        engine.updatePaths([.vni(End.vni): UnderlayPath(local: local, nextHop: Self.hop), .vni(4711): UnderlayPath()])
        lane.refresh()
        var bytes = frame()
        guard case .forward(let place) = seal(&lane, &bytes) else {
            Issue.record("not sealed")
            return
        }
        #expect(lane.lastEndpoint == nil)
        #expect(Array(bytes[place].prefix(14)) == [2, 0, 0, 0, 0, 0x99, 2, 0, 0, 0, 0, 0x42, 8, 0])
        #expect(Array(bytes[place].dropFirst(26).prefix(4)) == [192, 0, 2, 7])
        #expect(engine.networks()[0].nextHop == Self.hop)
        // The same again is no change.
        let generation = engine.generation.load(ordering: .relaxed)
        engine.updatePaths([.vni(End.vni): UnderlayPath(local: local, nextHop: Self.hop)])
        #expect(engine.generation.load(ordering: .relaxed) == generation)
    }
}
