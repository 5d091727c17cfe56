// SPDX-License-Identifier: Apache-2.0
import Testing
import WeftTestSupport

@testable import Weft
@testable import WeftTUN

@Suite("The virtio-net header")
struct VirtioHeaderTests {
    @Test("its fields lie where virtio says, in the host's order")
    func layout() {
        var header = VirtioHeader(Samples.offload, headerLength: 40, isV4: true)
        let bytes = unsafe withUnsafeBytes(of: &header) { unsafe Array($0) }
        #expect(bytes == [1, 1, 40, 0, 100, 0, 20, 0, 16, 0])
        #expect(MemoryLayout<VirtioHeader>.size == VirtioHeader.length)
    }

    @Test("every kind of offload comes back as it went, of the family it went with")
    func roundTrips() {
        for isV4 in [true, false] {
            for (kind, type) in [(Offload.Kind.none, 0), (.tcp, isV4 ? 1 : 4), (.udp, 5)] {
                var offload = Samples.offload
                offload.kind = kind
                let header = VirtioHeader(offload, headerLength: 40, isV4: isV4)
                #expect(Int(header.segmentationType) == type && header.flags == 1)
                #expect(header.offload(isV4: isV4) == offload)
                var congested = header
                congested.segmentationType |= 0x80
                #expect(congested.offload(isV4: isV4) == offload)
            }
            #expect(VirtioHeader().offload(isV4: isV4) == Offload.none)
        }
        // A complete packet asks for nothing.
        let plain = VirtioHeader(.none, headerLength: 40, isV4: true)
        #expect(plain.flags == 0 && plain.segmentationType == 0 && plain.headerLength == 0)
    }

    @Test("a type that was never negotiated is none; one of the other family contradicts every packet")
    func refusals() throws {
        for type in [2, 3, 6, 7, 0x20, 0x40, 0x7F] as [UInt8] {
            var header = VirtioHeader(Samples.offload, headerLength: 40, isV4: true)
            header.segmentationType = type
            #expect(header.offload(isV4: true) == nil)
        }
        let crossed = VirtioHeader(Samples.offload, headerLength: 40, isV4: true).offload(isV4: false)
        #expect(crossed == .contradiction)
        let packet = Samples.tcpHeaders(payload: 300) + Samples.payload(300)
        let inner = try #require(unsafe InnerPacket(packet.span.bytes))
        #expect(throws: DropReason.offloadMalformed) {
            _ = unsafe try SegmentPlan(packet.span.bytes, .contradiction, inner)
        }
        #expect(throws: Never.self) { _ = unsafe try SegmentPlan(packet.span.bytes, Samples.offload, inner) }
    }

    @Test("random headers never trap")
    func random() {
        var generator = SeededGenerator.fresh()
        for _ in 0..<20_000 {
            var header = VirtioHeader()
            unsafe withUnsafeMutableBytes(of: &header) { bytes in
                for index in bytes.indices { unsafe bytes[index] = .random(in: 0...255, using: &generator) }
            }
            _ = header.offload(isV4: .random(using: &generator))
        }
    }
}
