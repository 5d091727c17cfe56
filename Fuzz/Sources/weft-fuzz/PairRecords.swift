// SPDX-License-Identifier: Apache-2.0
@testable import WeftPair

/// Messages between the data process and the control process: each of the two may be in an attacker's hands.
enum PairRecords {
    static func run(_ input: RawSpan) {
        walk(input, ToData.self)
        walk(input, ToControl.self)
    }

    /// Reads a message as far as it is one. What was read can be written again, and reads the same.
    private static func walk<Record: WireRecord>(_ message: RawSpan, _ type: Record.Type) {
        var offset = 0
        while offset < message.byteCount {
            let start = offset
            guard let record = (try? Record.next(in: message, at: &offset)) ?? nil else { return }
            check(offset > start && offset <= message.byteCount, "a record of \(offset - start) bytes")
            let once = bytes(record)
            var again = 0
            // Text that isn't UTF-8 grows when it is written, and may then be too long.
            guard let same = (try? Record.next(in: unsafe once.span.bytes, at: &again)) ?? nil else { continue }
            check(bytes(same) == once, "\(record) isn't what it was")
        }
    }

    private static func bytes(_ record: some WireRecord) -> [UInt8] {
        var buffer = PairBuffer()
        guard let count = record.write(into: buffer.room(after: 0)) else { return [] }
        return unsafe buffer.bytes.extracting(0..<count).withUnsafeBytes { unsafe Array($0) }
    }

    /// An empty record of each type, and one with room for values.
    static func seeds() -> [[UInt8]] {
        (0...30).flatMap { type in [[type, 0, 0], [type, 64, 0] + [UInt8](repeating: 1, count: 64)] }
    }
}
