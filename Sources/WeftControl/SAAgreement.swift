// SPDX-License-Identifier: Apache-2.0
import Weft

/// One end's part in one exchange of offers, without its I/O.
///
/// The initiator writes its ``opening``; the responder waits. Each then hands the other's offer to
/// ``conclude(with:masterKeys:)``, which consumes the agreement, so that no exchange yields two results. The
/// responder's answer is part of that result: it can't be written before the initiator's offer was found good.
public struct SAAgreement: ~Copyable, Sendable {
    public let role: Role
    public let suite: Suite
    /// Our SPI, which also says which master key is active.
    public let receiveSPI: SPI

    /// An exchange in which this end offers `receiveSPI`, fresh from its ``SPIAllocator``.
    ///
    /// Throws ``SAAgreementError/ownSPIOfOtherRole(_:)``.
    public init(role: Role, suite: Suite, receiveSPI: SPI) throws(SAAgreementError) {
        guard receiveSPI.role == role else { throw .ownSPIOfOtherRole(receiveSPI) }
        self.role = role
        self.suite = suite
        self.receiveSPI = receiveSPI
    }

    /// The offer that the initiator writes first; nil at the responder.
    public var opening: SAOffer? { role == .initiator ? offer : nil }

    private var offer: SAOffer { SAOffer(suite: suite, receiveSPI: receiveSPI) }

    /// Judges the peer's offer: it must name our suite and an SPI with the other role's bit and the active master key's index.
    func transmitSPI(of peer: SAOffer) throws(SAAgreementError) -> SPI {
        guard peer.suite == suite.rawValue else { throw .suiteMismatch(own: suite, peer: peer.suite) }
        let transmitSPI: SPI
        do {
            transmitSPI = try SPI(rawValue: peer.receiveSPI)
        } catch {
            throw .invalidPeerSPI(error)
        }
        guard transmitSPI.role == role.other else { throw .peerSPIOfOwnRole(transmitSPI) }
        guard transmitSPI.masterKeyIndex == receiveSPI.masterKeyIndex else { throw .inactiveMasterKey(transmitSPI) }
        return transmitSPI
    }

    /// Judges the peer's offer and derives both directions' keys.
    ///
    /// Any error fails the exchange.
    public consuming func conclude(
        with peer: SAOffer, masterKeys: borrowing MasterKeys
    ) throws(SAAgreementError) -> AgreedSAs {
        let transmitSPI = try transmitSPI(of: peer)
        do {
            let receiveKey = try masterKeys.saKey(for: receiveSPI, suite: suite)
            let transmitKey = try masterKeys.saKey(for: transmitSPI, suite: suite)
            return AgreedSAs(
                reply: role == .responder ? offer : nil,
                receive: SecurityAssociation(spi: receiveSPI, suite: suite, key: receiveKey),
                transmit: SecurityAssociation(spi: transmitSPI, suite: suite, key: transmitKey))
        } catch {
            throw .keyDerivation(error)
        }
    }
}
