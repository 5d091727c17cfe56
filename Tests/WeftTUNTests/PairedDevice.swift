// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing
import Weft

@testable import WeftTUN

/// A device whose kernel is the test: the other end of a socket pair that keeps messages apart.
struct PairedDevice: ~Copyable {
    let device: TUNDevice
    private let kernel: FileDescriptor

    init(_ capabilities: TUNCapabilities) throws {
        var ends: [Int32] = [-1, -1]
        let code = unsafe socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &ends)
        try #require(code == 0)
        kernel = FileDescriptor(owning: ends[1])
        device = TUNDevice(adopting: FileDescriptor(owning: ends[0]), name: "paired", capabilities: capabilities)
    }

    /// A header-less device.
    static var plain: TUNCapabilities { TUNCapabilities() }

    /// Hands the device a message.
    func put(_ message: [UInt8]) throws {
        let count = unsafe write(kernel.raw, message, message.count)
        try #require(count == message.count)
    }

    /// Forgets what was written to the device so far, and says how many messages there were; allocates nothing.
    func forgetTaken() -> Int {
        var count = 0
        var byte: UInt8 = 0
        while unsafe recv(kernel.raw, &byte, 1, Int32(MSG_DONTWAIT)) > 0 { count += 1 }
        return count
    }

    /// What was written to the device so far, message by message.
    func taken() -> [[UInt8]] {
        var messages: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 70_000)
        while true {
            let count = unsafe recv(kernel.raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return messages }
            messages.append(Array(buffer[..<count]))
        }
    }
}

/// Packets that hold together.
enum Samples {
    static func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }

    /// IPv4 and TCP headers of a packet with so much payload; the transport checksum is the pseudo-header's sum.
    static func tcpHeaders(payload: Int) -> [UInt8] {
        var header: [UInt8] =
            [0x45, 0] + big(UInt16(40 + payload)) + [0, 1, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1]
        header.replaceSubrange(10..<12, with: big(~sum(header)))
        let pseudo = sum(Array(header[12..<20]) + [0, 6] + big(UInt16(20 + payload)))
        return header + big(1000) + big(443) + [0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0] + big(pseudo) + [0, 0]
    }

    static let offload = Offload(
        kind: .tcp, segmentSize: 100, needsChecksum: true, checksumStart: 20, checksumOffset: 16)

    static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum = 0
        for (index, byte) in bytes.enumerated() { sum += Int(byte) << (index % 2 == 0 ? 8 : 0) }
        while sum > 0xFFFF { sum = (sum & 0xFFFF) + (sum >> 16) }
        return UInt16(sum)
    }

    /// Whether a TCP packet over IPv4 has both checksums right.
    static func isComplete(_ packet: [UInt8]) -> Bool {
        let pseudo = Array(packet[12..<20]) + [0, 6] + big(UInt16(packet.count - 20))
        return sum(Array(packet[..<20])) == 0xFFFF && sum(pseudo + packet[20...]) == 0xFFFF
    }

    static func payload(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }
}
