// SPDX-License-Identifier: Apache-2.0
import Glibc
import Weft

/// How a question goes to a resolver.
public enum DNSTransport: UInt8, Hashable, Sendable, CaseIterable {
    case datagram
    /// TCP, for an answer that no datagram holds.
    case stream
}

/// A TCP connection to a resolver (RFC 1035 section 4.2.2, RFC 7766): each message has its length before it. It waits for nothing. One
/// thread uses it.
final class DNSStream {
    /// At most so many questions are without an answer.
    private static let mostOpen = 64
    /// How long an answer may take: less than until a resolver is asked again.
    private static let patience = Duration.milliseconds(1200)
    /// How long it stays open without a question.
    private static let idleTime = Duration.seconds(10)

    private let socket: SharedDescriptor
    private var outgoing: [UInt8] = []
    private var incoming: [UInt8] = []
    private var open = 0
    private var deadline: Instant

    init(_ socket: consuming FileDescriptor, at now: Instant) {
        self.socket = SharedDescriptor(socket)
        deadline = now.advanced(by: Self.idleTime)
    }

    var raw: Int32 { socket.raw }

    /// Sends a question as soon as that can be; false where too many wait.
    func ask(_ question: [UInt8], at now: Instant) -> Bool {
        guard open < Self.mostOpen else { return false }
        if open == 0 { deadline = now.advanced(by: Self.patience) }
        open += 1
        outgoing +=
            [UInt8(truncatingIfNeeded: question.count >> 8), UInt8(truncatingIfNeeded: question.count)] + question
        return true
    }

    /// Does what can be done, and hands over answers; false once it will bring no more.
    func advance(at now: Instant, _ take: ([UInt8]) -> Void) -> Bool {
        guard flush() else { return false }
        let isOpen = fill()
        while let answer = nextAnswer() {
            guard !answer.isEmpty, answer.count <= DNSQuestion.longestAnswer else { return false }
            take(answer)
            open = max(open - 1, 0)
            deadline = now.advanced(by: open == 0 ? Self.idleTime : Self.patience)
        }
        return isOpen && now < deadline
    }

    /// False when it is broken.
    private func flush() -> Bool {
        guard !outgoing.isEmpty else { return true }
        let count = unsafe Glibc.send(socket.raw, outgoing, outgoing.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        // Not connected yet, or full: the next time.
        guard count >= 0 else { return [EAGAIN, EWOULDBLOCK, EINTR, ENOBUFS].contains(errno) }
        outgoing.removeFirst(count)
        return true
    }

    /// Takes what came; false at its end.
    private func fill() -> Bool {
        var chunk = [UInt8](repeating: 0, count: DNSQuestion.longestAnswer + 2)
        while incoming.count <= 2 * DNSQuestion.longestAnswer {
            let count = unsafe chunk.withUnsafeMutableBytes { bytes in
                // Safe: the kernel writes at most as many bytes as there are.
                unsafe recv(socket.raw, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT))
            }
            if count == 0 { return false }
            guard count > 0 else { return [EAGAIN, EWOULDBLOCK, EINTR].contains(errno) }
            incoming += chunk[..<count]
        }
        return true
    }

    private func nextAnswer() -> [UInt8]? {
        guard incoming.count >= 2 else { return nil }
        let length = Int(incoming[0]) << 8 | Int(incoming[1])
        // One that is too long isn't waited for.
        guard length <= DNSQuestion.longestAnswer else { return [] }
        guard incoming.count >= 2 + length else { return nil }
        let answer = Array(incoming[2..<2 + length])
        incoming.removeFirst(2 + length)
        return answer
    }
}
