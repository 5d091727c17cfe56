// SPDX-License-Identifier: Apache-2.0
import Weft

/// Takes records off a pair, message by message. One thread uses it.
struct PairReader<Record: WireRecord>: ~Copyable {
    private var buffer = PairBuffer()

    /// Hands over the records of all messages that wait, at most `most` of them; a message is wiped once it was read.
    /// - Throws: ``PairFailure`` when the other end is gone, or what it sent is no message; the records before that were
    ///   handed over.
    mutating func receive(
        from socket: PairSocket, most: Int = 64, _ take: (Record) -> Void
    ) throws(PairFailure) {
        for _ in 0..<most {
            let count: Int?
            do throws(PairClosed) { count = try socket.receive(into: &buffer) } catch { throw .closed }
            guard let count else { return }
            defer { buffer.wipe(count) }
            let message = buffer.bytes.extracting(0..<count)
            var offset = 0
            do throws(WireError) {
                while let record = try Record.next(in: message, at: &offset) { take(record) }
            } catch { throw .malformed(error) }
        }
    }
}

/// Why a pair is of no more use.
public enum PairFailure: Error, Hashable, Sendable, CustomStringConvertible {
    case closed
    case malformed(WireError)
    /// The other process goes on asking and reads no answer.
    case unread

    public var description: String {
        switch self {
        case .closed: "the other process closed the pair"
        case .malformed(let error): "the other process sent what is no message: \(error)"
        case .unread: "the other process asks on and on, and reads no answer"
        }
    }
}
