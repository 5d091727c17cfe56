// SPDX-License-Identifier: Apache-2.0

/// Why a payload is no message of a `weft/1` exchange.
enum RatchetMessageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Fewer bytes than the version and the type need.
    case tooShort(Int)
    case unsupportedVersion(UInt8)
    case unknownType(UInt8)
    case wrongLength(type: UInt8, got: Int, expected: Int)

    var description: String {
        switch self {
        case .tooShort(let count): "a message of \(count) bytes is too short: run a peer that speaks weft/1"
        case .unsupportedVersion(let version):
            "message version \(version) isn't supported: run a peer that speaks \(RatchetMessage.version)"
        case .unknownType(let type):
            "message type \(type) has no place between Weft's ends: run the same release on both"
        case .wrongLength(let type, let got, let expected):
            "message type \(type) has \(got) bytes instead of \(expected): run the same release on both ends"
        }
    }
}

/// What an end brings to an exchange.
///
/// These are the numbers of the wire, whatever they are.
struct KeyOffer: Hashable, Sendable {
    /// Which exchange of the session it is, from 1.
    let exchange: UInt32
    let association: SAOffer
    /// An X25519 public key.
    let share: [UInt8]
}

/// One message of a `weft/1` exchange (docs/weft-1.md): the payload of one ``ControlFrame``.
enum RatchetMessage: Hashable, Sendable {
    /// The initiator's, on a stream that it opens.
    case offer(KeyOffer)
    /// The responder's, on the same stream, with its proof that it has the same keys.
    case answer(KeyOffer, mac: [UInt8])
    /// The initiator's proof, on another stream that it opens.
    case confirmation(exchange: UInt32, mac: [UInt8])
    /// The responder opens what is sealed with the exchange's key, on the same stream.
    case installed(exchange: UInt32)

    static let version: UInt8 = 1
    static let macByteCount = KeyDerivation.hmacByteCount

    enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case offer = 17
        case answer = 18
        case confirmation = 19
        case installed = 20

        /// Bytes in a payload of this type, version and type included.
        var payloadByteCount: Int {
            switch self {
            case .offer: KeyOffer.end
            case .answer: KeyOffer.end + macByteCount
            case .confirmation: 6 + macByteCount
            case .installed: 6
            }
        }
    }

    var kind: Kind {
        switch self {
        case .offer: .offer
        case .answer: .answer
        case .confirmation: .confirmation
        case .installed: .installed
        }
    }

    /// Decodes one payload, which comes from the peer and may hold anything.
    init(payload: Span<UInt8>) throws(RatchetMessageError) {
        guard payload.count >= 2 else { throw .tooShort(payload.count) }
        guard payload[0] == Self.version else { throw .unsupportedVersion(payload[0]) }
        guard let kind = Kind(rawValue: payload[1]) else { throw .unknownType(payload[1]) }
        // Nothing below reads past this length.
        guard payload.count == kind.payloadByteCount else {
            throw .wrongLength(type: kind.rawValue, got: payload.count, expected: kind.payloadByteCount)
        }
        self =
            switch kind {
            case .offer: .offer(KeyOffer(payload))
            case .answer: .answer(KeyOffer(payload), mac: payload.copy(from: KeyOffer.end))
            case .confirmation: .confirmation(exchange: payload.bigEndian(at: 2), mac: payload.copy(from: 6))
            case .installed: .installed(exchange: payload.bigEndian(at: 2))
            }
    }

    /// The message's bytes, without a frame.
    var payload: [UInt8] {
        let body: [UInt8] =
            switch self {
            case .offer(let offer): offer.bytes
            case .answer(let offer, let mac): offer.bytes + mac
            case .confirmation(let exchange, let mac): bigEndian(exchange) + mac
            case .installed(let exchange): bigEndian(exchange)
            }
        return [Self.version, kind.rawValue] + body
    }

    /// The message's bytes in a ``ControlFrame``, ready for a stream.
    var frame: [UInt8] {
        let payload = payload
        return bigEndian(UInt16(payload.count)) + payload
    }
}

extension KeyOffer {
    private static let shareAt = 11
    /// Where a payload's offer ends.
    fileprivate static let end = shareAt + KeyShare.byteCount

    /// Reads an offer behind version and type, whose bytes the caller has made sure of.
    fileprivate init(_ payload: Span<UInt8>) {
        self.init(
            exchange: payload.bigEndian(at: 2),
            association: SAOffer(suite: payload[6], receiveSPI: payload.bigEndian(at: 7)),
            share: (Self.shareAt..<Self.end).map { payload[$0] })
    }

    fileprivate var bytes: [UInt8] {
        bigEndian(exchange) + [association.suite] + bigEndian(association.receiveSPI) + share
    }

    /// How both ends name an exchange: both offers as they were on the wire.
    static func transcript(offer: KeyOffer, answer: KeyOffer) -> [UInt8] {
        [RatchetMessage.version, RatchetMessage.Kind.offer.rawValue] + offer.bytes
            + [RatchetMessage.version, RatchetMessage.Kind.answer.rawValue] + answer.bytes
    }
}

extension Span<UInt8> {
    fileprivate func copy(from offset: Int) -> [UInt8] { (offset..<count).map { self[$0] } }
}
