// SPDX-License-Identifier: Apache-2.0
import Weft
import WeftProxy
import WeftSockets

/// What SOCKS5's clients send: whatever it is, it's waited for no longer than a message can be, and what is read was there.
enum SOCKS5Messages {
    static func run(_ input: RawSpan) {
        let bytes = input.array()
        take(SOCKS5Message.methods(bytes), of: bytes)
        take(SOCKS5Message.login(bytes), of: bytes)
        take(SOCKS5Message.request(bytes), of: bytes)
        take(SOCKS5Message.datagram(bytes), of: bytes)
    }

    private static func take<Value>(_ reading: SOCKS5Message.Reading<Value>, of bytes: [UInt8]) {
        switch reading {
        case .more: check(bytes.count < SOCKS5Message.longest, "\(bytes.count) bytes are none")
        case .value(_, let count): check((1...bytes.count).contains(count), "\(count) of \(bytes.count)")
        case .bad: break
        }
    }

    static func seeds() -> [[UInt8]] {
        [
            [5, 1, 0], [1, 1, 0x61, 1, 0x62], [5, 1, 0, 1, 10, 77, 0, 2, 0, 80],
            [5, 3, 0, 3, 4, 0x68, 0x6F, 0x73, 0x74, 0, 80], [0, 0, 0, 1, 10, 77, 0, 2, 0, 53, 1, 2, 3],
            [5, 1, 0, 4] + [UInt8](repeating: 0xFD, count: 18),
        ]
    }
}

/// What the overlay's resolvers answer.
enum OverlayAnswers {
    static func run(_ input: RawSpan) {
        guard let question = DNSMessage("server.example", .v6, number: 7) else { fail("no question") }
        // The first byte says how much of the question the answer begins with.
        let kept = [0, 12, question.bytes.count][Int(input.control(0)) % 3]
        var answer = Array(question.bytes.prefix(kept)) + input.array(from: 1)
        if kept > 2 { (answer[2], answer[7]) = (0x81, input.control(1)) }
        if case .addresses(let found) = question.outcome(in: answer) {
            check(found.count <= 32 && found.allSatisfy { $0.family == .v6 }, "\(found)")
        }
    }

    static func seeds() -> [[UInt8]] {
        [[2, 0xC0, 12, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16] + [UInt8](repeating: 0xFD, count: 16), [1, 0], [0]]
    }
}
