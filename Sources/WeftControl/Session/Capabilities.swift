// SPDX-License-Identifier: Apache-2.0

/// What an end can do beyond what all ends of `weft/1` can: what each tells the other first (docs/weft-1.md).
///
/// Of a capability that isn't known here nothing is read but its length.
public struct Capabilities: Hashable, Sendable {
    /// One capability: its version, and what it says of itself.
    public struct Entry: Hashable, Sendable {
        public var version: UInt8
        /// At most 255 bytes.
        public var value: [UInt8]

        public init(version: UInt8, value: [UInt8] = []) {
            self.version = version
            self.value = value
        }
    }

    /// Why bytes are no capabilities.
    public enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        case notCapabilities
        case truncated
        case repeated(UInt16)
        /// A capability that is known here says what it can't say.
        case malformed(UInt16)

        public var description: String {
            switch self {
            case .notCapabilities: "its first message isn't one of capabilities"
            case .truncated: "its capabilities end within one"
            case .repeated(let number): "it names capability \(number) twice"
            case .malformed(let number): "what it says of capability \(number) is malformed"
            }
        }
    }

    public private(set) var entries: [UInt16: Entry] = [:]

    /// Answers sealed probes.
    public static let probes: UInt16 = 3
    /// Carries marks of congestion inwards, so that what is sent to it may be marked (RFC 6040).
    public static let ecn: UInt16 = 5

    /// Whether what is sent to the end may be marked.
    var carriesECN: Bool { self[Self.ecn]?.version == 1 }

    /// What this release can do.
    public static let own: Capabilities = {
        var own = Capabilities()
        own[probes] = Entry(version: 1)
        own[ecn] = Entry(version: 1)
        return own
    }()

    public init() {}

    /// The first bytes of the payload: the protocol's version, and the message's type.
    private static let head: [UInt8] = [1, 16]
    private static let entryHeadByteCount = 4

    public subscript(number: UInt16) -> Entry? {
        get { entries[number] }
        set { entries[number] = newValue }
    }

    /// Reads a frame's payload.
    public init(payload: Span<UInt8>) throws(Fault) {
        guard payload.count >= Self.head.count, payload[0] == Self.head[0], payload[1] == Self.head[1] else {
            throw .notCapabilities
        }
        var offset = Self.head.count
        while offset < payload.count {
            guard payload.count - offset >= Self.entryHeadByteCount else { throw .truncated }
            let number = payload.bigEndian(UInt16.self, at: offset)
            let version = payload[offset + 2]
            let count = Int(payload[offset + 3])
            offset += Self.entryHeadByteCount
            guard payload.count - offset >= count else { throw .truncated }
            let value = (offset..<offset + count).map { payload[$0] }
            offset += count
            guard entries.updateValue(Entry(version: version, value: value), forKey: number) == nil else {
                throw .repeated(number)
            }
        }
    }

    /// The frame that says them, in the order of their numbers; nil where they don't fit one.
    public var frame: [UInt8]? {
        var payload = Self.head
        for (number, entry) in entries.sorted(by: { $0.key < $1.key }) {
            guard entry.value.count <= 255 else { return nil }
            payload += bigEndian(number) + [entry.version, UInt8(entry.value.count)] + entry.value
        }
        return try? ControlFrame.encode(payload)
    }
}
