// SPDX-License-Identifier: Apache-2.0
import Weft

@testable import WeftCapture
@testable import WeftDiscovery

/// STUN messages from anyone: what is answered is answered with a message that can be read, and not with a larger one
/// than there is room for.
enum STUNMessages {
    private static let source = Endpoint(IPAddress(v6: 0x2001_0DB8 << 32, 1), port: 4711)

    static func run(_ input: RawSpan) {
        let bytes = input.array()
        guard let message = STUNMessage(bytes) else { return }
        // A method of which no message has been seen, with the byte that our connection ids begin with, is control's.
        check(Identification(of: input).kind == .stun || bytes[1] == 0x51, "read, and not taken for STUN")
        guard let answer = STUNMessage.answer(to: message, from: source) else { return }
        check(message.kind == .request, "answered what asked nothing")
        check(answer.count <= 68, "answered with \(answer.count) bytes")
        guard let read = STUNMessage(answer) else { return check(false, "answered with what is no message") }
        check(read.transaction == message.transaction && read.hasFingerprint == message.hasFingerprint, "another's")
        check((read.mapped == source) == (read.kind == .success), "no mapped address")
    }

    static func seeds() -> [[UInt8]] {
        var generator = SystemRandomNumberGenerator()
        let request = STUNMessage.request(.random(using: &generator))
        guard let message = STUNMessage(request), let answer = STUNMessage.answer(to: message, from: source) else {
            return [request]
        }
        let change: [UInt8] = [0, 1, 0, 8] + request[4..<20] + [0, 3, 0, 4, 0, 0, 0, 6]
        var refusal = STUNWriter(.failure, message.transaction)
        refusal.appendUnknown([3, 4, 5])
        return [request, answer, change, refusal.finished(fingerprint: true)]
    }
}

/// Captured frames: the first byte chooses the link type.
enum CapturedFrames {
    private static let links: [LinkType] = [
        .null, .ethernet, .raw, .loop, .linuxCooked, .ipv4, .ipv6, .linuxCooked2,
    ]

    static func run(_ input: RawSpan) {
        let frame = input.array(from: 1)
        let choice = Int(input.control(0))
        let found = UDPDatagram.find(in: frame, links[choice % links.count], isWhole: choice & 0x80 == 0)
        if case .datagram(let datagram) = found {
            check(datagram.payload.count + 28 <= frame.count, "\(datagram.payload.count) bytes of \(frame.count)")
        }
    }

    static func seeds() -> [[UInt8]] {
        let ethernet: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
        let udp: [UInt8] = [0x17, 0xC1, 0x17, 0xC1, 0, 12, 0, 0, 1, 2, 3, 4]
        let v4: [UInt8] = [0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2] + udp
        let v6: [UInt8] = [0x60, 0, 0, 0, 0, 12, 17, 64] + [UInt8](repeating: 0xFD, count: 32) + udp
        let options: [UInt8] =
            [0x60, 0, 0, 0, 0, 20, 0, 64] + [UInt8](repeating: 0xFD, count: 32) + [17, 0, 1, 4, 0, 0, 0, 0] + udp
        return [
            [1] + ethernet + [8, 0] + v4, [1] + ethernet + [0x81, 0, 0, 7, 8, 0] + v4,
            [1] + ethernet + [0x86, 0xDD] + v6,
            [2] + v4, [2] + v6, [2] + options, [0, 2, 0, 0, 0] + v4,
            [4] + [UInt8](repeating: 0, count: 14) + [8, 0] + v4, [7, 8, 0] + [UInt8](repeating: 0, count: 18) + v4,
        ]
    }
}
