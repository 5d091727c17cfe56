// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing
import Weft

@testable import WeftTUN

@Suite("Writing to a TUN device")
struct WriterTests {
    private static let header = VirtioHeader.length

    /// Writes a superpacket of fragments that lie one behind the other.
    private func write(
        _ counts: [Int], headers: [UInt8]? = nil, _ offload: Offload = Samples.offload, to writer: TUNWriter
    ) throws(SuperpacketError) {
        let total = counts.reduce(0, +)
        let arena = Samples.payload(max(total, 1))
        var offset = 0
        let fragments = counts.map { count in
            defer { offset += count }
            return PacketRange(offset: offset, count: count)
        }
        let headers = headers ?? Samples.tcpHeaders(payload: total)
        unsafe try writer.writeSuperpacket(
            headers: headers.span.bytes, fragments: fragments, in: arena.span.bytes, offload: offload)
    }

    @Test("a superpacket is one write: virtio header, headers, fragments")
    func superpacket() throws {
        let pair = try PairedDevice(.all)
        try write([100, 100, 30], to: TUNWriter(pair.device, wake: WakeEvent()))
        let expected = [1, 1, 40, 0, 100, 0, 20, 0, 16, 0] + Samples.tcpHeaders(payload: 230) + Samples.payload(230)
        #expect(pair.taken() == [expected])
    }

    @Test("what isn't a superpacket is refused, and nothing is written")
    func refusals() throws {
        let pair = try PairedDevice(.all)
        let writer = try TUNWriter(pair.device, wake: WakeEvent())
        #expect(throws: SuperpacketError.noHeaders) { try write([100, 100], headers: [], to: writer) }
        for empty in [[0], [100, 0], [100, 0, 100], [0, 100]] {
            #expect(throws: SuperpacketError.emptyFragment) { try write(empty, to: writer) }
        }
        for unequal in [[100, 101], [100, 99, 100], [100, 100, 101], [1, 2, 1]] {
            #expect(throws: SuperpacketError.unequalFragments) { try write(unequal, to: writer) }
        }
        let headers = Samples.tcpHeaders(payload: 1000)
        #expect(throws: SuperpacketError.tooLong) {
            try write([32_748, 32_748], headers: headers, to: writer)
        }
        #expect(throws: SuperpacketError.tooLong) { try write([65_496], headers: headers, to: writer) }
        #expect(throws: SuperpacketError.tooLong) {
            try write([1], headers: [UInt8](repeating: 0x45, count: 65_535), to: writer)
        }
        let many = [Int](repeating: 10, count: TUNWriter.fragmentLimit + 1)
        #expect(throws: SuperpacketError.tooManyFragments) { try write(many, to: writer) }
        #expect(pair.taken() == [])
    }

    @Test("the largest are taken: 65,535 bytes, and as many fragments as the vector holds")
    func limits() throws {
        let pair = try PairedDevice(.all)
        let writer = try TUNWriter(pair.device, wake: WakeEvent())
        try write([32_748, 32_747], to: writer)
        try write([Int](repeating: 10, count: TUNWriter.fragmentLimit), to: writer)
        #expect(pair.taken().map(\.count) == [65_535 + Self.header, 40 + 1280 + Self.header])
    }

    @Test("no fragments is nothing to do; one goes as a plain packet with its checksum finished")
    func few() throws {
        for capabilities in [TUNCapabilities.all, PairedDevice.plain] {
            let pair = try PairedDevice(capabilities)
            let writer = try TUNWriter(pair.device, wake: WakeEvent())
            try write([], to: writer)
            #expect(pair.taken() == [])
            try write([77], to: writer)
            let message = try #require(pair.taken().first)
            let packet = Array(message.dropFirst(capabilities.header ? Self.header : 0))
            #expect(message.count - packet.count == 0 || message.prefix(Self.header).allSatisfy { $0 == 0 })
            #expect(Samples.isComplete(packet))
            #expect(packet.suffix(77) == Samples.payload(77)[...])
        }
    }

    @Test("a device without an offload, and one that refuses it later, gets each segment as a packet")
    func fallback() throws {
        var noTSO = TUNCapabilities.all
        noTSO.tso4 = false
        for (capabilities, isRefused) in [(PairedDevice.plain, false), (noTSO, false), (.all, true)] {
            let pair = try PairedDevice(capabilities)
            let writer = unsafe try TUNWriter(
                pair.device, wake: WakeEvent(),
                writeVectors: .init { descriptor, vectors, count in
                    // Refuses whatever has more than one fragment.
                    if isRefused, count > 2 {
                        errno = EINVAL
                        return -1
                    }
                    return unsafe writev(descriptor, vectors, count)
                })
            let groups = try Groups()
            groups.send(to: writer) { Issue.record("group \($0): \($1) packets, \($2)") }
            let skipped = capabilities.header ? Self.header : 0
            let packets = pair.taken().map { Array($0.dropFirst(skipped)) }
            #expect(packets.count == 4)
            #expect(packets.allSatisfy(Samples.isComplete))
            #expect(packets.map { $0[5] } == [1, 2, 3, 9])
            #expect(packets.prefix(3).flatMap { $0.dropFirst(40) } == Samples.payload(230))
        }
    }

    @Test("packets that a device doesn't take are counted one by one")
    func losses() throws {
        for (capabilities, limit, expected) in [
            (TUNCapabilities.all, 0, [0: 3, 1: 1]), (.all, 1, [1: 1]), (PairedDevice.plain, 2, [0: 1, 1: 1]),
        ] {
            let pair = try PairedDevice(capabilities)
            let calls = Atomic(0)
            let shared = Shared(calls)
            let writer = unsafe try TUNWriter(
                pair.device, wake: WakeEvent(),
                writeVectors: .init { descriptor, vectors, count in
                    if shared.calls.add(1, ordering: .relaxed).newValue > limit {
                        errno = EIO
                        return -1
                    }
                    return unsafe writev(descriptor, vectors, count)
                })
            let groups = try Groups()
            var lost: [Int: Int] = [:]
            groups.send(to: writer) { group, packets, failure in
                lost[group, default: 0] += packets
                #expect(failure == .refused(EIO))
            }
            #expect(lost == expected)
        }
    }

    private final class Shared: Sendable {
        let calls: Atomic<Int>

        init(_ calls: consuming Atomic<Int>) { self.calls = calls }
    }

    @Test("a plain packet is one write, and a full device is given up")
    func plain() throws {
        let pair = try PairedDevice(.all)
        let wake = try WakeEvent()
        let writer = TUNWriter(pair.device, wake: wake)
        let packet = Samples.payload(1000)
        #expect(unsafe writer.send(packet.span.bytes) == nil)
        #expect(pair.taken() == [[UInt8](repeating: 0, count: 10) + packet])
        // Nobody waits for room any more.
        wake.signal()
        var failure: SendFailure?
        for _ in 0..<100_000 where failure == nil { failure = unsafe writer.send(packet.span.bytes) }
        #expect(failure == .refused(EAGAIN))
    }
}
