// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why a payload is no control message.
public enum ControlMessageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Fewer bytes than the version and the type need.
    case tooShort(Int)
    case unsupportedVersion(UInt8)
    case unknownType(UInt8)
    /// A type that has a payload of `expected` bytes came with another number of them.
    case wrongLength(type: UInt8, got: Int, expected: Int)
    case unknownStatus(UInt8)

    public var description: String {
        switch self {
        case .tooShort(let count):
            "a control message of \(count) bytes is too short: check that the peer speaks this protocol"
        case .unsupportedVersion(let version):
            "control protocol version \(version) isn't supported: run a peer that speaks \(ControlMessage.version)"
        case .unknownType(let type):
            "control message type \(type) is unknown: run the same release on both ends"
        case .wrongLength(let type, let got, let expected):
            "control message type \(type) has \(got) bytes instead of \(expected): run the same release on both ends"
        case .unknownStatus(let status):
            "status \(status) is unknown: run the same release on both ends"
        }
    }
}

extension ControlMessage {
    /// Decodes one payload, which comes from the peer and may hold anything.
    public init(payload: Span<UInt8>) throws(ControlMessageError) {
        guard payload.count >= 2 else { throw .tooShort(payload.count) }
        guard payload[0] == Self.version else { throw .unsupportedVersion(payload[0]) }
        guard let kind = Kind(rawValue: payload[1]) else { throw .unknownType(payload[1]) }
        // Nothing below reads past this length.
        guard payload.count == kind.payloadByteCount else {
            throw .wrongLength(type: kind.rawValue, got: payload.count, expected: kind.payloadByteCount)
        }
        switch kind {
        case .saOffer:
            self = .saOffer(SAOffer(payload, at: 2))
        case .keyRequest:
            self = .keyRequest(SAOffer(payload, at: 2), overlayAddress: Self.overlayAddress(payload, at: 7))
        case .keyGrant:
            let status = try Self.status(payload, at: 2)
            self = .keyGrant(status, SAOffer(payload, at: 3), vni: payload.bigEndian(at: 8))
        case .vniRelease:
            self = .vniRelease(vni: payload.bigEndian(at: 2))
        case .releaseAnswer:
            self = .releaseAnswer(try Self.status(payload, at: 2))
        }
    }

    /// The message's bytes, without a frame: 3 to 23 of them.
    public var payload: [UInt8] {
        let body: [UInt8] =
            switch self {
            case .saOffer(let offer): offer.bytes
            case .keyRequest(let offer, let address): offer.bytes + Self.bytes(overlayAddress: address)
            case .keyGrant(let status, let offer, let vni): [status.rawValue] + offer.bytes + bigEndian(vni)
            case .vniRelease(let vni): bigEndian(vni)
            case .releaseAnswer(let status): [status.rawValue]
            }
        return [Self.version, kind.rawValue] + body
    }

    /// The message's bytes in a ``ControlFrame``, ready for a stream.
    public var frame: [UInt8] {
        let payload = payload
        return bigEndian(UInt16(payload.count)) + payload
    }

    private static func status(_ payload: Span<UInt8>, at offset: Int) throws(ControlMessageError) -> ExchangeStatus {
        guard let status = ExchangeStatus(rawValue: payload[offset]) else { throw .unknownStatus(payload[offset]) }
        return status
    }

    /// Marks an IPv4 address in 16 bytes: `::ffff:0:0/96` (RFC 4291, section 2.5.5.2).
    private static let mappedPrefix: UInt64 = 0xFFFF

    private static func overlayAddress(_ payload: Span<UInt8>, at offset: Int) -> IPAddress {
        let high: UInt64 = payload.bigEndian(at: offset)
        let low: UInt64 = payload.bigEndian(at: offset + 8)
        return high == 0 && low >> 32 == mappedPrefix
            ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : IPAddress(v6: high, low)
    }

    private static func bytes(overlayAddress address: IPAddress) -> [UInt8] {
        address.family == .v6
            ? address.bytes : bigEndian(UInt64(0)) + bigEndian(mappedPrefix << 32 | UInt64(address.v4Bits))
    }
}

extension SAOffer {
    /// Reads five bytes, which the caller has made sure of.
    fileprivate init(_ payload: Span<UInt8>, at offset: Int) {
        self.init(suite: payload[offset], receiveSPI: payload.bigEndian(at: offset + 1))
    }

    fileprivate var bytes: [UInt8] { [suite] + bigEndian(receiveSPI) }
}
