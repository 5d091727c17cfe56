// SPDX-License-Identifier: Apache-2.0
import Weft

/// One message of the control protocol; the payload of one ``ControlFrame``.
///
/// A VNI is 1 to 2^24 - 1, but stands here as it came, so that a grant that can't be used can still be released.
public enum ControlMessage: Hashable, Sendable {
    /// Written by the initiator, answered with another by the responder.
    case saOffer(SAOffer)
    /// Asks a key plane's responder for a virtual network for an overlay address.
    case keyRequest(SAOffer, overlayAddress: IPAddress)
    /// Answers a request; offer and VNI are zero unless the status is ``ExchangeStatus/granted``.
    case keyGrant(ExchangeStatus, SAOffer, vni: UInt32)
    /// Gives back a VNI that was granted on this session.
    case vniRelease(vni: UInt32)
    case releaseAnswer(ExchangeStatus)

    /// The protocol's version, the first byte of each payload.
    public static let version: UInt8 = 1

    /// The message's type, the second byte of each payload.
    enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case saOffer = 1
        case keyRequest = 2
        case keyGrant = 3
        case vniRelease = 4
        case releaseAnswer = 5

        /// Bytes in a payload of this type, version and type included.
        var payloadByteCount: Int {
            switch self {
            case .saOffer: 7
            case .keyRequest: 23
            case .keyGrant: 12
            case .vniRelease: 6
            case .releaseAnswer: 3
            }
        }
    }

    var kind: Kind {
        switch self {
        case .saOffer: .saOffer
        case .keyRequest: .keyRequest
        case .keyGrant: .keyGrant
        case .vniRelease: .vniRelease
        case .releaseAnswer: .releaseAnswer
        }
    }
}
