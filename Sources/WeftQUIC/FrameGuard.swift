// SPDX-License-Identifier: Apache-2.0

/// Looks at what a peer's packet says before ngtcp2 does, which ends the process over some of it.
///
/// A peer has proved its key by then, or is about to, and yet is nobody who may stop us. What is refused here is
/// nothing that an end needs which plays by the rules: quic-go, aioquic and ngtcp2 itself never send it.
struct FrameGuard {
    /// How a packet is protected.
    enum Protection {
        case handshake
        case oneRTT

        /// By the first byte of a packet of version 1 (RFC 9000, section 17), without header protection. Nil for others:
        /// the keys of Initial packets are anybody's, and ngtcp2 lets a wrong one pass by.
        init?(firstByte: UInt8) {
            switch firstByte & 0xB0 {
            case 0xA0: self = .handshake
            case 0x00...0x7F: self = .oneRTT
            default: return nil
            }
        }
    }

    /// Why a packet ends its session.
    enum Fault: Error, Hashable, CustomStringConvertible {
        case malformed(QUICFrameType)
        /// One that has no place in a packet so protected (RFC 9000, section 12.4).
        case misplaced(QUICFrameType)
        /// NEW_CONNECTION_ID that asks us to retire others: before the handshake is done, ngtcp2 1.11 asserts that the
        /// first one is still in use.
        case retiresConnectionIDs
        /// More ids than ngtcp2 1.11 can note as retired before the peer has acknowledged that: one more, at a change of
        /// address, ends in an assertion.
        case tooManyConnectionIDs
        /// HANDSHAKE_DONE by a peer that can't know it: ngtcp2 1.11 drops what it is about to use.
        case earlyHandshakeDone

        var description: String {
            switch self {
            case .malformed(let type): "a malformed frame of \(type)"
            case .misplaced(let type): "a frame of \(type) where it has no place"
            case .retiresConnectionIDs: "NEW_CONNECTION_ID that retires other ids"
            case .tooManyConnectionIDs: "NEW_CONNECTION_ID beyond \(FrameGuard.connectionIDs) ids"
            case .earlyHandshakeDone: "HANDSHAKE_DONE before the handshake is done"
            }
        }
    }

    /// Ids that a peer may give out in one session. It gives out four, and one for each of its changes of address at
    /// which it takes new ones; a peer beyond that is dialled anew.
    static let connectionIDs: UInt64 = 16

    /// Whether the peer can know that our end of the handshake is done: we dialled it and have said so.
    var mayConfirmHandshake = false

    /// Whether a packet's payload may be handed on.
    func check(_ payload: Span<UInt8>, _ protection: Protection) throws(Fault) {
        var reader = QUICFrameReader()
        while let frame = try next(&reader, in: payload) {
            switch (protection, frame) {
            case (.handshake, _):
                switch frame.type {
                case .padding, .ping, .ack, .ackWithECN, .crypto, .connectionClose: break
                default: throw .misplaced(frame.type)
                }
            case (.oneRTT, .newConnectionID(let sequence, let retirePriorTo)):
                guard retirePriorTo == 0 else { throw .retiresConnectionIDs }
                guard sequence < Self.connectionIDs else { throw .tooManyConnectionIDs }
            case (.oneRTT, .plain(.handshakeDone)):
                guard mayConfirmHandshake else { throw .earlyHandshakeDone }
            case (.oneRTT, .plain): break
            }
        }
    }

    private func next(_ reader: inout QUICFrameReader, in payload: Span<UInt8>) throws(Fault) -> QUICFrame? {
        do throws(QUICFrameReader.Malformed) {
            return try reader.next(in: payload)
        } catch {
            throw .malformed(error.type)
        }
    }
}
