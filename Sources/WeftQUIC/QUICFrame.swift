// SPDX-License-Identifier: Apache-2.0

/// A frame of a QUIC packet (RFC 9000, section 19), as much of it as the guard wants to know.
enum QUICFrame: Hashable {
    /// PADDING, PING, ACK, CRYPTO, STREAM and so on.
    case plain(QUICFrameType)
    case newConnectionID(sequence: UInt64, retirePriorTo: UInt64)

    var type: QUICFrameType {
        switch self {
        case .plain(let type): type
        case .newConnectionID: .newConnectionID
        }
    }
}

/// A frame's type. Those that RFC 9000 knows take one byte, and must (section 12.4).
struct QUICFrameType: RawRepresentable, Hashable, CustomStringConvertible {
    let rawValue: UInt8

    static let padding = QUICFrameType(rawValue: 0x00)
    static let ping = QUICFrameType(rawValue: 0x01)
    static let ack = QUICFrameType(rawValue: 0x02)
    static let ackWithECN = QUICFrameType(rawValue: 0x03)
    static let crypto = QUICFrameType(rawValue: 0x06)
    static let newConnectionID = QUICFrameType(rawValue: 0x18)
    /// CONNECTION_CLOSE of QUIC itself.
    static let connectionClose = QUICFrameType(rawValue: 0x1C)
    static let handshakeDone = QUICFrameType(rawValue: 0x1E)

    var description: String { "type 0x" + String(rawValue, radix: 16) }

    /// What follows a type, in the order in which it stands.
    fileprivate enum Field {
        case number
        case bytes(Int)
        /// A number, and as many bytes.
        case counted
        /// All that is left.
        case rest
        /// An ACK's ranges: a number, one more, and twice as many as the first says.
        case ranges
    }

    /// Nil for a type that isn't RFC 9000's.
    fileprivate var fields: [Field]? {
        switch rawValue {
        case 0x00, 0x01, 0x1E: []
        case 0x02: [.number, .number, .ranges]
        case 0x03: [.number, .number, .ranges, .number, .number, .number]
        case 0x04: [.number, .number, .number]
        case 0x05, 0x11, 0x15: [.number, .number]
        case 0x06: [.number, .counted]
        case 0x07: [.counted]
        // STREAM: bit 0x04 says that there is an offset, 0x02 that there is a length.
        case 0x08...0x0F:
            [.number] + (rawValue & 4 != 0 ? [.number] : []) + [rawValue & 2 != 0 ? .counted : .rest]
        case 0x10, 0x12, 0x13, 0x14, 0x16, 0x17, 0x19: [.number]
        case 0x1A, 0x1B: [.bytes(8)]
        case 0x1C: [.number, .number, .counted]
        case 0x1D: [.number, .counted]
        default: nil
        }
    }
}

/// Reads the frames of a packet one after the other. Whatever the bytes are, it reads none beyond them and never traps.
struct QUICFrameReader {
    /// A frame that isn't one, or goes on behind the packet's end.
    struct Malformed: Error, Hashable { let type: QUICFrameType }

    /// Where the next frame begins.
    private(set) var offset = 0

    /// The next frame; nil at the end. To be called with the same bytes each time.
    mutating func next(in packet: Span<UInt8>) throws(Malformed) -> QUICFrame? {
        guard offset < packet.count else { return nil }
        let type = QUICFrameType(rawValue: packet[offset])
        offset += 1
        if type == .newConnectionID { return try newConnectionID(in: packet) }
        guard let fields = type.fields else { throw Malformed(type: type) }
        for field in fields {
            switch field {
            case .number: _ = try number(in: packet, type)
            case .bytes(let count): try skip(UInt64(count), in: packet, type)
            case .counted: try skip(try number(in: packet, type), in: packet, type)
            case .rest: offset = packet.count
            case .ranges: try skipRanges(in: packet, type)
            }
        }
        return .plain(type)
    }

    /// Section 19.15.
    private mutating func newConnectionID(in packet: Span<UInt8>) throws(Malformed) -> QUICFrame {
        let type = QUICFrameType.newConnectionID
        let sequence = try number(in: packet, type)
        let retirePriorTo = try number(in: packet, type)
        guard offset < packet.count else { throw Malformed(type: type) }
        let byteCount = packet[offset]
        guard (1...20).contains(byteCount), retirePriorTo <= sequence else { throw Malformed(type: type) }
        // The length, the id and its stateless reset token.
        try skip(1 + UInt64(byteCount) + 16, in: packet, type)
        return .newConnectionID(sequence: sequence, retirePriorTo: retirePriorTo)
    }

    private mutating func skipRanges(in packet: Span<UInt8>, _ type: QUICFrameType) throws(Malformed) {
        let count = try number(in: packet, type)
        _ = try number(in: packet, type)
        // Each is two numbers of at least a byte.
        guard count <= UInt64(packet.count - offset) / 2 else { throw Malformed(type: type) }
        for _ in 0..<count {
            _ = try number(in: packet, type)
            _ = try number(in: packet, type)
        }
    }

    private mutating func skip(
        _ count: UInt64, in packet: Span<UInt8>, _ type: QUICFrameType
    ) throws(Malformed) {
        guard count <= UInt64(packet.count - offset) else { throw Malformed(type: type) }
        offset += Int(count)
    }

    /// A variable-length integer (section 16): the first two bits say how many bytes it takes.
    private mutating func number(in packet: Span<UInt8>, _ type: QUICFrameType) throws(Malformed) -> UInt64 {
        guard offset < packet.count else { throw Malformed(type: type) }
        let byteCount = 1 << Int(packet[offset] >> 6)
        guard byteCount <= packet.count - offset else { throw Malformed(type: type) }
        var value = UInt64(packet[offset] & 0x3F)
        for index in 1..<byteCount { value = value << 8 | UInt64(packet[offset + index]) }
        offset += byteCount
        return value
    }
}
