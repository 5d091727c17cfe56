// SPDX-License-Identifier: Apache-2.0
import AllocationCounter
import Testing
import Weft
import WeftUDP

@testable import WeftTUN

@Suite(
    "A steady tunnel", .enabled(if: weft_allocations() >= 0, "a sanitizer has its own allocator"))
struct SteadyTunnelTests {
    /// Both ends' drivers and engines, worked by one thread: device, engine, socket, socket, engine, device.
    private struct Tunnel: ~Copyable {
        let near: PairedDevice
        let far: PairedDevice
        let reader: TUNReader
        let receiver: UDPReceiver
        var sealing: FromOverlayEnd
        var opening: FromUnderlayEnd
        var packets = FromOverlay()
        var datagrams = FromUnderlay()

        init(_ capabilities: TUNCapabilities, _ offloads: Offloads) throws {
            let wake = try WakeEvent()
            let near = try PairedDevice(capabilities)
            let far = try PairedDevice(capabilities)
            let sockets = try (UDPSocket(port: 0, offloads: offloads), UDPSocket(port: 0, offloads: offloads))
            let keys = try (PacketKey([UInt8](repeating: 1, count: 16)), PacketKey([UInt8](repeating: 2, count: 16)))
            let left = try Self.engine(
                sockets.1.port, from: "10.1.0.0/24", to: "10.2.0.0/24", receive: keys.1, send: keys.0)
            let right = try Self.engine(
                sockets.0.port, from: "10.2.0.0/24", to: "10.1.0.0/24", receive: keys.0, send: keys.1)
            let sender = UDPSender(sockets.0, wake: wake)
            let (leftPlane, rightPlane) = (DataPlane(engine: left), DataPlane(engine: right))
            let (nearWriter, farWriter) = (TUNWriter(near.device, wake: wake), TUNWriter(far.device, wake: wake))
            let sealing = try leftPlane.add(overlay: nil, name: "near").makeEnd(underlay: sender, overlay: nearWriter)
            let opening = try rightPlane.add(underlay: sender, name: "wire").makeEnd(overlay: farWriter)
            reader = TUNReader(near.device, wake: wake)
            receiver = UDPReceiver(sockets.1, wake: wake)
            self.near = near
            self.far = far
            self.sealing = sealing
            self.opening = opening
        }

        private static func engine(
            _ port: UInt16, from ours: String, to theirs: String, receive: PacketKey, send: PacketKey
        ) throws -> Engine {
            let engine = try Engine(EngineConfiguration(lanes: 1))
            let route = try Route(source: #require(Prefix(ours)), destination: #require(Prefix(theirs)))
            try engine.add(
                NetworkConfiguration(
                    vni: 7, endpoint: Endpoint(IPAddress(v4: 0x7F00_0001), port: port), routes: [route]))
            try engine.install(
                SAPair(receiveSPI: 9, receiveKey: receive, transmitSPI: 9, transmitKey: send, expiry: .distantFuture),
                for: .vni(7), at: Instant(nanoseconds: 1))
            return engine
        }

        /// Sends what waits at the near device; gives how many messages the far one got.
        mutating func round() throws -> Int {
            let now = Instant(nanoseconds: 2)
            packets.removeAll()
            try reader.receive(into: &packets, timeout: 1000)
            sealing.send(&packets, at: now)
            datagrams.removeAll()
            try receiver.receive(into: &datagrams, timeout: 1000)
            opening.send(&datagrams, at: now)
            return far.forgetTaken()
        }
    }

    @Test("100,000 packets from device to device, over sockets, allocate nothing", arguments: [Offloads.all, []])
    func allocatesNothing(_ offloads: Offloads) throws {
        let capabilities = offloads.isEmpty ? PairedDevice.plain : TUNCapabilities(offloads)
        var tunnel = try Tunnel(capabilities, offloads)
        let whole = Samples.tcpHeaders(payload: 1000) + Samples.payload(1000)
        let small = Samples.tcpHeaders(payload: 100) + Samples.payload(100)
        let header = VirtioHeader(Samples.offload, headerLength: 40, isV4: true)
        let message = offloads.isEmpty ? small : unsafe withUnsafeBytes(of: header) { unsafe Array($0) } + whole
        // A superpacket of ten segments, or packets one by one.
        let each = offloads.isEmpty ? 1 : 10
        var delivered = 0
        try tunnel.near.put(message)
        _ = try tunnel.round()

        var made = 0
        for _ in 0..<100_000 / each {
            try tunnel.near.put(message)
            let before = weft_allocations()
            delivered += try tunnel.round()
            made += weft_allocations() - before
        }
        #expect(made == 0)
        #expect(delivered == 100_000 / each)
    }
}
