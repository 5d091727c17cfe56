// SPDX-License-Identifier: Apache-2.0
import CWeftLinux
import Foundation
import Testing
import Weft

/// Sends whole Ethernet frames on a device of the network that it was made in.
final class PacketSocket: Sendable {
    private let descriptor: Int32

    /// - Parameter hears: whether it gets what comes by IPv4.
    init(_ device: String, hears: Bool = false) throws {
        descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw TestFailure("no packet socket: \(lastError)") }
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = hears ? UInt16(0x0800).bigEndian : 0
        address.sll_ifindex = Int32(bitPattern: unsafe if_nametoindex(device))
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
            }
        }
        guard bound == 0 else { throw TestFailure("cannot bind to \(device): \(lastError)") }
    }

    deinit { close(descriptor) }

    /// Whether the kernel took it; a full queue is no failure.
    @discardableResult
    func send(_ frame: [UInt8]) -> Bool {
        unsafe frame.withUnsafeBytes { unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, 0) } == frame.count
    }
}

extension PacketSocket {
    /// The next frame that waits; nil if none does.
    func next() -> [UInt8]? {
        var frame = [UInt8](repeating: 0, count: 2048)
        let count = unsafe frame.withUnsafeMutableBytes {
            unsafe recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
        }
        return count > 0 ? Array(frame.prefix(count)) : nil
    }
}

/// Frames on the underlay, made by hand so that anything in them can be wrong.
struct UnderlayFrame {
    var destinationMAC: [UInt8] = [2, 0, 0, 0, 0, 1]
    /// Between the MAC addresses and the type.
    var tag: [UInt8] = []
    var source: [UInt8] = [192, 0, 2, 2]
    var destination: [UInt8] = [192, 0, 2, 1]
    var options: [UInt8] = []
    var port: UInt16 = 6081
    /// Added to what the header should say.
    var wrongTotalLength = 0
    var wrongUDPLength = 0
    var wrongChecksum: UInt16 = 0
    var padding = 0
    /// Bytes of UDP to a fragment; nil for none.
    var fragmentSize: Int?

    private static func words(_ values: UInt16...) -> [UInt8] {
        values.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    }

    private static func checksum(_ header: [UInt8]) -> UInt16 {
        var sum = stride(from: 0, to: header.count, by: 2).reduce(UInt32(0)) {
            $0 + UInt32(header[$1]) << 8 + UInt32(header[$1 + 1])
        }
        while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
        return ~UInt16(sum)
    }

    /// One frame, or a datagram's fragments.
    func frames(_ datagram: [UInt8]) -> [[UInt8]] {
        let udp =
            Self.words(40_000, port, UInt16(truncatingIfNeeded: datagram.count + 8 + wrongUDPLength), 0) + datagram
        let ethernet = destinationMAC + [2, 0, 0, 0, 0, 2] + tag
        if source.count == 16 {
            let ip = [0x60, 0, 0, 0] + Self.words(UInt16(udp.count)) + [17, 64] + source + destination
            return [ethernet + [0x86, 0xDD] + ip + udp]
        }
        var frames: [[UInt8]] = []
        let size = fragmentSize ?? udp.count
        for start in stride(from: 0, to: udp.count, by: size) {
            let part = udp[start..<min(start + size, udp.count)]
            let more: UInt16 = start + part.count < udp.count ? 0x2000 : 0
            let length = UInt16(truncatingIfNeeded: 20 + options.count + part.count + wrongTotalLength)
            var ip = [UInt8(0x45 + options.count / 4), 0]
            ip += Self.words(length, 77, more | UInt16(start / 8)) + [64, 17, 0, 0] + source + destination + options
            let sum = Self.checksum(ip) &+ wrongChecksum
            ip[10] = UInt8(sum >> 8)
            ip[11] = UInt8(truncatingIfNeeded: sum)
            frames.append(ethernet + [8, 0] + ip + part + [UInt8](repeating: 0xEE, count: padding))
        }
        return frames
    }
}

extension TunnelText {
    /// An engine with this end's keys, which seals IP packets as the end's tunnel would.
    func engine() throws -> Engine {
        let engine = try Engine(EngineConfiguration())
        try addNetwork(to: engine)
        return engine
    }

    /// Gives an engine this end's network and keys.
    func addNetwork(to engine: Engine) throws {
        let own = try #require(Prefix("10.77.0.0/24"))
        try engine.add(
            NetworkConfiguration(
                vni: UInt32(vni), endpoint: Endpoint(endpoint), routes: [Route(source: own, destination: own)]))
        func key(_ text: String) throws -> PacketKey { try PacketKey([UInt8](try #require(Data(base64Encoded: text)))) }
        try engine.installManualKeys(
            ManualKeys(epoch: UInt32(epoch), sendKey: try key(sendKey), receiveKey: try key(receiveKey)),
            for: .vni(UInt32(vni)), at: SystemCall.now())
    }
}

/// Seals one packet after the other with a tunnel's keys.
struct Sealer: ~Copyable {
    private var lane: Lane

    init(_ file: TunnelText) throws { lane = try Lane(file.engine()) }

    /// A datagram with an ICMP echo reply inside, which nobody answers.
    mutating func datagram(payload: Int = 64) throws -> [UInt8] {
        var packet: [UInt8] = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1]
        packet += [UInt8](repeating: 0, count: 8 + payload)
        packet[2] = UInt8(packet.count >> 8)
        packet[3] = UInt8(truncatingIfNeeded: packet.count)
        var output = [UInt8](repeating: 0, count: packet.count + Geneve.overhead)
        let outcome = {
            var elements = output.mutableSpan
            var bytes = unsafe elements.mutableBytes
            return unsafe lane.encapsulate(packet.span.bytes, into: &bytes, as: .datagram, at: SystemCall.now())
        }()
        guard case .forward(let range) = outcome else { throw TestFailure("not sealed: \(outcome)") }
        return Array(output[range])
    }
}
