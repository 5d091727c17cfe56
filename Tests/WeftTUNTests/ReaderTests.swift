// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing
import WeftTestSupport

@testable import Weft
@testable import WeftTUN

@Suite("Reading from a TUN device")
struct ReaderTests {
    private static let none = [UInt8](repeating: 0, count: 10)
    private static let tcp: [UInt8] = [1, 1, 40, 0, 100, 0, 20, 0, 16, 0]
    /// Of a type that is never negotiated: UFO.
    private static let bad: [UInt8] = [1, 3, 40, 0, 100, 0, 20, 0, 16, 0]
    private static let packet = Samples.tcpHeaders(payload: 230) + Samples.payload(230)

    /// Receives once.
    private func receive(
        _ reader: TUNReader, timeout: Int32 = 0
    ) throws(TransportError) -> [(bytes: [UInt8], offload: Offload)] {
        var batch = FromOverlay()
        try reader.receive(into: &batch, timeout: timeout)
        return (0..<batch.packets.count).map { index in
            let place = batch.packets[index].place
            let bytes = batch.arena.bytes.extracting(place.range)
            return ((0..<place.count).map { bytes.load(at: $0) }, batch.packets[index].offload)
        }
    }

    @Test("one wake-up drains the device: packets and superpackets, their offloads apart from them")
    func drain() throws {
        let pair = try PairedDevice(.all)
        let reader = try TUNReader(pair.device, wake: WakeEvent())
        try pair.put(Self.none + Self.packet)
        try pair.put(Self.tcp + Self.packet)
        let got = try receive(reader)
        #expect(got.map(\.bytes) == [Self.packet, Self.packet])
        #expect(got.map(\.offload) == [.none, Samples.offload])
        #expect(try receive(reader).isEmpty)
    }

    @Test("a batch ends where the largest packet would no longer fit, and the next call goes on")
    func room() throws {
        let pair = try PairedDevice(.all)
        let reader = try TUNReader(pair.device, wake: WakeEvent())
        let message = Self.none + Samples.payload(1000)
        for _ in 0..<70 { try pair.put(message) }
        #expect(try receive(reader).count == 64)
        #expect(try receive(reader).count == 6)
        var small = FromOverlay(room: 0)
        for _ in 0..<3 { try pair.put(message) }
        try reader.receive(into: &small, timeout: 0)
        let count = small.packets.count
        #expect(count == 1)
    }

    @Test("a bad header costs its packet: first on a wake-up the read goes on, in the drain it ends it")
    func badHeaders() throws {
        let pair = try PairedDevice(.all)
        let reader = try TUNReader(pair.device, wake: WakeEvent())
        try pair.put(Self.bad + Self.packet)
        try pair.put(Self.tcp + Self.packet)
        try pair.put(Self.bad + Self.packet)
        try pair.put(Self.none + Self.packet)
        // The engine drops and counts what contradicts itself.
        #expect(try receive(reader).map(\.offload) == [.contradiction, Samples.offload, .contradiction])
        #expect(try receive(reader).map(\.offload) == [.none])
        try pair.put(Self.bad)
        let empty = try receive(reader)
        #expect(empty.map(\.bytes) == [[0]])
    }

    @Test("a read that is shorter than the header is an error, also behind good ones")
    func shortReads() throws {
        let pair = try PairedDevice(.all)
        let reader = try TUNReader(pair.device, wake: WakeEvent())
        let expected = TransportError("read from paired", code: EBADMSG)
        for count in 1..<10 {
            try pair.put([UInt8](repeating: 0, count: count))
            #expect(throws: expected) { try receive(reader) }
        }
        try pair.put(Self.none + Self.packet)
        try pair.put([0, 0, 0])
        try pair.put(Self.none + Self.packet)
        #expect(try receive(reader).count == 1)
        #expect(throws: expected) { try receive(reader) }
        #expect(try receive(reader).count == 1)
    }

    @Test("a device without the header gives plain packets, however short")
    func plain() throws {
        let pair = try PairedDevice(PairedDevice.plain)
        let reader = try TUNReader(pair.device, wake: WakeEvent())
        try pair.put(Self.packet)
        try pair.put([0x45])
        let got = try receive(reader)
        #expect(got.map(\.bytes) == [Self.packet, [0x45]])
        #expect(got.allSatisfy { $0.offload == .none })
    }

    @Test("a header that contradicts its packet is counted once and stops nothing")
    func contradictions() throws {
        let pair = try PairedDevice(.all)
        let reader = try TUNReader(pair.device, wake: WakeEvent())
        let crossed: [UInt8] = [1, 4, 40, 0, 100, 0, 20, 0, 16, 0]
        try pair.put(crossed + Self.packet)
        try pair.put(Self.none + Self.packet)
        #expect(try receive(reader).map(\.offload) == [.contradiction, .none])
    }

    @Test("the event wakes every reader of a device at once, and closing twice is harmless")
    func close() throws {
        let pair = try PairedDevice(.all)
        let wake = try WakeEvent()
        let device = pair.device
        let clock = ContinuousClock()
        let start = clock.now
        try Threads.run(4) { number in
            if number == 0 {
                usleep(20_000)
                wake.signal()
            } else {
                var batch = FromOverlay()
                try TUNReader(device, wake: wake).receive(into: &batch, timeout: 10_000)
                let count = batch.packets.count
                #expect(count == 0)
            }
        }
        #expect(clock.now - start < .seconds(5))
        device.close()
        device.close()
    }
}
