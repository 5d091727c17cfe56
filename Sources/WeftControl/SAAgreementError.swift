// SPDX-License-Identifier: Apache-2.0
import Weft

/// Why two ends got no SAs.
public enum SAAgreementError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Our own SPI carries the other role's bit.
    case ownSPIOfOtherRole(SPI)
    case suiteMismatch(own: Suite, peer: UInt8)
    case invalidPeerSPI(SPIError)
    /// The peer offers an SPI from our half: accepting it could give two SAs the same key.
    case peerSPIOfOwnRole(SPI)
    /// The peer's SPI belongs to the master key that isn't active.
    case inactiveMasterKey(SPI)
    case keyDerivation(KeyDerivationError)

    public var description: String {
        switch self {
        case .ownSPIOfOtherRole(let spi):
            "SPI \(spi) has the peer's role: allocate SPIs with this end's role"
        case .suiteMismatch(let own, let peer):
            "this end wants \(own.name), the peer suite \(peer): configure the same cipher suite on both ends"
        case .invalidPeerSPI(let error):
            "the peer offered an SPI that isn't one (\(error)): run a peer that follows the protocol"
        case .peerSPIOfOwnRole(let spi):
            "the peer offered SPI \(spi) of this end's role: run a peer that follows the protocol"
        case .inactiveMasterKey(let spi):
            "the peer offered SPI \(spi) of the master key that isn't in use: run a peer that follows the protocol"
        case .keyDerivation(let error):
            error.description
        }
    }
}
