// SPDX-License-Identifier: Apache-2.0

/// Frames as RFC 9000's section 19 writes them, made without the reader's help.
enum QUICFrames {
    /// A variable-length integer, in the shortest form or a longer one.
    static func number(_ value: UInt64, bytes: Int? = nil) -> [UInt8] {
        let needed = value < 1 << 6 ? 1 : value < 1 << 14 ? 2 : value < 1 << 30 ? 4 : 8
        let count = max(needed, bytes ?? needed)
        var encoded = (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
        encoded[0] |= UInt8(count.trailingZeroBitCount) << 6
        return encoded
    }

    static func newConnectionID(_ sequence: UInt64, retiring: UInt64 = 0, byteCount: UInt8 = 8) -> [UInt8] {
        [0x18] + number(sequence) + number(retiring) + [byteCount] + [UInt8](repeating: 7, count: Int(byteCount) + 16)
    }

    static let handshakeDone: [UInt8] = [0x1E]

    /// One of each type that names its own end, or the only one in its packet, with a name for the test's report.
    static let all: [(name: String, bytes: [UInt8])] = [
        ("PADDING", [0]), ("PING", [1]),
        (
            "ACK",
            [2] + number(70_000) + number(3) + number(2) + number(1) + number(0) + number(5) + number(1) + number(300)
        ),
        ("ACK with ECN", [3] + number(9) + number(0) + number(0) + number(9) + number(1) + number(2) + number(3)),
        ("RESET_STREAM", [4] + number(4) + number(1) + number(1 << 40)),
        ("STOP_SENDING", [5] + number(4) + number(1)),
        ("CRYPTO", [6] + number(0) + number(5) + [1, 2, 3, 4, 5]),
        ("NEW_TOKEN", [7] + number(3) + [1, 2, 3]),
        ("STREAM with a length", [0x0A] + number(0) + number(4) + [0x18, 1, 1, 8]),
        ("STREAM with offset and end", [0x0F] + number(0) + number(77) + number(0)),
        ("MAX_DATA", [0x10] + number(1 << 61)), ("MAX_STREAM_DATA", [0x11] + number(4) + number(5)),
        ("MAX_STREAMS", [0x12] + number(9)), ("MAX_STREAMS of one way", [0x13] + number(9)),
        ("DATA_BLOCKED", [0x14] + number(5)), ("STREAM_DATA_BLOCKED", [0x15] + number(4) + number(5)),
        ("STREAMS_BLOCKED", [0x16] + number(9)), ("STREAMS_BLOCKED of one way", [0x17] + number(9)),
        ("NEW_CONNECTION_ID", newConnectionID(3)), ("RETIRE_CONNECTION_ID", [0x19] + number(2)),
        ("PATH_CHALLENGE", [0x1A] + [UInt8](repeating: 0x1E, count: 8)),
        ("PATH_RESPONSE", [0x1B] + [UInt8](repeating: 0x18, count: 8)),
        ("CONNECTION_CLOSE", [0x1C] + number(10) + number(0x18) + number(2) + [65, 66]),
        ("CONNECTION_CLOSE of an application", [0x1D] + number(10) + number(0)),
        ("HANDSHAKE_DONE", handshakeDone),
    ]
}
